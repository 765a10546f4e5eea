//! A row of a table: one person in one frame.

use crate::face::{BoundingBox, Detection, Landmarks, PersonId, Quality};
use crate::frame::FrameIndex;
use crate::labels::{Affect, FinalAffect};

/// How the face of a row was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sighting {
    /// The detector found it in this frame.
    Found(Detection),
    /// The detector did not run on this frame; the tracker carried the face over from others.
    Carried {
        /// The box that the tracker predicts, pixels of the upright frame.
        bounding_box: BoundingBox,
        /// The five landmarks, likewise.
        landmarks: Landmarks,
    },
    /// An aligned crop was the input, so no detector ran.
    Crop,
    /// No face was found; the final values are filled from other frames.
    Missing,
}

impl Sighting {
    /// True if there is a face, on which the network ran.
    pub fn is_face(&self) -> bool {
        !matches!(self, Sighting::Missing)
    }

    /// The detector's score, 0 to 1; `None` for carried faces and crops.
    pub fn score(&self) -> Option<f32> {
        match self {
            Sighting::Found(detection) => Some(detection.score),
            _ => None,
        }
    }

    /// Where the face is in the upright frame, in pixels.
    pub fn location(&self) -> Option<(BoundingBox, Landmarks)> {
        match *self {
            Sighting::Found(detection) => Some((detection.bounding_box, detection.landmarks)),
            Sighting::Carried {
                bounding_box,
                landmarks,
            } => Some((bounding_box, landmarks)),
            Sighting::Crop | Sighting::Missing => None,
        }
    }
}

/// One person in one frame, or a frame without any.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The frame.
    pub frame: FrameIndex,
    /// Presentation time in seconds; `None` for crops.
    pub time_s: Option<f64>,
    /// The person; `None` in a frame without any.
    pub person: Option<PersonId>,
    /// True for the row that submissions take; each frame has exactly one.
    pub subject: bool,
    /// How the face was found, and where.
    pub sighting: Sighting,
    /// How good a look at the face was; `None` without a face, and in tables of older versions.
    pub quality: Option<Quality>,
    /// Whether the quality is within the limits of the settings; `None` where there is none.
    pub usable: Option<bool>,
    /// The outputs of the network; empty without a face.
    pub raw: Affect,
    /// The final values.
    pub postprocessed: FinalAffect,
}
