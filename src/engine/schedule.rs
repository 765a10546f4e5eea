//! The threads of a run. Readers bring frames of videos; workers detect, track, align and infer. All
//! videos share the workers, so that one long video and many short ones keep every core busy; the
//! number of frames in memory is bounded, however long a video is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use super::batcher::{Batcher, Capacity, DetectorInput, ReadFrame, Reader, Work};
use super::forward::{Part, forward, parts};
use super::job::{DetectedFrame, Face, VideoJob};
use super::networks::Networks;
use super::publication::Publication;
use super::source;
use crate::config::Pipeline;
use crate::face::Detector;
use crate::face::shot::Signature;
use crate::run::{Event, InputTotals, PlannedInput, Stage};
use crate::stop::Stop;

/// How often the engine looks for a stop signal.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// How a shard's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every input is published or recorded as failed.
    Complete(InputTotals),
    /// Stopped by a signal; the rest is for another attempt.
    Stopped(InputTotals),
}

/// The threads of a run.
pub struct Crew {
    /// How many read.
    pub readers: usize,
    /// The networks of each that computes.
    pub workers: Vec<Networks>,
}

impl Crew {
    /// Threads for a device, `workers` of which compute. By default there is one a core on the CPU, and on
    /// a GPU two, so that one prepares while the other's work runs. On the CPU as many read, on the same
    /// cores; on a GPU one a core reads, since that is what the cores are for.
    pub fn new(networks: &Networks, device: tch::Device, workers: Option<usize>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = workers.unwrap_or(if device.is_cuda() { 2 } else { cores });
        Self {
            readers: if device.is_cuda() {
                cores.max(workers)
            } else {
                workers
            },
            workers: (0..workers).map(|_| networks.fork()).collect(),
        }
    }
}

/// What readers and workers share.
pub(super) struct Floor<'run> {
    inputs: &'run [PlannedInput],
    pub pipeline: Arc<Pipeline>,
    pub limit_frames: Option<u32>,
    publication: &'run Publication,
    stop: &'run Stop,
    next_input: AtomicUsize,
    batcher: Arc<Batcher>,
    events: Sender<Event>,
}

/// Annotates `inputs`, publishing a table or a failure for each, and tells `on_event` what happens.
pub fn annotate(
    inputs: &[PlannedInput],
    pipeline: &Pipeline,
    limit_frames: Option<u32>,
    crew: Crew,
    publication: &Publication,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> Outcome {
    let Crew { readers, workers } = crew;
    let (frame_batch, face_batch) = (pipeline.detector.batch, pipeline.model.batch);
    // Two batches a worker: one in work, one ready.
    let batches = 2 * workers.len().max(1);
    let capacity = Capacity {
        frame_batch,
        face_batch,
        frames: batches * frame_batch,
        crops: batches * face_batch,
    };
    let (batcher, readers) = Batcher::new(capacity, readers.min(inputs.len()));
    let (event_sender, event_receiver) = mpsc::channel();
    let floor = Floor {
        inputs,
        pipeline: Arc::new(pipeline.clone()),
        limit_frames,
        publication,
        stop,
        next_input: AtomicUsize::new(0),
        batcher,
        events: event_sender,
    };
    let mut tally = InputTotals::default();
    let mut see = |event: Event| {
        tally.count(&event);
        on_event(&event);
        tally.total()
    };
    std::thread::scope(|scope| {
        let floor = &floor;
        for reader in readers {
            scope.spawn(move || floor.read(&reader));
        }
        for networks in workers {
            scope.spawn(move || floor.work(&networks));
        }
        let mut dealt_with = 0;
        while dealt_with < inputs.len() as u64 && !stop.asked() {
            match event_receiver.recv_timeout(STOP_CHECK) {
                Ok(event) => dealt_with = see(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        floor.batcher.close();
    });
    // What threads said while the run was being closed.
    for event in event_receiver.try_iter() {
        see(event);
    }
    if tally.total() < inputs.len() as u64 {
        Outcome::Stopped(tally)
    } else {
        Outcome::Complete(tally)
    }
}

impl Floor<'_> {
    /// Reads inputs until none is left.
    fn read(&self, reader: &Reader) {
        while !self.stop.asked() {
            let Some(input) = self.inputs.get(self.next_input.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            match caught(|| self.publication.without_reading(input)) {
                Ok(Some(event)) => self.tell(event),
                // After a panic, too: reading the input anew may still work.
                Ok(None) | Err(_) => source::read(self, reader, input),
            }
        }
    }

    /// Does what there is to do until the run is over.
    fn work(&self, networks: &Networks) {
        // On the CPU the workers are the parallelism; threads below them only wait for each other.
        tch::set_num_threads(1);
        while let Some(work) = self.batcher.next() {
            match work {
                Work::Frames(input, frames) => self.detect(&networks.detector, input, frames),
                Work::Faces(faces) => self.infer(networks, faces),
            }
        }
    }

    fn detect(&self, detector: &Detector, input: DetectorInput, frames: Vec<ReadFrame>) {
        let parts = parts(frames, |frame| &frame.video);
        let found = match input {
            Some(_) => self.forward(Stage::Detect, &parts, |frames: &[&ReadFrame]| {
                let pictures: Vec<_> = frames.iter().map(|read| &read.frame.picture).collect();
                let found = detector.detect(&pictures).map_err(|error| error.to_string())?;
                Ok(found.into_iter().map(Some).collect())
            }),
            None => parts
                .iter()
                .map(|part| Ok(part.items.iter().map(|_| None).collect()))
                .collect(),
        };
        for (Part { video, items }, found) in parts.into_iter().zip(found) {
            let count = items.len() as u64;
            self.guard(&video, Stage::Detect, || {
                let detected = items
                    .into_iter()
                    .zip(found?)
                    .map(|(read, detections)| DetectedFrame {
                        signature: Signature::of(&read.frame.picture),
                        frame: read.frame,
                        detections,
                        place: read.place,
                    });
                let tracked = video.frames_detected(detected.collect(), detector, &self.batcher);
                tracked.map_err(|error| error.to_string())
            });
            self.tell_frames(count);
            self.settle(&video);
        }
    }

    fn infer(&self, networks: &Networks, faces: Vec<Face>) {
        let parts = parts(faces, |face| &face.video);
        let affects = self.forward(Stage::Infer, &parts, |faces: &[&Face]| {
            let crops: Vec<_> = faces.iter().map(|face| &face.crop).collect();
            networks.affect.predict(&crops).map_err(|error| error.to_string())
        });
        for (Part { video, items }, affects) in parts.into_iter().zip(affects) {
            self.guard(&video, Stage::Infer, || {
                video.faces_inferred(items, affects?);
                Ok(())
            });
            self.settle(&video);
        }
    }

    /// A network's look at parts of a batch; what it says of each.
    fn forward<T, R>(
        &self,
        stage: Stage,
        parts: &[Part<T>],
        network: impl Fn(&[&T]) -> Result<Vec<R>, String>,
    ) -> Vec<Result<Vec<R>, String>> {
        forward(stage, parts, |items: &[&T]| {
            self.tell(Event::Pass { stage });
            caught(|| network(items)).flatten()
        })
    }

    /// Runs a piece of work so that its failure, even a panic, costs one video and not the run.
    pub(super) fn guard(&self, video: &VideoJob, stage: Stage, work: impl FnOnce() -> Result<(), String>) {
        if let Err(reason) = caught(work).flatten() {
            video.fail(stage, reason);
        }
    }

    /// Publishes the video if this was its last piece of work.
    pub(super) fn settle(&self, video: &VideoJob) {
        if let Some(outcome) = video.take_outcome() {
            let published = caught(|| self.publication.publish(video, outcome));
            self.tell(
                published.unwrap_or_else(|bug| self.publication.publish(video, Err((Stage::Write, bug)))),
            );
        }
    }

    pub(super) fn tell(&self, event: Event) {
        // Fails only when the run is over.
        let _ = self.events.send(event);
    }

    pub(super) fn tell_frames(&self, count: u64) {
        let waiting = self.batcher.waiting();
        self.tell(Event::Frames { count, waiting });
    }

    /// Adds a crop to those that wait for the networks.
    pub(super) fn put_crop(&self, crop: Face) {
        self.batcher.put_faces(vec![crop]);
    }
}

/// Runs `work`; a panic becomes a sentence.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        format!("a bug in this program, please report it: {text}")
    })
}
