//! One video on its way through the engine: whatever order frames and faces come back in from the
//! networks, frames are tracked in decode order, so that the result is always the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batcher::{Batcher, Place};
use super::timeline::{FaceSlot, Timeline};
use crate::config::Pipeline;
use crate::face::shot::{ShotDetector, Signature};
use crate::face::subject::{Ranking, SubjectRule, Subjects};
use crate::face::track::Tracker;
use crate::face::{Detection, Detector, FaceError, PersonId, align};
use crate::frame::FrameIndex;
use crate::labels::Affect;
use crate::model::{AlignedFace, ModelError};
use crate::run::{PlannedInput, Stage, StageClock};
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
    /// Away while a thread tracks a frame; the others leave theirs to it and go on.
    course: Option<Course>,
    timeline: Timeline,
    /// Frames that came back before an earlier one.
    waiting: BTreeMap<FrameIndex, DetectedFrame>,
    /// The one to be tracked next.
    next: FrameIndex,
    /// How many are to be tracked, known once the source has ended.
    frames: Option<u32>,
    /// Faces of which the network has not spoken yet.
    faces_out: usize,
    source: SourceReport,
    failure: Option<(Stage, String)>,
    over: bool,
}

/// What follows a video from frame to frame.
struct Course {
    shots: ShotDetector,
    tracker: Tracker,
    subjects: Subjects,
    frame_rate: Option<f64>,
}

/// A frame after detection.
pub struct DetectedFrame {
    pub frame: Frame,
    /// `None` if the detector did not run on it.
    pub detections: Option<Vec<Detection>>,
    pub signature: Signature,
    pub place: Place,
}

/// A frame after tracking.
struct TrackedFrame {
    index: FrameIndex,
    time_s: Option<f64>,
    is_cut: bool,
    faces: Vec<(PersonId, Sighting, AlignedFace)>,
}

/// A frame could not be tracked.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    #[error(transparent)]
    Face(#[from] FaceError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A face on its way to the networks.
pub struct Face {
    pub video: Arc<VideoJob>,
    pub slot: FaceSlot,
    pub crop: AlignedFace,
    /// Held by one that was read as it is. Others need none: their frames were counted.
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
        let course = Course {
            shots: ShotDetector::new(pipeline.shots),
            tracker: Tracker::new(pipeline.tracker, frame_rate),
            subjects: Subjects::new(),
            frame_rate,
        };
        Arc::new(Self {
            input,
            clock: StageClock::default(),
            pipeline,
            progress: Mutex::new(Progress {
                course: Some(course),
                timeline: Timeline::default(),
                waiting: BTreeMap::new(),
                next: FrameIndex::FIRST,
                frames: None,
                faces_out: 0,
                source: SourceReport::default(),
                failure: None,
                over: false,
            }),
        })
    }

    /// Takes frames back from detection and tracks all whose turn has come. The place of a frame is
    /// given back when its faces are with the batcher. `detector` serves frames on which it did not
    /// run but turns out to be needed, since a shot begins with them.
    ///
    /// # Errors
    /// libtorch's. The video has to be given up then.
    pub fn frames_detected(
        self: &Arc<Self>,
        frames: Vec<DetectedFrame>,
        detector: &Detector,
        batcher: &Batcher,
    ) -> Result<(), TrackError> {
        let by_index = frames
            .into_iter()
            .map(|detected| (detected.frame.index, detected));
        self.progress().wait_for_turn(by_index);
        loop {
            let turn = self.progress().next_turn();
            let Some((mut course, detected)) = turn else {
                return Ok(());
            };
            let DetectedFrame {
                frame,
                detections,
                signature,
                place,
            } = detected;
            let tracked = self.clock.time(Stage::Track, || {
                let is_cut = course.shots.is_cut(&signature);
                let detections = match detections {
                    None if is_cut => detector.detect(&[&frame.picture])?.pop(),
                    detections => detections,
                };
                course.track(frame, detections, is_cut, &self.pipeline)
            })?;
            let faces = self.add(tracked, course);
            batcher.put_faces(faces);
            drop(place);
        }
    }

    /// Adds a tracked frame to the timeline and gives the course back to whose turn is next.
    fn add(self: &Arc<Self>, tracked: TrackedFrame, course: Course) -> Vec<Face> {
        let mut progress = self.progress();
        let progress = &mut *progress;
        progress.course = Some(course);
        progress
            .timeline
            .push_frame(tracked.index, tracked.time_s, tracked.is_cut);
        let faces = tracked.faces.into_iter().map(|(person, sighting, crop)| Face {
            video: Arc::clone(self),
            slot: progress.timeline.push_face(person, sighting),
            crop,
            place: None,
        });
        let faces: Vec<Face> = faces.collect();
        progress.faces_out += faces.len();
        faces
    }

    /// Adds an aligned crop, in the order of frames; `None` where the image cannot be read.
    pub fn crop_read(
        self: &Arc<Self>,
        frame: FrameIndex,
        crop: Option<AlignedFace>,
        place: Place,
    ) -> Option<Face> {
        let mut progress = self.progress();
        progress.timeline.push_frame(frame, None, false);
        let crop = crop?;
        progress.faces_out += 1;
        Some(Face {
            video: Arc::clone(self),
            slot: progress.timeline.push_face(PersonId(0), Sighting::Crop),
            crop,
            place: Some(place),
        })
    }

    /// Notes that the source has ended, how many frames are to be tracked, and what it says of itself.
    pub fn source_ended(&self, frames: u32, source: SourceReport) {
        let mut progress = self.progress();
        progress.frames = Some(frames);
        progress.source = source;
    }

    /// Takes faces back from the network.
    pub fn faces_inferred(&self, faces: Vec<Face>, affects: Vec<Affect>) {
        let mut progress = self.progress();
        progress.faces_out = progress.faces_out.saturating_sub(faces.len());
        for (Face { slot, place, .. }, affect) in faces.into_iter().zip(affects) {
            progress.timeline.set_raw(slot, affect);
            drop(place);
        }
    }

    /// Gives the video up; the first reason counts.
    pub fn fail(&self, stage: Stage, reason: impl ToString) {
        let mut progress = self.progress();
        progress
            .failure
            .get_or_insert_with(|| (stage, reason.to_string()));
        progress.waiting.clear();
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
            return Some(Err(failure));
        }
        if progress.frames != Some(progress.tracked()) || progress.faces_out > 0 {
            return None;
        }
        let course = progress.course.take()?;
        progress.over = true;
        Some(Ok(Finished {
            timeline: std::mem::take(&mut progress.timeline),
            ranking: course
                .subjects
                .rank(SubjectRule::from_video_name(self.input.id.as_str())),
            source: std::mem::take(&mut progress.source),
            frame_rate: course.frame_rate,
        }))
    }

    /// A thread that panicked has failed the video already; its state may still be read.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Keeps frames until their turn, unless the video has failed: the places that they hold would be
    /// missed by those who still read.
    fn wait_for_turn(&mut self, frames: impl Iterator<Item = (FrameIndex, DetectedFrame)>) {
        if self.failure.is_none() {
            self.waiting.extend(frames);
        }
    }

    /// The frame to be tracked next and what tracks it, if both are there.
    fn next_turn(&mut self) -> Option<(Course, DetectedFrame)> {
        let course = self.course.take()?;
        let Some(detected) = self.waiting.remove(&self.next) else {
            self.course = Some(course);
            return None;
        };
        self.next = self.next.next();
        Some((course, detected))
    }

    /// Frames tracked, or in the course of it.
    fn tracked(&self) -> u32 {
        self.next.number() - 1
    }
}

impl Course {
    fn track(
        &mut self,
        frame: Frame,
        detections: Option<Vec<Detection>>,
        is_cut: bool,
        pipeline: &Pipeline,
    ) -> Result<TrackedFrame, TrackError> {
        let Frame {
            index,
            time_s,
            picture,
        } = frame;
        let found = match detections {
            Some(detections) => self.tracker.update(index, time_s, is_cut, detections),
            None => self.tracker.carry(index, time_s),
        };
        let places: Vec<_> = found
            .iter()
            .map(|face| (face.person, face.detection.bounding_box))
            .collect();
        self.subjects.observe(&places);
        let mut faces = Vec::with_capacity(found.len());
        for face in found {
            let sighting = if face.carried {
                Sighting::Carried {
                    bounding_box: face.detection.bounding_box,
                    landmarks: face.detection.landmarks,
                }
            } else {
                Sighting::Found(face.detection)
            };
            let steady = Detection {
                landmarks: face.landmarks_smoothed,
                ..face.detection
            };
            let (crop, _) = align(&picture, &steady, &pipeline.alignment);
            faces.push((face.person, sighting, AlignedFace::new(crop)?));
        }
        Ok(TrackedFrame {
            index,
            time_s,
            is_cut,
            faces,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::run::{InputKind, VideoId};

    /// A video of which nothing has been seen, with default settings.
    pub fn video(id: &str) -> Arc<VideoJob> {
        let input = PlannedInput {
            id: VideoId::try_from(id.to_owned()).unwrap(),
            path: id.into(),
            kind: InputKind::Video,
            bytes: 1,
            shard: 0,
        };
        VideoJob::new(input, Arc::default(), None)
    }
}
