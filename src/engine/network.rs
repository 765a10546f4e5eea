//! Who runs the networks: the only file of the engine that makes them compute.
//!
//! On a GPU one thread does this and nothing else; on the CPU each worker does it with networks of its own
//! (`threads.rs`). A pass is prepared by a CPU thread (`cpu.rs`) and its outputs go back to one.

use std::time::Instant;

use super::context::{Context, Task, caught};
use super::load::Networks;
use super::queue::Step;
use super::slice::Slice;
use super::video::{Face, FrameInWork};
use crate::error_chain::sentence;
use crate::face::{DetectorBatch, DetectorSettings};
use crate::frame::Picture;
use crate::model::{AlignedFace, FaceBatch};
use crate::run::{Event, Stage};

/// One pass of a network: its prepared input, and whose the items in it are.
pub struct Pass<I, T> {
    input: I,
    slices: Vec<Slice<T>>,
}

/// Frames before the detector.
pub type DetectorPass = Pass<DetectorBatch, FrameInWork>;
/// Faces before the affect networks.
pub type InferencePass = Pass<FaceBatch, Face>;

impl DetectorPass {
    /// The pass over frames of one detector input size; `None` without any.
    pub fn prepare(slices: Vec<Slice<FrameInWork>>, settings: &DetectorSettings) -> Option<Self> {
        let input = detector_batch(&slices, settings)?;
        Some(Self { input, slices })
    }
}

impl InferencePass {
    /// The pass over faces; `None` without any.
    pub fn prepare(slices: Vec<Slice<Face>>, batch: usize) -> Option<Self> {
        let input = face_batch(&slices, batch)?;
        Some(Self { input, slices })
    }
}

fn detector_batch(slices: &[Slice<FrameInWork>], settings: &DetectorSettings) -> Option<DetectorBatch> {
    let pictures: Vec<&Picture> = slices
        .iter()
        .flat_map(|slice| &slice.items)
        .filter_map(|read| read.frame.picture())
        .collect();
    (!pictures.is_empty()).then(|| DetectorBatch::prepare(&pictures, settings))
}

fn face_batch(slices: &[Slice<Face>], batch: usize) -> Option<FaceBatch> {
    let crops: Vec<&AlignedFace> = slices
        .iter()
        .flat_map(|slice| &slice.items)
        .map(|face| &face.crop)
        .collect();
    (!crops.is_empty()).then(|| FaceBatch::prepare(&crops, batch))
}

/// Runs the detector, and hands each video's frames on to be tracked.
pub fn detect(context: &Context, networks: &Networks, pass: DetectorPass) {
    let Pass { input, slices } = pass;
    let settings = &context.pipeline.detector;
    let found = run(
        context,
        Stage::Detect,
        input,
        &slices,
        |batch| networks.detector.run(batch).map_err(|error| sentence(&error)),
        |slice| detector_batch(slice, settings),
    );
    for (Slice { video, items }, found) in slices.into_iter().zip(found) {
        match found {
            Ok(candidates) => {
                let items = items.into_iter().zip(candidates.into_iter().map(Some)).collect();
                context
                    .queue
                    .put_task(Step::Track, Task::Track(Slice { video, items }));
            }
            Err(reason) => {
                video.fail(Stage::Detect, reason);
                // The permits first: a reader of this video may wait for one.
                drop(items);
                context.publish_if_complete(&video);
            }
        }
    }
}

/// Runs the affect networks, and gives their outputs to the videos.
pub fn infer(context: &Context, networks: &Networks, pass: InferencePass) {
    let Pass { input, slices } = pass;
    let batch = context.pipeline.model.batch;
    let affects = run(
        context,
        Stage::Infer,
        input,
        &slices,
        |batch| networks.affect.run(batch).map_err(|error| sentence(&error)),
        |slice| face_batch(slice, batch),
    );
    for (Slice { video, items }, affects) in slices.into_iter().zip(affects) {
        match affects {
            Ok(affects) => video.faces_inferred(items, affects),
            Err(reason) => video.fail(Stage::Infer, reason),
        }
        context.publish_if_complete(&video);
    }
}

/// Runs one forward pass over all slices of a batch and returns the outputs of each. Its time is counted to the
/// videos by their shares.
///
/// If the pass fails, each slice is prepared and run alone, so that one video's failure does not fail others in
/// its batch.
fn run<I, T, R>(
    context: &Context,
    stage: Stage,
    input: I,
    slices: &[Slice<T>],
    network: impl Fn(&I) -> Result<Vec<R>, String>,
    prepare: impl Fn(&[Slice<T>]) -> Option<I>,
) -> Vec<Result<Vec<R>, String>> {
    let pass = |input: &I, slices: &[Slice<T>]| {
        context.send(Event::Pass { stage });
        let start = Instant::now();
        let outputs = caught(|| network(input)).flatten();
        let items: usize = slices.iter().map(|slice| slice.items.len()).sum();
        let share = start.elapsed().div_f64(items.max(1) as f64);
        for slice in slices {
            slice
                .video
                .clock
                .add(stage, share.mul_f64(slice.items.len() as f64));
        }
        outputs
    };
    let outputs = pass(&input, slices);
    match (outputs, slices) {
        (outputs, [_]) => vec![outputs],
        (Ok(outputs), several) => {
            let mut outputs = outputs.into_iter();
            let of_slice = |slice: &Slice<T>| Ok(outputs.by_ref().take(slice.items.len()).collect());
            several.iter().map(of_slice).collect()
        }
        (Err(reason), several) => several
            .iter()
            .map(|slice| {
                let alone = std::slice::from_ref(slice);
                let input = prepare(alone).ok_or_else(|| reason.clone())?;
                pass(&input, alone)
            })
            .collect(),
    }
}
