//! The threads of a run. Feeders read videos; workers detect, track, align and infer. Clips and
//! batches of all videos share the workers, so that one long video and many short ones keep every
//! core busy; the number of clips in memory is bounded, however long a video is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, select_biased, unbounded};

use super::ensemble::Ensemble;
use super::event::{Event, Tally};
use super::job::{DetectedFrame, FaceBatch, VideoJob};
use super::networks::Networks;
use super::plan::PlannedInput;
use super::publication::Publication;
use super::run_folder::Stage;
use super::source;
use super::stop::Stop;
use crate::config::Pipeline;
use crate::face::Detector;
use crate::face::shot::Signature;
use crate::video::Frame;

/// How often the engine looks for a stop signal.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// How a shard's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every input is published or recorded as failed.
    Complete(Tally),
    /// Stopped by a signal; the rest is for another attempt.
    Stopped(Tally),
}

/// Compute threads for a device: one a core on the CPU; on a GPU two, so that one prepares while the
/// other's work runs.
pub fn default_workers(device: tch::Device) -> usize {
    if device.is_cuda() {
        2
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Consecutive frames of one video on their way to detection.
pub(super) struct Clip {
    pub video: Arc<VideoJob>,
    pub number: u64,
    pub frames: Vec<Frame>,
    pub place: Place,
}

/// The right to hold one clip in memory; given back when dropped.
pub(super) struct Place(Sender<()>);

impl Drop for Place {
    fn drop(&mut self) {
        // Fails only when the run is over.
        let _ = self.0.try_send(());
    }
}

/// What feeders and workers share.
pub(super) struct Floor<'run> {
    pub inputs: &'run [PlannedInput],
    pub pipeline: Arc<Pipeline>,
    pub limit_frames: Option<u32>,
    pub publication: &'run Publication,
    pub stop: &'run Stop,
    next_input: AtomicUsize,
    clips: Sender<Clip>,
    batches: Sender<FaceBatch>,
    events: Sender<Event>,
    free_places: (Sender<()>, Receiver<()>),
    /// Never carries anything; disconnects when the run is over.
    over: Receiver<()>,
}

/// Annotates `inputs` with one thread for each of `workers`, publishing a table or a failure for
/// each, and tells `on_event` what happens.
pub fn annotate(
    inputs: &[PlannedInput],
    pipeline: &Pipeline,
    limit_frames: Option<u32>,
    workers: Vec<Networks>,
    publication: &Publication,
    stop: &Stop,
    on_event: &mut dyn FnMut(&Event),
) -> Outcome {
    let (clip_sender, clip_receiver) = unbounded();
    let (batch_sender, batch_receiver) = unbounded();
    let (event_sender, event_receiver) = unbounded();
    let (over_sender, over) = bounded::<()>(0);
    // Two clips a worker: one in work, one ready.
    let places = 2 * workers.len().max(1);
    let free_places = bounded(places);
    for _ in 0..places {
        let _ = free_places.0.send(());
    }
    let floor = Floor {
        inputs,
        pipeline: Arc::new(pipeline.clone()),
        limit_frames,
        publication,
        stop,
        next_input: AtomicUsize::new(0),
        clips: clip_sender,
        batches: batch_sender,
        events: event_sender,
        free_places,
        over,
    };
    let feeders = workers.len().min(inputs.len());
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..feeders {
            scope.spawn(|| floor.feed());
        }
        for networks in workers {
            let (clips, batches) = (clip_receiver.clone(), batch_receiver.clone());
            let floor = &floor;
            scope.spawn(move || floor.work(&networks, &clips, &batches));
        }
        while tally.total() < inputs.len() as u64 && !stop.asked() {
            match event_receiver.recv_timeout(STOP_CHECK) {
                Ok(event) => {
                    tally.count(&event);
                    on_event(&event);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        drop(over_sender);
    });
    if tally.total() < inputs.len() as u64 {
        Outcome::Stopped(tally)
    } else {
        Outcome::Complete(tally)
    }
}

impl Floor<'_> {
    /// Reads inputs until none is left.
    fn feed(&self) {
        while !self.stop.asked() {
            let Some(input) = self.inputs.get(self.next_input.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            match caught(|| self.publication.without_reading(input)) {
                Ok(Some(event)) => self.tell(event),
                // After a panic, too: reading the input anew may still work.
                Ok(None) | Err(_) => source::feed(self, input),
            }
        }
    }

    /// Does what there is to do until the run is over. Faces go first: they free memory.
    fn work(&self, networks: &Networks, clips: &Receiver<Clip>, batches: &Receiver<FaceBatch>) {
        // On the CPU the workers are the parallelism; threads below them only wait for each other.
        tch::set_num_threads(1);
        loop {
            select_biased! {
                recv(self.over) -> _ => return,
                recv(batches) -> batch => match batch {
                    Ok(batch) => self.infer(&networks.affect, batch),
                    Err(_) => return,
                },
                recv(clips) -> clip => match clip {
                    Ok(clip) => self.detect(&networks.detector, clip),
                    Err(_) => return,
                },
            }
        }
    }

    fn detect(&self, detector: &Detector, clip: Clip) {
        let Clip {
            video,
            number,
            frames,
            place,
        } = clip;
        if video.has_failed() {
            return;
        }
        let count = frames.len();
        self.guard(&video, Stage::Detect, || {
            let looked_at = |frame: &Frame| self.pipeline.detector.runs_on(frame.index);
            let pictures: Vec<_> = frames
                .iter()
                .filter(|frame| looked_at(frame))
                .map(|frame| &frame.picture)
                .collect();
            let found = video.clock.time(Stage::Detect, || detector.detect(&pictures));
            let mut found = found.map_err(|error| error.to_string())?.into_iter();
            let detected = frames.into_iter().map(|frame| DetectedFrame {
                signature: Signature::of(&frame.picture),
                detections: looked_at(&frame).then(|| found.next()).flatten(),
                frame,
            });
            let batches = video.clip_detected(number, detected.collect(), place, detector);
            self.send_batches(batches.map_err(|error| error.to_string())?);
            Ok(())
        });
        self.tell_frames(count);
        self.settle(&video);
    }

    fn infer(&self, affect: &Ensemble, batch: FaceBatch) {
        let video = batch.video;
        if video.has_failed() {
            return;
        }
        self.guard(&video, Stage::Infer, || {
            let faces: Vec<_> = batch.faces.iter().collect();
            let affects = video.clock.time(Stage::Infer, || affect.predict(&faces));
            video.batch_inferred(&batch.slots, affects.map_err(|error| error.to_string())?);
            Ok(())
        });
        self.settle(&video);
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

    pub(super) fn send_batches(&self, batches: Vec<FaceBatch>) {
        for batch in batches {
            // Fails only when the run is over.
            let _ = self.batches.send(batch);
        }
    }

    pub(super) fn send_clip(&self, clip: Clip) {
        let _ = self.clips.send(clip);
    }

    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub(super) fn tell_frames(&self, count: usize) {
        self.tell(Event::Frames {
            count: count as u64,
            clips_waiting: self.clips.len(),
            batches_waiting: self.batches.len(),
        });
    }

    /// Waits until another clip may be held in memory; `None` when the run is over.
    pub(super) fn place(&self) -> Option<Place> {
        select! {
            recv(self.free_places.1) -> free => free.ok().map(|()| Place(self.free_places.0.clone())),
            recv(self.over) -> _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::input::{InputKind, VideoId};
    use crate::engine::job::SourceReport;
    use crate::frame::{FrameIndex, Picture};
    use crate::model::AlignedFace;

    /// Else thousands of short folders would all be read before the first is inferred.
    #[test]
    fn a_folder_of_few_crops_holds_its_place_until_they_are_inferred() {
        let (place, given_back) = bounded(1);
        let input = PlannedInput {
            id: VideoId::try_from("341".to_owned()).unwrap(),
            path: "341".into(),
            kind: InputKind::Crops,
            bytes: 1,
            shard: 0,
        };
        let video = VideoJob::new(input, Arc::default(), None);
        let crop = AlignedFace::new(Picture::black(AlignedFace::SIDE, AlignedFace::SIDE)).unwrap();
        let full = video.crops_read(vec![(FrameIndex::FIRST, Some(crop))], Place(place));
        assert!(full.is_empty() && given_back.is_empty());
        let batches = video.source_ended(0, SourceReport::default());
        assert!(batches.len() == 1 && given_back.is_empty());
        drop(batches);
        assert_eq!(given_back.len(), 1);
    }
}
