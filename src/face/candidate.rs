//! From what the detector answers for priors to one box a face.

use super::prior::Prior;
use super::suppression::{keep_one_filling_face, suppress};
use super::{BoundingBox, Detection, Landmarks, Point};

/// A prior that the network takes for a face, with its numbers for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// In pixels of the network's input.
    pub prior: Prior,
    /// Probability of a face, in (0, 1].
    pub score: f32,
    /// The box relative to the prior.
    pub bounding_box: [f32; 4],
    /// The landmarks relative to the prior, x and y in turn.
    pub landmarks: [f32; 10],
}

impl Candidate {
    /// The face's box in pixels of the network's input.
    pub(super) fn bounding_box(&self) -> BoundingBox {
        self.prior.bounding_box(self.bounding_box)
    }

    /// The face in pixels of the network's input.
    fn detection(&self) -> Detection {
        Detection {
            score: self.score,
            bounding_box: self.bounding_box(),
            landmarks: self.prior.landmarks(self.landmarks),
        }
    }
}

/// The faces of a picture of `size` (width, height) in its pixels, most probable first. `factor`: pixels of the
/// network's input a pixel of the picture. `overlap`: see [`suppress`].
pub fn detections(candidates: Vec<Candidate>, size: (u32, u32), factor: f64, overlap: f32) -> Vec<Detection> {
    let faces = candidates
        .iter()
        .map(|candidate| scale(candidate.detection(), 1.0 / factor))
        .filter(is_finite);
    let mut faces = suppress(faces.collect(), overlap);
    keep_one_filling_face(&mut faces, size.0, size.1);
    faces
}

fn scale(detection: Detection, factor: f64) -> Detection {
    let scale = |value: f32| (f64::from(value) * factor) as f32;
    let BoundingBox { x1, y1, x2, y2 } = detection.bounding_box;
    Detection {
        score: detection.score,
        bounding_box: BoundingBox {
            x1: scale(x1),
            y1: scale(y1),
            x2: scale(x2),
            y2: scale(y2),
        },
        landmarks: Landmarks(detection.landmarks.0.map(|Point { x, y }| Point {
            x: scale(x),
            y: scale(y),
        })),
    }
}

/// Damaged weights can give numbers that no face has.
fn is_finite(detection: &Detection) -> bool {
    let BoundingBox { x1, y1, x2, y2 } = detection.bounding_box;
    let points = detection.landmarks.0;
    [x1, y1, x2, y2]
        .into_iter()
        .chain(points.into_iter().flat_map(|p| [p.x, p.y]))
        .all(f32::is_finite)
}
