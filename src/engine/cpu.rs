//! The work of CPU threads: read, prepare batches, track, publish. No tensors, but where tracks of one person are found.

use std::sync::Arc;
use std::time::Instant;

use tch::TchError;

use super::context::{Context, Producer, Task, Work, caught};
use super::looks::FrameLook;
use super::prepared::{PreparedFaces, PreparedFrames, frame_batch};
use super::queue::{PermitKind, Step};
use super::reading::Reading;
use super::slice::{Slice, slices};
use super::video::{Cutting, DetectedFrame, Face, FrameInWork, VideoOutcome, VideoState};
use crate::error_chain::sentence;
use crate::face::resize::Resize;
use crate::face::{Candidate, Look, detections};
use crate::model::FaceCrops;
use crate::run::{Event, InputKind, PlannedInput, Stage};

/// Does a piece of work that needs no networks. A pass, which does, is none of a CPU worker's steps and is dropped.
pub fn work(context: &Context, work: Work) {
    match work {
        Work::Frames(_, frames) => prepare_frames(context, frames),
        Work::Faces(faces) => prepare_faces(context, faces),
        Work::Task(Task::LookNear(frame)) => prepare_frames(context, vec![frame]),
        Work::Task(Task::Track(frames)) => track(context, frames),
        Work::Task(Task::Publish(video, outcome)) => publish(context, &video, *outcome),
        Work::Task(Task::Detect(_) | Task::Infer(_)) => {}
    }
}

/// Reads one input to its end, unless it need not be read.
pub fn read(context: &Context, producer: &Producer, input: &PlannedInput) {
    // After a panic reading the input anew may still work.
    if let Ok(Some(event)) = caught(|| context.publication.without_reading(input)) {
        return context.send(event);
    }
    let clock = Arc::default();
    let opened = Reading::open(
        input,
        &context.pipeline,
        &context.crop_forms,
        context.options.scratch.clone(),
        context.decode_threads,
        &clock,
    );
    let mut input = input.clone();
    let frame_rate = opened.as_ref().ok().and_then(|reading| reading.frame_rate);
    if let Ok(reading) = &opened {
        // The file may have been replaced since it was planned.
        (input.bytes, input.modified) = (reading.state.bytes, reading.state.modified);
    }
    let store = context.publication.feature_store();
    let no_store = store.as_ref().err().map(|error| sentence(error));
    let cutting = Cutting {
        pipeline: Arc::clone(&context.pipeline),
        crop_forms: Arc::clone(&context.crop_forms),
        identity: context.identity.clone(),
    };
    let video = VideoState::new(input, cutting, frame_rate, clock, store.ok().flatten());
    match (opened, no_store) {
        (Err(reason), _) => video.fail(Stage::Decode, reason),
        (_, Some(reason)) => video.fail(Stage::Write, reason),
        (Ok(reading), None) => {
            context.send(Event::Started {
                id: video.input.id.clone(),
                expected_frames: reading.expected_frames,
            });
            context.guard(&video, Stage::Decode, || {
                read_frames(context, producer, &video, reading)
            });
        }
    }
    context.publish_if_complete(&video);
}

fn read_frames(
    context: &Context,
    producer: &Producer,
    video: &Arc<VideoState>,
    mut reading: Reading,
) -> Result<(), String> {
    let kind = match video.input.kind {
        InputKind::Video | InputKind::Image => PermitKind::Frame,
        InputKind::Crops => PermitKind::Crop,
    };
    let (mut frames, mut whole_before) = (0, 0);
    while frames < context.options.limit_frames.unwrap_or(u32::MAX) {
        let Some(permit) = producer.permit(kind) else {
            return Ok(());
        };
        if video.has_failed() {
            return Ok(());
        }
        let Some(frame) = reading.next()? else {
            break;
        };
        if frame.look == Look::Whole {
            whole_before = frames;
        }
        let read = FrameInWork {
            video: Arc::clone(video),
            look: FrameLook::new(frames, whole_before, frame.look),
            frame,
            permit,
        };
        frames += 1;
        match read.look.look {
            Look::Whole => look_at(context, read),
            Look::Near | Look::None => {
                let video = Arc::clone(video);
                let items = vec![(read, None)];
                context
                    .queue
                    .put_task(Step::Track, Task::Track(Slice { video, items }));
            }
        }
    }
    video.source_ended(frames, reading.report()?);
    Ok(())
}

/// Gives a frame to be looked at to the queue.
fn look_at(context: &Context, read: FrameInWork) {
    if read.look.near.is_some() {
        return context.queue.put_task(Step::BatchFrames, Task::LookNear(read));
    }
    let key = read.frame.picture().map(|picture| context.feed.key(picture));
    context.queue.put_frame(key.unwrap_or_default(), read);
}

/// Makes frames of one size a detector pass, or one that is looked at around faces.
fn prepare_frames(context: &Context, frames: Vec<FrameInWork>) {
    let slices = slices(frames, |read| &read.video);
    let pass = prepare(context, Stage::Detect, slices, |slices| {
        let batch = frame_batch(&context.feed, slices.iter().flat_map(|slice| &slice.items))?;
        Ok(PreparedFrames { batch, slices })
    });
    if let Some(pass) = pass {
        context.queue.put_task(Step::Detect, Task::Detect(pass));
    }
}

/// Makes faces an inference pass.
fn prepare_faces(context: &Context, faces: Vec<Face>) {
    let slices = slices(faces, |face| &face.video);
    let pass = prepare(context, Stage::Infer, slices, |slices| {
        let faces = slices.iter().flat_map(|slice| &slice.items);
        let crops: Vec<&FaceCrops> = faces.map(|face| &face.crops).collect();
        let batch = context.feed.faces(&crops)?;
        Ok(PreparedFaces { batch, slices })
    });
    if let Some(pass) = pass {
        context.queue.put_task(Step::Infer, Task::Infer(pass));
    }
}

/// Prepares a pass and counts the time to the videos by their shares. A failure, even a panic, costs these videos and
/// not the run.
fn prepare<T, P>(
    context: &Context,
    stage: Stage,
    slices: Vec<Slice<T>>,
    pass: impl FnOnce(Vec<Slice<T>>) -> Result<P, TchError>,
) -> Option<P> {
    let shares = slices
        .iter()
        .map(|slice| (Arc::clone(&slice.video), slice.items.len()));
    let shares: Vec<_> = shares.collect();
    let items: usize = shares.iter().map(|(_, items)| items).sum();
    if items == 0 {
        return None;
    }
    let start = Instant::now();
    let prepared = caught(|| pass(slices).map_err(|error| sentence(&error))).flatten();
    let share = start.elapsed().div_f64(items as f64);
    for (video, items) in shares {
        video.clock.add(stage, share.mul_f64(items as f64));
        if let Err(reason) = &prepared {
            video.fail(stage, reason.clone());
            context.publish_if_complete(&video);
        }
    }
    prepared.ok()
}

/// Tracks frames of one video, and all that waited for them, and hands on their faces.
fn track(context: &Context, frames: Slice<(FrameInWork, Option<Vec<Candidate>>)>) {
    let Slice { video, items } = frames;
    let tracked = context.guard(&video, Stage::Track, || {
        let settings = &context.pipeline.detector;
        let detected = |(read, candidates): (FrameInWork, Option<Vec<Candidate>>)| {
            let faces = candidates.zip(read.frame.picture()).map(|(candidates, picture)| {
                let size = (picture.width(), picture.height());
                let factor = Resize::factor_of(size.0, size.1, settings.long_side);
                detections(candidates, size, factor, settings.overlap)
            });
            DetectedFrame {
                detections: faces,
                read,
            }
        };
        let frames = items.into_iter().map(detected).collect();
        video.track(frames).map_err(|error| sentence(&error))
    });
    if let Some(tracked) = tracked {
        for read in tracked.looks {
            look_at(context, read);
        }
        context.queue.put_faces(tracked.faces);
        context.send(Event::Frames {
            id: video.input.id.clone(),
            count: tracked.frames,
            waiting: context.queue.waiting(),
        });
        drop(tracked.permits);
    }
    context.publish_if_complete(&video);
}

/// Makes a video's final columns and writes its table, or records why there is none.
fn publish(context: &Context, video: &VideoState, outcome: VideoOutcome) {
    let published = caught(|| context.publication.publish(video, outcome));
    context
        .send(published.unwrap_or_else(|bug| context.publication.publish(video, Err((Stage::Write, bug)))));
}
