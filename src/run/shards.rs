//! Shards of about equal work.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::input::{Input, InputKind, read_each};
use super::settings::RunSettings;
use crate::time_limit::within;
use crate::video::{StreamFacts, probe};

/// The cost of one pixel in the detector, in decoded pixels, on the CPU: 38 ns against 2.6 ns, and a face in the picture
/// costs about as much again (`docs/benchmarks.md`).
const DETECTOR_PIXEL: u64 = 30;

/// Pixels per byte of a video whose container does not tell the number of frames.
const PIXELS_A_BYTE: u64 = 80;

/// The shard of each input, 0-based: the largest inputs first, each to the shard with the least work so far.
pub fn assign(inputs: &[Input], shards: u32, settings: &RunSettings) -> Vec<u32> {
    match shards {
        0 | 1 => vec![0; inputs.len()],
        several => balanced(&expected_work(inputs, settings), several),
    }
}

/// The expected work of each input: frames x pixels per frame, read from the headers of containers, so that it is the
/// same on every machine. 0 for a file that cannot be opened.
fn expected_work(inputs: &[Input], settings: &RunSettings) -> Vec<u64> {
    read_each(inputs, |input| match input.kind {
        InputKind::Crops => input.bytes,
        InputKind::Image => input.bytes * PIXELS_A_BYTE,
        InputKind::Video => {
            let (path, video) = (input.path.clone(), settings.pipeline.video.clone());
            let limit = Duration::from_secs(video.stall_seconds.get().into());
            let facts = within(limit, move || probe(&path, &video).ok()).flatten();
            facts.map_or(0, |facts| of_video(&facts, input.bytes, settings))
        }
    })
}

fn of_video(facts: &StreamFacts, bytes: u64, settings: &RunSettings) -> u64 {
    let pixels = u64::from(facts.size.width) * u64::from(facts.size.height);
    let frames = facts
        .expected_frames()
        .unwrap_or_else(|| bytes.saturating_mul(PIXELS_A_BYTE) / pixels.max(1))
        .min(settings.limit_frames.unwrap_or(u32::MAX).into());
    // On a GPU the networks take little time beside decoding.
    let network = match settings.device_kind.as_str() {
        "cpu" => DETECTOR_PIXEL * detector_pixels(facts, settings),
        _ => 0,
    };
    frames.saturating_mul(pixels + network)
}

/// Pixels of a frame at the detector's input size.
fn detector_pixels(facts: &StreamFacts, settings: &RunSettings) -> u64 {
    let (width, height) = (facts.size.width, facts.size.height);
    let (short, long) = (width.min(height), width.max(height));
    let side = u64::from(settings.pipeline.detector.long_side);
    side * side * u64::from(short) / u64::from(long.max(1))
}

/// The shard of each input, given the work of each.
fn balanced(work: &[u64], shards: u32) -> Vec<u32> {
    let mut largest_first: Vec<usize> = (0..work.len()).collect();
    largest_first.sort_by_key(|&at| (Reverse(work[at]), at));
    // Work, number of inputs and index of each shard; the least loaded on top.
    let mut load: BinaryHeap<_> = (0..shards).map(|shard| Reverse((0, 0, shard))).collect();
    let mut shard_of = vec![0; work.len()];
    for at in largest_first {
        if let Some(mut least) = load.peek_mut() {
            let Reverse((sum, inputs, shard)) = &mut *least;
            *sum += work[at];
            *inputs += 1;
            shard_of[at] = *shard;
        }
    }
    shard_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shards_hold_every_input_once_and_stay_balanced(
            work in proptest::collection::vec(0u64..1_000_000, 1..80),
            shards in 1u32..9,
        ) {
            let shard_of = balanced(&work, shards);
            prop_assert_eq!(shard_of.len(), work.len());
            let mut load = vec![0; shards as usize];
            for (&shard, work) in shard_of.iter().zip(&work) {
                load[shard as usize] += work;
            }
            let spread = load.iter().max().unwrap() - load.iter().min().unwrap();
            prop_assert!(spread <= *work.iter().max().unwrap());
        }
    }
}
