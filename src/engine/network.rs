//! Who runs the networks: the only file of the engine that makes them compute.
//!
//! On a GPU one thread does this and nothing else, and gives the device a pass before it waits for the one before; on
//! the CPU each worker does it with networks of its own (`threads.rs`). A pass is prepared by a CPU thread (`cpu.rs`),
//! and its outputs go back to one.

use std::time::{Duration, Instant};

use super::context::{Context, Task, caught};
use super::networks::{AffectPass, DetectorPass, Networks};
use super::prepared::{PreparedFaces, PreparedFrames, candidates_of_frames, frame_batch};
use super::queue::Step;
use super::slice::Slice;
use super::video::{Face, FrameInWork};
use crate::cuda;
use crate::error_chain::sentence;
use crate::face::{Candidate, CropForm};
use crate::frame::Picture;
use crate::model::{AlignedFace, FaceCrops};
use crate::run::{Event, Stage};

/// A thread's passes: those that it gives to its device and has not read yet.
pub struct Passes<'a> {
    context: &'a Context<'a>,
    networks: &'a Networks,
    /// At most one: the next is prepared and given to the device while it computes.
    in_flight: Option<InFlight>,
    /// Whether a pass is left in flight at all.
    ahead: bool,
    /// What giving passes to the device took so far, and waiting for them.
    submitting: Duration,
    waiting: Duration,
}

enum InFlight {
    Detection(Pending<DetectorPass, FrameInWork>),
    Inference(Pending<AffectPass, Face>),
}

struct Pending<P, T> {
    /// The pass; or why it could not be given to the device.
    pass: Result<P, String>,
    slices: Vec<Slice<T>>,
    /// What giving it took this thread.
    spent: Duration,
}

impl<'a> Passes<'a> {
    /// None yet. `ahead`: whether a pass is given to the device before the one before is read.
    pub fn new(context: &'a Context<'a>, networks: &'a Networks, ahead: bool) -> Self {
        Self {
            context,
            networks,
            in_flight: None,
            ahead,
            submitting: Duration::ZERO,
            waiting: Duration::ZERO,
        }
    }

    /// What giving passes to the device took so far, and waiting for them.
    pub fn times(&self) -> (Duration, Duration) {
        (self.submitting, self.waiting)
    }

    /// True if a pass has not been read yet.
    pub fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Runs the detector.
    pub fn detect(&mut self, prepared: PreparedFrames) {
        let PreparedFrames { batch, slices } = prepared;
        let networks = self.networks;
        let pending = self.submit(Stage::Detect, slices, || networks.submit_frames(batch));
        self.follow(InFlight::Detection(pending));
    }

    /// Runs the affect networks.
    pub fn infer(&mut self, prepared: PreparedFaces) {
        let PreparedFaces { batch, slices } = prepared;
        let networks = self.networks;
        let pending = self.submit(Stage::Infer, slices, || networks.submit_faces(batch));
        self.follow(InFlight::Inference(pending));
    }

    fn submit<P, T>(
        &mut self,
        stage: Stage,
        slices: Vec<Slice<T>>,
        submit: impl FnOnce() -> Result<P, String>,
    ) -> Pending<P, T> {
        self.context.send(Event::Pass { stage });
        let start = Instant::now();
        let pass = caught(submit).flatten();
        let spent = start.elapsed();
        self.submitting += spent;
        Pending { pass, slices, spent }
    }

    fn follow(&mut self, next: InFlight) {
        let before = self.in_flight.replace(next);
        self.read(before);
        if !self.ahead {
            self.finish();
        }
    }

    /// Reads the pass that is in flight, if any.
    pub fn finish(&mut self) {
        let last = self.in_flight.take();
        self.read(last);
    }

    fn read(&mut self, pass: Option<InFlight>) {
        match pass {
            Some(InFlight::Detection(pending)) => self.hand_on_detections(pending),
            Some(InFlight::Inference(pending)) => self.hand_on_affects(pending),
            None => {}
        }
    }

    /// Hands each video's frames on to be tracked.
    fn hand_on_detections(&mut self, pending: Pending<DetectorPass, FrameInWork>) {
        let (networks, context) = (self.networks, self.context);
        let feed = &context.feed;
        let first = pending.slices.first().and_then(|slice| slice.items.first());
        let near = first.and_then(|read| read.look.near.clone());
        let of_frames = |found| candidates_of_frames(near.as_ref(), found);
        let (slices, found) = self.outputs(
            Stage::Detect,
            pending,
            |pass| networks.finish_frames(pass).map(of_frames),
            Alone {
                batch: &|| feed.frame_batch(),
                halve: &|| feed.halve_frame_batch(),
                run: &|frames: &[FrameInWork]| {
                    let batch = frame_batch(feed, frames).map_err(|error| sentence(&error))?;
                    networks
                        .finish_frames(networks.submit_frames(batch)?)
                        .map(of_frames)
                },
            },
        );
        for (Slice { video, items }, found) in slices.into_iter().zip(found) {
            match found {
                Ok(candidates) => {
                    let candidates = candidates.into_iter().map(Some::<Vec<Candidate>>);
                    let items = items.into_iter().zip(candidates).collect();
                    let task = Task::Track(Slice { video, items });
                    self.context.queue.put_task(Step::Track, task);
                }
                Err(reason) => {
                    video.fail(Stage::Detect, reason);
                    // The permits first: a reader of this video may wait for one.
                    drop(items);
                    self.context.publish_if_complete(&video);
                }
            }
        }
    }

    /// Gives the outputs to the videos.
    fn hand_on_affects(&mut self, pending: Pending<AffectPass, Face>) {
        let (networks, context) = (self.networks, self.context);
        let feed = &context.feed;
        let (slices, affects) = self.outputs(
            Stage::Infer,
            pending,
            |pass| networks.finish_faces(pass),
            Alone {
                batch: &|| feed.face_batch(),
                halve: &|| feed.halve_face_batch(),
                run: &|faces: &[Face]| {
                    let crops: Vec<&FaceCrops> = faces.iter().map(|face| &face.crops).collect();
                    let batch = feed.faces(&crops).map_err(|error| sentence(&error))?;
                    networks.finish_faces(networks.submit_faces(batch)?)
                },
            },
        );
        for (Slice { video, items }, affects) in slices.into_iter().zip(affects) {
            match affects {
                Ok(outputs) => {
                    if let Err(error) = video.faces_inferred(items, outputs) {
                        video.fail(Stage::Write, sentence(&error));
                    }
                }
                Err(reason) => video.fail(Stage::Infer, reason),
            }
            self.context.publish_if_complete(&video);
        }
    }

    /// Waits for a pass and returns the outputs of each slice. Its time is counted to the videos by their shares.
    ///
    /// If it fails, each slice is prepared and run alone, so that one video's failure does not fail others in its batch;
    /// if the device is out of memory, in batches half as large.
    fn outputs<P, T, R>(
        &mut self,
        stage: Stage,
        pending: Pending<P, T>,
        finish: impl FnOnce(P) -> Result<Vec<R>, String>,
        alone: Alone<'_, T, R>,
    ) -> (Vec<Slice<T>>, Vec<Outputs<R>>) {
        let Pending { pass, slices, spent } = pending;
        let start = Instant::now();
        let outputs = pass.and_then(|pass| caught(|| finish(pass)).flatten());
        self.waiting += start.elapsed();
        let items: usize = slices.iter().map(|slice| slice.items.len()).sum();
        let share = (spent + start.elapsed()).div_f64(items.max(1) as f64);
        for slice in &slices {
            let share = share.mul_f64(slice.items.len() as f64);
            slice.video.clock.add(stage, share);
        }
        let outputs = match outputs {
            Ok(outputs) => {
                let mut outputs = outputs.into_iter();
                let of_slice = |slice: &Slice<T>| Ok(outputs.by_ref().take(slice.items.len()).collect());
                slices.iter().map(of_slice).collect()
            }
            Err(reason) if slices.len() == 1 && !is_out_of_memory(&reason) => vec![Err(reason)],
            Err(reason) => {
                if is_out_of_memory(&reason) {
                    self.halve(stage, &alone);
                }
                let run = |slice: &Slice<T>| {
                    let start = Instant::now();
                    let outputs = self.run_alone(stage, &slice.items, &alone);
                    slice.video.clock.add(stage, start.elapsed());
                    outputs
                };
                slices.iter().map(run).collect()
            }
        };
        (slices, outputs)
    }

    /// Runs items of one video, batch after batch.
    fn run_alone<T, R>(&self, stage: Stage, items: &[T], alone: &Alone<'_, T, R>) -> Result<Vec<R>, String> {
        let mut outputs = Vec::with_capacity(items.len());
        let mut left = items;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(left.len().min((alone.batch)()));
            self.context.send(Event::Pass { stage });
            match caught(|| (alone.run)(batch)).flatten() {
                Ok(of_batch) => {
                    outputs.extend(of_batch);
                    left = rest;
                }
                Err(reason) if is_out_of_memory(&reason) && self.halve(stage, alone) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(outputs)
    }

    /// Makes batches of a stage half as large for the rest of the run; false if they hold one item.
    fn halve<T, R>(&self, stage: Stage, alone: &Alone<'_, T, R>) -> bool {
        let Some(batch) = (alone.halve)() else {
            return false;
        };
        let feed = &self.context.feed;
        self.context
            .queue
            .set_batches(feed.frame_batch(), feed.face_batch());
        self.context.publication.record_halved_batch(stage, batch);
        self.context.send(Event::BatchHalved { stage, batch });
        true
    }
}

/// An output for each item, or a sentence why there are none.
type Outputs<R> = Result<Vec<R>, String>;

/// How items are run without those that they shared a batch with.
struct Alone<'a, T, R> {
    batch: &'a dyn Fn() -> usize,
    halve: &'a dyn Fn() -> Option<usize>,
    run: &'a dyn Fn(&[T]) -> Outputs<R>,
}

/// libtorch has no other sign than its text.
fn is_out_of_memory(reason: &str) -> bool {
    reason.contains("out of memory")
}

/// Makes a CUDA device the thread's own, and runs the networks on a batch of blank faces, so that cuDNN's plans are made
/// while the first videos are decoded.
pub fn start_device(context: &Context, networks: &Networks, device: usize) {
    context.send(Event::DeviceStarts { device });
    let warm_up = || -> Result<(), String> {
        cuda::set_current_device(device).map_err(|error| sentence(&error))?;
        let face = AlignedFace::new(Picture::black(AlignedFace::SIDE, AlignedFace::SIDE));
        let blank = |form: &CropForm| Picture::black(form.size(), form.size());
        let face = FaceCrops {
            aligned: face.map_err(|error| sentence(&error))?,
            others: context.crop_forms.iter().map(blank).collect(),
        };
        let batch = context.feed.faces(&[&face]).map_err(|error| sentence(&error))?;
        networks.finish_faces(networks.submit_faces(batch)?).map(drop)
    };
    // What fails here fails again in a pass, which knows what to do about it.
    if let Err(reason) = caught(warm_up).flatten() {
        tracing::debug!("warm-up: {reason}");
    }
}
