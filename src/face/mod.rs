//! Faces in pictures: detection, tracking over time, alignment.
//!
//! Detection: [`resize`] makes the network's input, [`prior`] and [`candidate`] turn its outputs into boxes and
//! landmarks, [`suppression`] keeps one box for each face, [`surroundings`] are where they are looked for again. The network itself is in [`model`](crate::model).
//! Tracking: [`shot`] finds cuts, [`track`] follows faces between them, [`identity`] joins tracks of one person,
//! [`subject`] selects the subject of a video.
//! Crops: [`crop_form`] is how a network takes faces; [`similarity`] fits a face's landmarks to a [`template`], [`warp`] cuts the crop;
//! [`alignment`] is the whole. [`quality`] is how good a look the crop gives.

pub mod alignment;
mod assignment;
pub mod candidate;
pub mod chip;
pub mod crop_form;
pub mod detector_settings;
mod dissolve;
pub mod error;
pub mod head_pose;
pub mod identity;
pub mod landmark_filter;
pub mod motion;
pub mod prior;
pub mod quality;
pub mod resize;
pub mod shot;
mod signature;
pub mod similarity;
pub mod subject;
pub mod suppression;
pub mod surroundings;
pub mod template;
pub mod track;
pub mod warp;

pub use alignment::{AlignmentSettings, align};
pub use candidate::{Candidate, detections};
pub use crop_form::{BoxShape, CropForm};
pub use detector_settings::{DetectorSettings, Look};
pub use error::FaceError;
pub use head_pose::HeadPose;
pub use quality::{Quality, QualityLimits};
pub use surroundings::Surroundings;

use serde::{Deserialize, Serialize};

/// A place in a picture, in pixels; (0, 0) is the centre of the top left pixel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Column, to the right.
    pub x: f32,
    /// Row, downwards.
    pub y: f32,
}

/// A face's bounding box in pixels; `x1 <= x2`, `y1 <= y2`. It may reach over the picture's edge.
///
/// ```
/// use abaw::face::BoundingBox;
///
/// let whole = BoundingBox { x1: 0.0, y1: 0.0, x2: 2.0, y2: 2.0 };
/// let right_half = BoundingBox { x1: 1.0, ..whole };
/// assert_eq!(whole.overlap(&right_half), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BoundingBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl BoundingBox {
    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// The middle of the box.
    pub fn centre(&self) -> Point {
        Point {
            x: (self.x1 + self.x2) / 2.0,
            y: (self.y1 + self.y2) / 2.0,
        }
    }

    /// What both boxes cover; of area 0 if there is nothing.
    pub fn common(&self, other: &BoundingBox) -> BoundingBox {
        BoundingBox {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
    }

    /// Intersection over union with another box, in [0, 1].
    pub fn overlap(&self, other: &BoundingBox) -> f32 {
        let common = self.common(other).area();
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }
}

/// Five landmarks: the eye at the picture's left, the eye at its right, the nose, the mouth's
/// corner at the left, the one at the right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Landmarks(pub [Point; 5]);

/// A face found in one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Probability of a face, in (0, 1].
    pub score: f32,
    /// The box around the face.
    pub bounding_box: BoundingBox,
    /// Eyes, nose and corners of the mouth.
    pub landmarks: Landmarks,
}

/// A track of one face within a video; 0 is the first. Numbers are not reused before 65,536
/// tracks have begun; then they start again at 0, leaving out those of living tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub u16);
