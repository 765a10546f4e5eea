//! How much work an input is expected to be, so that all shards take about as long.

use super::input::{Input, InputKind};
use super::many_files::ask_all;
use super::plan::RunSettings;
use crate::video::{StreamFacts, probe};

/// What a pixel before the detector costs, in pixels decoded, on the CPU: 38 ns against 2.6 ns, and a face in
/// the picture costs about as much again (`docs/benchmarks.md`).
const DETECTOR_PIXEL: u64 = 30;

/// Pixels a byte of a video holds, where its container does not say how many frames there are.
const PIXELS_A_BYTE: u64 = 80;

/// The expected work of each input: frames x pixels of a frame. From what containers say, nothing is
/// decoded, so that it is the same on every machine. What cannot be opened is no work.
pub fn expected(inputs: &[Input], settings: &RunSettings) -> Vec<u64> {
    ask_all(inputs, |input| match input.kind {
        InputKind::Crops => input.bytes,
        InputKind::Video => probe(&input.path, &settings.pipeline.video)
            .map_or(0, |facts| of_video(&facts, input.bytes, settings)),
    })
}

fn of_video(facts: &StreamFacts, bytes: u64, settings: &RunSettings) -> u64 {
    let pixels = u64::from(facts.width) * u64::from(facts.height);
    let frames = facts
        .expected_frames()
        .unwrap_or_else(|| bytes.saturating_mul(PIXELS_A_BYTE) / pixels.max(1))
        .min(settings.limit_frames.unwrap_or(u32::MAX).into());
    // A GPU's networks hardly count beside decoding.
    let network = match settings.device_kind.as_str() {
        "cpu" => DETECTOR_PIXEL * detector_pixels(facts, settings),
        _ => 0,
    };
    frames.saturating_mul(pixels + network)
}

/// Pixels of a frame at the detector's size.
fn detector_pixels(facts: &StreamFacts, settings: &RunSettings) -> u64 {
    let (short, long) = match facts.width < facts.height {
        true => (facts.width, facts.height),
        false => (facts.height, facts.width),
    };
    let side = u64::from(settings.pipeline.detector.long_side);
    side * side * u64::from(short) / u64::from(long.max(1))
}
