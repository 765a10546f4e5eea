//! The state of one video in work: whatever order frames and faces come back in from the networks, frames are
//! tracked in decode order, so that the result is always the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::feature_store::FeatureStore;
use super::looks::{FrameLook, Looks, Verdict};
use super::portraits::Portraits;
use super::queue::Permit;
use super::source::{Content, SourceFrame, SourceReport};
use super::timeline::{FaceSlot, Timeline};
use crate::config::Pipeline;
use crate::error_chain::sentence;
use crate::face::subject::{Ranking, SubjectRule, Subjects};
use crate::face::track::Tracker;
use crate::face::{CropForm, Detection, PersonId, Quality, QualityLimits, Surroundings, align};
use crate::frame::{FrameIndex, Picture};
use crate::model::{AlignedFace, FaceCrops, FaceOutputs, IdentityError, IdentityNetwork, ModelError};
use crate::run::{PlannedInput, Stage, StageClock};
use crate::table::Sighting;

/// The state of one video, shared by the threads that work on it.
pub struct VideoState {
    pub input: PlannedInput,
    pub clock: Arc<StageClock>,
    cutting: Cutting,
    features: Option<FeatureStore>,
    progress: Mutex<Progress>,
}

/// How faces are found again and cut out.
#[derive(Default)]
pub struct Cutting {
    pub pipeline: Arc<Pipeline>,
    /// In which forms beside DDAMFN's.
    pub crop_forms: Arc<[CropForm]>,
    /// What tells people apart, if tracks of one person are to be joined.
    pub identity: Option<Arc<IdentityNetwork>>,
}

struct Progress {
    /// Away while a thread tracks a frame; the others leave their frames to it and go on.
    tracking: Option<Tracking>,
    timeline: Timeline,
    /// Frames that came before their turn, by position.
    waiting: BTreeMap<u32, DetectedFrame>,
    looks: Looks,
    /// The position of the frame to be tracked next.
    next: u32,
    /// How many are to be tracked, known once the source has ended.
    frames: Option<u32>,
    /// Faces still in inference.
    faces_out: usize,
    source: SourceReport,
    failure: Option<(Stage, String)>,
    over: bool,
}

/// What follows a video from frame to frame.
struct Tracking {
    tracker: Tracker,
    subjects: Subjects,
    portraits: Option<Portraits>,
    frame_rate: Option<f64>,
}

/// A frame on its way from the reader to the tracker.
pub struct FrameInWork {
    pub video: Arc<VideoState>,
    pub look: FrameLook,
    pub frame: SourceFrame,
    pub permit: Permit,
}

/// A frame that can be tracked.
pub struct DetectedFrame {
    pub read: FrameInWork,
    /// `None` if the detector did not run on it, or has still to.
    pub detections: Option<Vec<Detection>>,
}

/// What a frame asks for when its turn comes.
enum Turn {
    Track(Box<(Tracking, DetectedFrame)>),
    LookAt(Box<FrameInWork>),
}

/// A face on its way to the affect networks.
pub struct Face {
    pub video: Arc<VideoState>,
    pub slot: FaceSlot,
    pub crops: FaceCrops,
    /// Held by a crop that was read as it is. Faces of videos need none: their frames held one.
    pub permit: Option<Permit>,
}

/// A face of a frame, aligned.
struct SeenFace {
    person: PersonId,
    sighting: Sighting,
    quality: Quality,
    crops: FaceCrops,
}

/// What frames leave that were tracked.
#[derive(Default)]
pub struct Tracked {
    /// Frames that the detector has to look at.
    pub looks: Vec<FrameInWork>,
    pub faces: Vec<Face>,
    /// To be released once the faces are with the queue, which counts on frames to bring faces.
    pub permits: Vec<Permit>,
    /// Number of frames.
    pub frames: u64,
}

/// What a video leaves once its last frame has been tracked and its last face has come back from the networks.
pub struct TrackedVideo {
    timeline: Timeline,
    subjects: Subjects,
    portraits: Option<Portraits>,
    source: SourceReport,
    frame_rate: Option<f64>,
}

/// What a finished video leaves.
pub struct FinishedVideo {
    pub timeline: Timeline,
    pub ranking: Ranking,
    pub source: SourceReport,
    /// Frames a second; `None` for crops.
    pub frame_rate: Option<f64>,
}

/// A video's end: all that was seen of it, or where and why it was given up.
pub type VideoOutcome = Result<TrackedVideo, (Stage, String)>;

/// A face that cannot be followed or cut out.
#[derive(Debug, thiserror::Error)]
pub enum FaceWorkError {
    /// Its crop.
    #[error(transparent)]
    Crop(#[from] ModelError),
    /// Whose it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl VideoState {
    /// A video of which nothing has been seen; `frame_rate` in frames a second, `clock`: shared with its reader. `features`:
    /// where the features of its faces are kept, if they are wanted.
    pub fn new(
        input: PlannedInput,
        cutting: Cutting,
        frame_rate: Option<f64>,
        clock: Arc<StageClock>,
        features: Option<FeatureStore>,
    ) -> Arc<Self> {
        let tracking = Tracking {
            tracker: Tracker::new(cutting.pipeline.tracker, frame_rate),
            subjects: Subjects::new(),
            portraits: cutting.identity.clone().map(Portraits::new),
            frame_rate,
        };
        Arc::new(Self {
            input,
            clock,
            cutting,
            features,
            progress: Mutex::new(Progress {
                tracking: Some(tracking),
                timeline: Timeline::default(),
                waiting: BTreeMap::new(),
                looks: Looks::default(),
                next: 0,
                frames: None,
                faces_out: 0,
                source: SourceReport::default(),
                failure: None,
                over: false,
            }),
        })
    }

    /// Takes frames back from detection, or from the reader if they have no look or a near one, and tracks and aligns all whose turn has come.
    ///
    /// # Errors
    /// A face that cannot be aligned. The video has to be given up then.
    pub fn track(self: &Arc<Self>, frames: Vec<DetectedFrame>) -> Result<Tracked, FaceWorkError> {
        let mut tracked = Tracked {
            looks: self.wait_for_turn(frames),
            ..Tracked::default()
        };
        loop {
            let turn = self.progress().next_turn();
            let (mut tracking, DetectedFrame { read, detections }) = match turn {
                Some(Turn::Track(frame)) => *frame,
                Some(Turn::LookAt(read)) => {
                    tracked.looks.push(*read);
                    continue;
                }
                None => return Ok(tracked),
            };
            let FrameInWork { frame, permit, .. } = read;
            let (index, time_s, is_cut) = (frame.index, frame.time_s, frame.is_cut);
            let faces = self.clock.time(Stage::Track, || match frame.content {
                Content::Picture(picture) => {
                    tracking.faces(index, time_s, is_cut, &picture, detections, &self.cutting)
                }
                Content::Crop(crop) => {
                    let face = crop.map(|crops| SeenFace {
                        person: PersonId(0),
                        sighting: Sighting::Crop,
                        quality: Quality::of_crop(crops.aligned.picture()),
                        crops,
                    });
                    Ok(face.into_iter().collect())
                }
            })?;
            let of_crop = faces.first().is_some_and(|face| face.sighting == Sighting::Crop);
            let mut faces = self.add(index, time_s, is_cut, faces, tracking);
            match faces.first_mut() {
                Some(face) if of_crop => face.permit = Some(permit),
                _ => tracked.permits.push(permit),
            }
            tracked.faces.extend(faces);
            tracked.frames += 1;
        }
    }

    /// Keeps frames until their turn, unless the video has failed: the permits that they hold would be
    /// missed by those who still read. Returns those that can be looked at now.
    fn wait_for_turn(&self, frames: Vec<DetectedFrame>) -> Vec<FrameInWork> {
        let mut progress = self.progress();
        if progress.failure.is_some() {
            return Vec::new();
        }
        for frame in frames {
            progress.wait_for_turn(frame, self.cutting.pipeline.detector.long_side);
        }
        progress.near_looks()
    }

    /// Adds a tracked frame to the timeline and gives the tracking to whose turn is next.
    fn add(
        self: &Arc<Self>,
        index: FrameIndex,
        time_s: Option<f64>,
        is_cut: bool,
        faces: Vec<SeenFace>,
        tracking: Tracking,
    ) -> Vec<Face> {
        let mut progress = self.progress();
        let progress = &mut *progress;
        progress.tracking = Some(tracking);
        progress.timeline.push_frame(index, time_s, is_cut);
        progress.faces_out += faces.len();
        let face = |seen: SeenFace| Face {
            video: Arc::clone(self),
            slot: progress
                .timeline
                .push_face(seen.person, seen.sighting, seen.quality),
            crops: seen.crops,
            permit: None,
        };
        faces.into_iter().map(face).collect()
    }

    /// Notes that the source has ended, how many frames are to be tracked, and what it reports of itself.
    pub fn source_ended(&self, frames: u32, source: SourceReport) {
        let mut progress = self.progress();
        progress.frames = Some(frames);
        progress.source = source;
    }

    /// Takes faces back from the networks.
    ///
    /// # Errors
    /// A full disk, where features are kept. The video has to be given up then.
    pub fn faces_inferred(&self, faces: Vec<Face>, outputs: Vec<FaceOutputs>) -> io::Result<()> {
        let mut kept = Ok(());
        if let Some(features) = &self.features {
            let mut found = faces
                .iter()
                .zip(&outputs)
                .filter_map(|(face, outputs)| Some((face.slot, outputs.feature.as_deref()?)));
            kept = found.try_for_each(|(slot, feature)| features.put(slot, feature));
        }
        let mut progress = self.progress();
        progress.faces_out = progress.faces_out.saturating_sub(faces.len());
        for (Face { slot, permit, .. }, outputs) in faces.into_iter().zip(outputs) {
            progress.timeline.set_raw(slot, outputs.affect);
            drop(permit);
        }
        kept
    }

    /// The features of its faces, if they are kept.
    pub fn features(&self) -> Option<&FeatureStore> {
        self.features.as_ref()
    }

    /// Gives the video up; the first reason counts.
    pub fn fail(&self, stage: Stage, reason: String) {
        let mut progress = self.progress();
        progress.failure.get_or_insert((stage, reason));
        progress.waiting.clear();
    }

    /// True once the video is given up; work on it can be skipped.
    pub fn has_failed(&self) -> bool {
        self.progress().failure.is_some()
    }

    /// The outcome, once: when all is in, or as soon as the video is given up.
    pub fn take_outcome(&self) -> Option<VideoOutcome> {
        let mut progress = self.progress();
        if progress.over {
            return None;
        }
        if let Some(failure) = progress.failure.clone() {
            progress.over = true;
            return Some(Err(failure));
        }
        if progress.frames != Some(progress.next) || progress.faces_out > 0 {
            return None;
        }
        let tracking = progress.tracking.take()?;
        progress.over = true;
        Some(Ok(TrackedVideo {
            timeline: std::mem::take(&mut progress.timeline),
            subjects: tracking.subjects,
            portraits: tracking.portraits,
            source: std::mem::take(&mut progress.source),
            frame_rate: tracking.frame_rate,
        }))
    }

    /// Finds out which tracks of the video are of one person, and who its subject is.
    ///
    /// # Errors
    /// The stage and why the video has to be given up.
    pub fn finish(&self, tracked: TrackedVideo) -> Result<FinishedVideo, (Stage, String)> {
        let mut timeline = tracked.timeline;
        let settings = &self.cutting.pipeline.tracker.identity;
        let joined = self.clock.time(Stage::Track, || {
            let join = |portraits: Portraits| portraits.join(&mut timeline, settings);
            tracked.portraits.map(join).transpose()
        });
        let joined = joined.map_err(|error| (Stage::Track, sentence(&error)))?;
        let subjects = tracked.subjects.joined(&joined.unwrap_or_default());
        Ok(FinishedVideo {
            timeline,
            ranking: subjects.rank(SubjectRule::from_video_name(self.input.id.as_str())),
            source: tracked.source,
            frame_rate: tracked.frame_rate,
        })
    }

    /// A thread that panicked has failed the video already; its state may still be read.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Keeps a frame until its turn, and notes what is around its faces if others are looked at there.
    fn wait_for_turn(&mut self, frame: DetectedFrame, long_side: u32) {
        let look = &frame.read.look;
        if let (true, Some(faces), Some(picture)) =
            (look.is_base(), &frame.detections, frame.read.frame.picture())
        {
            let parts = Surroundings::of(faces, (picture.width(), picture.height()), long_side);
            self.looks.note(look, parts);
        }
        self.waiting.insert(look.position, frame);
    }

    /// The frames that can be looked at now.
    fn near_looks(&mut self) -> Vec<FrameInWork> {
        let can_begin = |_: &u32, frame: &mut DetectedFrame| {
            let found = frame.detections.as_deref();
            self.looks.can_begin(&frame.read.look, found)
        };
        let due: Vec<_> = self.waiting.extract_if(.., can_begin).collect();
        let mut near = Vec::with_capacity(due.len());
        for (position, mut frame) in due {
            match self.looks.begin(&mut frame.read.look) {
                Verdict::LookAt => near.push(frame.read),
                Verdict::Counts | Verdict::Nobody => {
                    frame.detections = Some(Vec::new());
                    self.waiting.insert(position, frame);
                }
            }
        }
        near
    }

    /// What the frame whose turn it is asks for, if it is there and nobody tracks another.
    fn next_turn(&mut self) -> Option<Turn> {
        let tracking = self.tracking.take()?;
        let Some(mut frame) = self.waiting.remove(&self.next) else {
            self.tracking = Some(tracking);
            return None;
        };
        let found = frame.detections.as_deref();
        match self.looks.take_turn(&mut frame.read.look, found) {
            Verdict::LookAt => {
                self.tracking = Some(tracking);
                return Some(Turn::LookAt(Box::new(frame.read)));
            }
            Verdict::Nobody => frame.detections = Some(Vec::new()),
            Verdict::Counts => {}
        }
        self.next += 1;
        Some(Turn::Track(Box::new((tracking, frame))))
    }
}

impl Tracking {
    /// The persons in a frame, each with its aligned face.
    fn faces(
        &mut self,
        index: FrameIndex,
        time_s: Option<f64>,
        is_cut: bool,
        picture: &Picture,
        detections: Option<Vec<Detection>>,
        cutting: &Cutting,
    ) -> Result<Vec<SeenFace>, FaceWorkError> {
        let found = match detections {
            Some(detections) => self.tracker.update(index, time_s, is_cut, detections),
            None => self.tracker.carry(index, time_s),
        };
        let boxes: Vec<_> = found
            .iter()
            .map(|face| (face.person, face.detection.bounding_box))
            .collect();
        self.subjects.observe(&boxes);
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
            let alignment = &cutting.pipeline.alignment;
            let (crop, _) = align(picture, &steady, alignment);
            let quality = Quality::of_face(picture, &face.detection.landmarks, &crop, alignment);
            // By the default limits: `abaw postprocess` can change the run's own later, and persons stay as they are.
            if let Some(portraits) = &mut self.portraits
                && !face.carried
                && QualityLimits::default().allow(&quality)
            {
                portraits.look(face.person, picture, &face.landmarks_smoothed)?;
            }
            let cut = |form: &CropForm| form.cut(picture, &steady, alignment.landmarks);
            faces.push(SeenFace {
                person: face.person,
                sighting,
                quality,
                crops: FaceCrops {
                    others: cutting.crop_forms.iter().map(cut).collect(),
                    aligned: AlignedFace::new(crop)?,
                },
            });
        }
        Ok(faces)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::run::{InputKind, VideoId};

    /// A video of which nothing has been seen, with default settings.
    pub fn video(id: &str) -> Arc<VideoState> {
        let input = PlannedInput {
            id: VideoId::try_from(id.to_owned()).unwrap(),
            path: id.into(),
            kind: InputKind::Video,
            bytes: 1,
            modified: None,
            shard: 0,
        };
        VideoState::new(input, Cutting::default(), None, Arc::default(), None)
    }
}
