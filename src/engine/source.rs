//! Where frames come from: a video file, or a folder of aligned crops.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::vec;

use serde::Serialize;
use serde_json::json;

use crate::config::Pipeline;
use crate::crops::{CropError, CropFolder, read_crop_and};
use crate::face::shot::{ShotDetector, Signature};
use crate::face::{CropForm, DetectorSettings, Look};
use crate::frame::{FrameIndex, Picture};
use crate::model::{AlignedFace, FaceCrops, ModelError};
use crate::photograph::{Photograph, is_turned};
use crate::run::{InputKind, PlannedInput, Stage, StageClock, absence};
use crate::video::{Damage, FrameRecord, StreamFacts, VideoError, VideoReader, VideoSettings};

/// Frames of one input, in decode order.
pub enum Source {
    Video(Box<VideoSource>),
    Crops(CropSource),
    Pictures(Box<PictureSource>),
}

/// Frames of a video file, with the cuts between them.
pub struct VideoSource {
    reader: VideoReader,
    shots: ShotDetector,
    detector: DetectorSettings,
}

/// The pictures of a photograph or an animation, with the cuts between them.
pub struct PictureSource {
    photograph: Photograph,
    shots: ShotDetector,
    detector: DetectorSettings,
    next: FrameIndex,
}

/// Images of a folder, each an aligned face.
pub struct CropSource {
    folder: CropFolder,
    /// The sides of a crop, the aligned one's first.
    sides: Vec<u32>,
    images: vec::IntoIter<(FrameIndex, PathBuf)>,
    /// Images whose EXIF tag asks to turn them, which is not done.
    turned: usize,
    /// Images asked for so far, and why some could not be read.
    asked: usize,
    unreadable: Vec<String>,
}

/// A frame as it was read.
pub struct SourceFrame {
    pub index: FrameIndex,
    /// Seconds.
    pub time_s: Option<f64>,
    /// A new shot begins with it.
    pub is_cut: bool,
    pub content: Content,
    /// How the detector is to look at it.
    pub look: Look,
}

impl SourceFrame {
    /// The picture; `None` for a crop.
    pub fn picture(&self) -> Option<&Picture> {
        match &self.content {
            Content::Picture(picture) => Some(picture),
            Content::Crop(_) => None,
        }
    }
}

/// What a frame shows.
pub enum Content {
    /// Anything; faces have to be found.
    Picture(Picture),
    /// One aligned face, or nothing where the image could not be read.
    Crop(Option<FaceCrops>),
}

/// What a source reports of itself at its end.
#[derive(Debug, Clone, Default)]
pub struct SourceReport {
    /// Facts of the stream, for the footer.
    pub facts: serde_json::Value,
    /// A sentence on damage, if there was any.
    pub damage: Option<String>,
    /// A sentence that the user should know beside it.
    pub note: Option<String>,
}

/// What the footer records of a video's stream.
#[derive(Serialize)]
struct StreamRecord<'a> {
    #[serde(flatten)]
    facts: &'a StreamFacts,
    #[serde(flatten)]
    frames: FrameRecord,
    damage: Damage,
}

/// Frames cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{0}")]
    Absent(String),
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(transparent)]
    Crops(#[from] CropError),
    #[error(transparent)]
    Face(#[from] ModelError),
    /// Not one image of a folder.
    #[error("{0}")]
    Unreadable(String),
}

impl Source {
    /// Opens an input. `crop_forms`: those of the networks beside DDAMFN's. `scratch`, `decode_threads`: see [`VideoSettings`].
    ///
    /// # Errors
    /// [`SourceError`] if it is not there or not what the plan takes it for.
    pub fn open(
        input: &PlannedInput,
        pipeline: &Pipeline,
        crop_forms: &[CropForm],
        scratch: Option<PathBuf>,
        decode_threads: NonZeroU32,
    ) -> Result<Self, SourceError> {
        match input.kind {
            InputKind::Video if input.path.is_dir() => {
                Err(SourceError::Absent(absence(&input.path, InputKind::Video)))
            }
            InputKind::Video => {
                let settings = VideoSettings {
                    scratch,
                    decode_threads,
                    ..pipeline.video.clone()
                };
                Ok(Self::Video(Box::new(VideoSource {
                    reader: VideoReader::open(&input.path, &settings)?,
                    shots: ShotDetector::new(pipeline.shots),
                    detector: pipeline.detector.clone(),
                })))
            }
            InputKind::Image => Ok(Self::Pictures(Box::new(PictureSource {
                photograph: Photograph::open(&input.path, pipeline.video.max_pixels)
                    .map_err(SourceError::Unreadable)?,
                shots: ShotDetector::new(pipeline.shots),
                detector: pipeline.detector.clone(),
                next: FrameIndex::FIRST,
            }))),
            InputKind::Crops => {
                let folder = CropFolder::open(&input.path)?;
                let images = folder.images().map(|(frame, path)| (frame, path.to_owned()));
                Ok(Self::Crops(CropSource {
                    sides: std::iter::once(AlignedFace::SIDE)
                        .chain(crop_forms.iter().map(CropForm::size))
                        .collect(),
                    images: images.collect::<Vec<_>>().into_iter(),
                    folder,
                    turned: 0,
                    asked: 0,
                    unreadable: Vec::new(),
                }))
            }
        }
    }

    /// Frames a second; `None` for crops.
    pub fn frame_rate(&self) -> Option<f64> {
        match self {
            Self::Video(video) => video.reader.facts().fps,
            Self::Pictures(pictures) => Some(pictures.photograph.rate),
            Self::Crops(_) => None,
        }
    }

    /// The number of frames by the container's own count.
    pub fn expected_frames(&self) -> Option<u64> {
        match self {
            Self::Video(video) => video.reader.facts().expected_frames(),
            Self::Pictures(pictures) => (!pictures.photograph.is_animated()).then_some(1),
            Self::Crops(crops) => Some(crops.folder.images().len() as u64),
        }
    }

    /// The next frame; `None` at the end. `clock` counts the time that it takes.
    ///
    /// # Errors
    /// [`SourceError`] where reading cannot go on.
    pub fn next(&mut self, clock: &StageClock) -> Result<Option<SourceFrame>, SourceError> {
        match self {
            Self::Video(video) => video.next(clock),
            Self::Pictures(pictures) => pictures.next(clock),
            Self::Crops(crops) => crops.next(clock),
        }
    }

    /// What the source reports of itself at its end.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`] if not one image of a folder could be read.
    pub fn report(self) -> Result<SourceReport, SourceError> {
        match self {
            Self::Video(video) => Ok(video.report()),
            Self::Pictures(pictures) => Ok(pictures.report()),
            Self::Crops(crops) => crops.report(),
        }
    }
}

impl VideoSource {
    fn next(&mut self, clock: &StageClock) -> Result<Option<SourceFrame>, SourceError> {
        let Some(frame) = clock.time(Stage::Decode, || self.reader.next_frame())? else {
            return Ok(None);
        };
        let is_cut = clock.time(Stage::Track, || self.shots.is_cut(&Signature::of(&frame.picture)));
        Ok(Some(SourceFrame {
            index: frame.index,
            time_s: frame.time_s,
            is_cut,
            look: self.detector.look(frame.index, is_cut),
            content: Content::Picture(frame.picture),
        }))
    }

    fn report(self) -> SourceReport {
        let damage = self.reader.damage();
        let facts = StreamRecord {
            facts: self.reader.facts(),
            frames: self.reader.record(),
            damage,
        };
        SourceReport {
            facts: json!(facts),
            damage: damage.any().then(|| damage.to_string()),
            note: None,
        }
    }
}

impl PictureSource {
    fn next(&mut self, clock: &StageClock) -> Result<Option<SourceFrame>, SourceError> {
        let next = clock.time(Stage::Decode, || self.photograph.next_picture());
        let Some((time_s, picture)) = next.map_err(SourceError::Unreadable)? else {
            return Ok(None);
        };
        let is_cut = clock.time(Stage::Track, || self.shots.is_cut(&Signature::of(&picture)));
        let index = self.next;
        self.next = index.next();
        Ok(Some(SourceFrame {
            index,
            time_s: self.photograph.is_animated().then_some(time_s),
            is_cut,
            look: self.detector.look(index, is_cut),
            content: Content::Picture(picture),
        }))
    }

    fn report(self) -> SourceReport {
        SourceReport {
            facts: json!({
                "width": self.photograph.width,
                "height": self.photograph.height,
                "fps": self.photograph.rate,
                "damage": {},
            }),
            damage: None,
            note: None,
        }
    }
}

impl CropSource {
    fn next(&mut self, clock: &StageClock) -> Result<Option<SourceFrame>, SourceError> {
        let Some((index, path)) = self.images.next() else {
            return Ok(None);
        };
        self.asked += 1;
        let crop = match clock.time(Stage::Decode, || read_crop_and(&path, &self.sides, is_turned)) {
            Ok((mut pictures, turned)) => {
                self.turned += usize::from(turned);
                let others = pictures.split_off(1);
                let aligned = pictures.pop().ok_or(ModelError::NoCrop)?;
                Some(FaceCrops {
                    aligned: AlignedFace::new(aligned)?,
                    others,
                })
            }
            Err(error) => {
                self.unreadable.push(error.to_string());
                None
            }
        };
        Ok(Some(SourceFrame {
            index,
            time_s: None,
            is_cut: false,
            content: Content::Crop(crop),
            look: Look::None,
        }))
    }

    fn report(self) -> Result<SourceReport, SourceError> {
        let (bad, all) = (self.unreadable.len(), self.asked);
        let damage = self.unreadable.first();
        let damage = damage.map(|first| format!("{bad} of {all} images unreadable, the first: {first}"));
        if let (Some(damage), true) = (&damage, bad == all) {
            return Err(SourceError::Unreadable(damage.clone()));
        }
        let facts = json!({
            "images": all,
            "unnumbered_images": self.folder.unnumbered(),
            "damage": { "unreadable_images": self.unreadable },
        });
        let note = (self.turned > 0).then(|| {
            format!(
                "{} of {all} crops have an EXIF tag that asks to turn them; they are read as they are, as in the training",
                self.turned
            )
        });
        Ok(SourceReport { facts, damage, note })
    }
}
