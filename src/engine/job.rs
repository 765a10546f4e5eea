//! One video on its way through the engine: whatever order clips and batches come back in, frames
//! are tracked in decode order and faces batched alike, so that the result is always the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::StageClock;
use super::plan::PlannedInput;
use super::run_folder::Stage;
use super::schedule::Place;
use super::timeline::{FaceSlot, Timeline};
use crate::config::Pipeline;
use crate::face::shot::{ShotDetector, Signature};
use crate::face::subject::{Ranking, SubjectRule, Subjects};
use crate::face::track::Tracker;
use crate::face::{Detection, Detector, FaceError, PersonId, align};
use crate::frame::FrameIndex;
use crate::labels::Affect;
use crate::model::{AlignedFace, ModelError};
use crate::table::Sighting;
use crate::video::Frame;

/// The state of one video, shared by the threads that work on it.
pub struct VideoJob {
    pub input: PlannedInput,
    pub clock: StageClock,
    pipeline: Arc<Pipeline>,
    progress: Mutex<Progress>,
}

struct Progress {
    shots: ShotDetector,
    tracker: Tracker,
    subjects: Subjects,
    timeline: Timeline,
    /// Clips that came back before an earlier one. They keep their places: frames are large.
    waiting: BTreeMap<u64, (Vec<DetectedFrame>, Place)>,
    next_clip: u64,
    /// Known once the source has ended.
    clips: Option<u64>,
    /// Aligned faces that do not fill a batch yet.
    faces: Vec<(FaceSlot, AlignedFace)>,
    /// Held by crops among them, so that many short folders do not pile up in memory.
    crops_place: Option<Place>,
    batches_out: u64,
    source: SourceReport,
    frame_rate: Option<f64>,
    failure: Option<(Stage, String)>,
    over: bool,
}

/// A frame after detection.
pub struct DetectedFrame {
    pub frame: Frame,
    /// `None` if the detector did not run on it.
    pub detections: Option<Vec<Detection>>,
    pub signature: Signature,
}

/// A clip could not be tracked.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    #[error(transparent)]
    Face(#[from] FaceError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Faces of one video for one forward pass.
pub struct FaceBatch {
    pub video: Arc<VideoJob>,
    pub slots: Vec<FaceSlot>,
    pub faces: Vec<AlignedFace>,
    /// Held while the batch waits, if the clip it comes from does not count any more.
    pub place: Option<Place>,
}

/// What a finished video leaves.
pub struct Finished {
    pub timeline: Timeline,
    pub ranking: Ranking,
    pub source: SourceReport,
    /// Frames a second.
    pub frame_rate: Option<f64>,
}

/// What a source says of itself at its end.
#[derive(Debug, Clone, Default)]
pub struct SourceReport {
    /// Facts of the stream, for the footer.
    pub facts: serde_json::Value,
    /// A sentence on damage, if there was any.
    pub damage: Option<String>,
}

impl VideoJob {
    /// A video of which nothing has been seen; `frame_rate` in frames a second.
    pub fn new(input: PlannedInput, pipeline: Arc<Pipeline>, frame_rate: Option<f64>) -> Arc<Self> {
        let progress = Progress {
            shots: ShotDetector::new(pipeline.shots),
            tracker: Tracker::new(pipeline.tracker, frame_rate),
            subjects: Subjects::new(),
            timeline: Timeline::default(),
            waiting: BTreeMap::new(),
            next_clip: 0,
            clips: None,
            faces: Vec::new(),
            crops_place: None,
            batches_out: 0,
            source: SourceReport::default(),
            frame_rate,
            failure: None,
            over: false,
        };
        Arc::new(Self {
            input,
            clock: StageClock::default(),
            pipeline,
            progress: Mutex::new(progress),
        })
    }

    /// Takes a clip back from detection and returns the batches of faces that are full now. `place`
    /// is given back when the clip has been tracked. `detector` serves frames on which it did not
    /// run but turns out to be needed, since a shot begins with them.
    pub fn clip_detected(
        self: &Arc<Self>,
        number: u64,
        frames: Vec<DetectedFrame>,
        place: Place,
        detector: &Detector,
    ) -> Result<Vec<FaceBatch>, TrackError> {
        self.clock.time(Stage::Track, || {
            let mut progress = self.progress();
            progress.waiting.insert(number, (frames, place));
            loop {
                let next = progress.next_clip;
                let Some((frames, _place)) = progress.waiting.remove(&next) else {
                    break;
                };
                progress.next_clip += 1;
                for frame in frames {
                    progress.track(frame, &self.pipeline, detector)?;
                }
            }
            Ok(self.batches(&mut progress))
        })
    }

    /// Notes that the source has ended after `clips` clips, and what it says of itself.
    pub fn source_ended(self: &Arc<Self>, clips: u64, source: SourceReport) -> Vec<FaceBatch> {
        let mut progress = self.progress();
        progress.clips = Some(clips);
        progress.source = source;
        self.batches(&mut progress)
    }

    /// Adds aligned crops in the order of frames, without a face where an image cannot be read.
    /// `place` is given back when their numbers are there.
    pub fn crops_read(
        self: &Arc<Self>,
        crops: Vec<(FrameIndex, Option<AlignedFace>)>,
        place: Place,
    ) -> Vec<FaceBatch> {
        let mut progress = self.progress();
        for (frame, face) in crops {
            progress.timeline.push_frame(frame, None, false);
            if let Some(face) = face {
                let slot = progress.timeline.push_face(PersonId(0), Sighting::Crop);
                progress.faces.push((slot, face));
            }
        }
        progress.crops_place = Some(place);
        self.batches(&mut progress)
    }

    /// Takes a batch back from the network.
    pub fn batch_inferred(&self, slots: &[FaceSlot], affects: Vec<Affect>) {
        let mut progress = self.progress();
        progress.batches_out = progress.batches_out.saturating_sub(1);
        for (&slot, affect) in slots.iter().zip(affects) {
            progress.timeline.set_raw(slot, affect);
        }
    }

    /// Gives the video up; the first reason counts.
    pub fn fail(&self, stage: Stage, reason: impl ToString) {
        let mut progress = self.progress();
        progress
            .failure
            .get_or_insert_with(|| (stage, reason.to_string()));
    }

    /// True once the video is given up; work on it can be skipped.
    pub fn has_failed(&self) -> bool {
        self.progress().failure.is_some()
    }

    /// The outcome, once: when all is in, or as soon as the video is given up.
    pub fn take_outcome(&self) -> Option<Result<Finished, (Stage, String)>> {
        let mut progress = self.progress();
        if progress.over {
            return None;
        }
        if let Some(failure) = progress.failure.clone() {
            progress.over = true;
            // Nothing of a failed video is needed any more; its frames are large.
            progress.waiting.clear();
            progress.faces.clear();
            progress.crops_place = None;
            return Some(Err(failure));
        }
        if progress.clips != Some(progress.next_clip)
            || progress.batches_out > 0
            || !progress.faces.is_empty()
        {
            return None;
        }
        progress.over = true;
        Some(Ok(Finished {
            timeline: std::mem::take(&mut progress.timeline),
            ranking: progress
                .subjects
                .rank(SubjectRule::from_video_name(self.input.id.as_str())),
            source: std::mem::take(&mut progress.source),
            frame_rate: progress.frame_rate,
        }))
    }

    /// Full batches, and the last one, however small, once every face is there. Batches depend on
    /// the video alone: with them the network's numbers are the same in every run.
    fn batches(self: &Arc<Self>, progress: &mut Progress) -> Vec<FaceBatch> {
        let size = self.pipeline.model.batch;
        let all_there = progress.clips == Some(progress.next_clip);
        let mut batches = Vec::new();
        while progress.faces.len() >= size || (all_there && !progress.faces.is_empty()) {
            let rest = progress.faces.split_off(size.min(progress.faces.len()));
            let (slots, faces) = std::mem::replace(&mut progress.faces, rest).into_iter().unzip();
            progress.batches_out += 1;
            batches.push(FaceBatch {
                video: Arc::clone(self),
                slots,
                faces,
                place: None,
            });
        }
        if let Some(batch) = batches.last_mut() {
            batch.place = progress.crops_place.take();
        }
        batches
    }

    /// A thread that panicked has failed the video already; its state may still be read.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn track(
        &mut self,
        detected: DetectedFrame,
        pipeline: &Pipeline,
        detector: &Detector,
    ) -> Result<(), TrackError> {
        let Frame {
            index,
            time_s,
            picture,
        } = detected.frame;
        let cut = self.shots.is_cut(&detected.signature);
        self.timeline.push_frame(index, time_s, cut);
        let detections = match detected.detections {
            None if cut => detector.detect(&[&picture])?.pop(),
            detections => detections,
        };
        let faces = match detections {
            Some(detections) => self.tracker.update(index, time_s, cut, detections),
            None => self.tracker.carry(index, time_s),
        };
        let places: Vec<_> = faces
            .iter()
            .map(|face| (face.person, face.detection.bounding_box))
            .collect();
        self.subjects.observe(&places);
        for face in faces {
            let sighting = if face.carried {
                Sighting::Carried {
                    bounding_box: face.detection.bounding_box,
                    landmarks: face.detection.landmarks,
                }
            } else {
                Sighting::Found(face.detection)
            };
            let slot = self.timeline.push_face(face.person, sighting);
            let steady = Detection {
                landmarks: face.landmarks_smoothed,
                ..face.detection
            };
            let (crop, _) = align(&picture, &steady, &pipeline.alignment);
            self.faces.push((slot, AlignedFace::new(crop)?));
        }
        Ok(())
    }
}
