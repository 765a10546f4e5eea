//! Where faces are looked for between two looks at the whole picture: around the places at which they were found.
//!
//! What a convolution answers depends on the place of its window relative to its stride. A part of the detector's input whose
//! corner is a multiple of the largest stride is seen by the same windows as in the whole, so the face in it gets the same
//! numbers, but for what lies farther away than the part reaches (`docs/detection.md`).

use super::candidate::Candidate;
use super::resize::Resize;
use super::{BoundingBox, Detection};

/// The detector's largest stride, in pixels of its input: corners of parts are multiples of it.
const STRIDE: u32 = 32;
/// How far a part reaches beyond its face at least, where the picture does.
const MARGIN: f32 = 64.0;
/// How near a face may come to the edge of its part before the whole picture is looked at again.
const NEAREST: f32 = 32.0;
/// Sides of parts are multiples of it where the picture allows: libtorch prepares its convolutions anew for each size.
const STEP: u32 = 64;
/// Parts of more than this share of the picture save too little.
const LARGEST_SHARE: f64 = 0.75;

/// Parts of a picture, one around each face, all of one size. Lengths are in pixels of the detector's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// Width and height of each part.
    size: (u32, u32),
    /// The upper left corners.
    corners: Vec<(u32, u32)>,
    /// Number of faces.
    faces: usize,
    /// Width and height of the whole input.
    whole: (u32, u32),
    /// Pixels of the input a pixel of the picture.
    factor: f64,
}

impl Surroundings {
    /// The surroundings of the faces in a picture of `picture` (width, height); `None` where the whole costs hardly more.
    /// `long_side`: see [`DetectorSettings`](super::DetectorSettings).
    pub fn of(faces: &[Detection], picture: (u32, u32), long_side: u32) -> Option<Self> {
        let factor = Resize::factor_of(picture.0, picture.1, long_side);
        let whole = Resize::output_size(picture.0, picture.1, long_side);
        let boxes: Vec<BoundingBox> = faces
            .iter()
            .map(|face| scaled(&face.bounding_box, factor))
            .collect();
        let (width, columns) = parts(boxes.iter().map(|face| (face.x1, face.x2)), whole.0);
        let (height, rows) = parts(boxes.iter().map(|face| (face.y1, face.y2)), whole.1);
        let mut corners: Vec<_> = columns.into_iter().zip(rows).collect();
        corners.sort_unstable();
        corners.dedup();
        let area = |size: (u32, u32)| f64::from(size.0) * f64::from(size.1);
        let cheap = corners.len() as f64 * area((width, height)) <= LARGEST_SHARE * area(whole);
        cheap.then_some(Self {
            size: (width, height),
            corners,
            faces: faces.len(),
            whole,
            factor,
        })
    }

    /// Width and height of each part.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The upper left corners of the parts; none if there are no faces.
    pub fn corners(&self) -> &[(u32, u32)] {
        &self.corners
    }

    /// The candidates of the whole input from those of the parts, in the order of [`Surroundings::corners`]. Of faces whose
    /// centre is near a part's edge only another part shows enough.
    pub fn candidates(&self, of_parts: Vec<Vec<Candidate>>) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (&corner, of_part) in self.corners.iter().zip(of_parts) {
            let inner = self.inner(corner);
            candidates.extend(of_part.into_iter().filter_map(|mut candidate| {
                candidate.prior.centre.x += corner.0 as f32;
                candidate.prior.centre.y += corner.1 as f32;
                let centre = candidate.bounding_box().centre();
                let is_inside =
                    (inner.x1..inner.x2).contains(&centre.x) && (inner.y1..inner.y2).contains(&centre.y);
                is_inside.then_some(candidate)
            }));
        }
        candidates
    }

    /// Whether the parts still show the faces, given those found in them: none is missing, and none has come near the edge
    /// of its part.
    pub fn hold(&self, faces: &[Detection]) -> bool {
        let inner: Vec<BoundingBox> = self.corners.iter().map(|&corner| self.inner(corner)).collect();
        let boxes: Vec<BoundingBox> = faces
            .iter()
            .map(|face| scaled(&face.bounding_box, self.factor))
            .collect();
        let lies = |face: &BoundingBox, part: &BoundingBox| face.common(part) == *face;
        faces.len() >= self.faces
            && boxes.iter().all(|face| inner.iter().any(|part| lies(face, part)))
            && inner.iter().all(|part| boxes.iter().any(|face| lies(face, part)))
    }

    /// What of a part is not near an edge that the picture goes beyond.
    fn inner(&self, (x, y): (u32, u32)) -> BoundingBox {
        let begin = |corner: u32| match corner {
            0 => f32::NEG_INFINITY,
            _ => corner as f32 + NEAREST,
        };
        let end = |corner: u32, size: u32, whole: u32| match corner + size {
            end if end >= whole => f32::INFINITY,
            end => end as f32 - NEAREST,
        };
        BoundingBox {
            x1: begin(x),
            y1: begin(y),
            x2: end(x, self.size.0, self.whole.0),
            y2: end(y, self.size.1, self.whole.1),
        }
    }
}

/// Along one side of `length` pixels: the size of parts that show all of these faces (first and last pixel), and where the
/// part of each begins.
fn parts(faces: impl Iterator<Item = (f32, f32)>, length: u32) -> (u32, Vec<u32>) {
    let down = |pixel: u32, step: u32| pixel / step * step;
    let spans: Vec<(u32, u32)> = faces
        .map(|(first, last)| {
            let begin = down((first - MARGIN).clamp(0.0, (length - 1) as f32) as u32, STRIDE);
            let end = ((last + MARGIN).max(0.0) as u32 / STRIDE + 1) * STRIDE;
            (begin, end.min(length).max(begin + 1))
        })
        .collect();
    let needed = spans.iter().map(|(begin, end)| end - begin).max().unwrap_or(0);
    let stepped = needed.div_ceil(STEP) * STEP;
    // A part that reaches the end of the picture ends there: what a convolution adds beyond has to be added there, too.
    let reaches_end = spans.iter().any(|&(_, end)| end == length);
    let size = match reaches_end {
        true => length - down(length.saturating_sub(stepped), STRIDE),
        false if stepped <= length => stepped,
        false => length,
    };
    let last = down(length - size, STRIDE);
    (
        size,
        spans.into_iter().map(|(begin, _)| begin.min(last)).collect(),
    )
}

fn scaled(of: &BoundingBox, factor: f64) -> BoundingBox {
    let scale = |value: f32| (f64::from(value) * factor) as f32;
    BoundingBox {
        x1: scale(of.x1),
        y1: scale(of.y1),
        x2: scale(of.x2),
        y2: scale(of.y2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::face::Landmarks;
    use crate::face::prior::priors;

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Detection {
        Detection {
            score: 0.9,
            bounding_box: BoundingBox { x1, y1, x2, y2 },
            landmarks: Landmarks::default(),
        }
    }

    #[test]
    fn a_part_reaches_beyond_its_face_and_begins_at_a_stride() {
        // 1280x720 is seen at 640x360: the face lies at 200 to 260, 100 to 180.
        let one = Surroundings::of(&[face(400.0, 200.0, 520.0, 360.0)], (1280, 720), 640).unwrap();
        assert_eq!((one.size(), one.corners()), ((256, 256), &[(128, 32)][..]));
        let none = Surroundings::of(&[], (1280, 720), 640).unwrap();
        assert!(none.corners().is_empty() && none.hold(&[]));
        let close_up = face(200.0, 20.0, 1000.0, 700.0);
        assert_eq!(Surroundings::of(&[close_up], (1280, 720), 640), None);
    }

    #[test]
    fn a_face_that_moves_off_or_is_missing_asks_for_a_whole_look() {
        let faces = [
            face(300.0, 200.0, 400.0, 320.0),
            face(900.0, 200.0, 1000.0, 320.0),
        ];
        let parts = Surroundings::of(&faces, (1280, 720), 640).unwrap();
        assert!(parts.hold(&faces));
        assert!(!parts.hold(&faces[..1]));
        let moved = |by: f32| [face(300.0 + by, 200.0, 400.0 + by, 320.0), faces[1]];
        assert!(parts.hold(&moved(40.0)));
        assert!(!parts.hold(&moved(260.0)));
        // At the edge of the picture nothing lies beyond.
        let corner = [face(0.0, 0.0, 80.0, 100.0)];
        assert!(Surroundings::of(&corner, (1280, 720), 640).unwrap().hold(&corner));
    }

    #[test]
    fn candidates_are_those_of_the_whole_input() {
        let parts = Surroundings::of(&[face(600.0, 300.0, 700.0, 420.0)], (1280, 720), 640).unwrap();
        let (corner, size) = (parts.corners()[0], parts.size());
        let candidate = |prior| Candidate {
            prior,
            score: 0.9,
            bounding_box: [0.0; 4],
            landmarks: [0.0; 10],
        };
        let of_part = priors(size.0, size.1).into_iter().map(candidate).collect();
        let whole = priors(640, 360);
        let found = parts.candidates(vec![of_part]);
        assert!(found.len() > 500);
        for candidate in found {
            assert!(
                whole.contains(&candidate.prior),
                "{:?} at {corner:?}",
                candidate.prior
            );
        }
    }

    proptest! {
        #[test]
        fn parts_lie_in_the_picture_and_show_their_faces(
            picture in (1u32..2000, 1u32..2000),
            places in prop::collection::vec((-0.2f32..1.1, -0.2f32..1.1, 0.001f32..0.6), 0..7),
        ) {
            let faces: Vec<Detection> = places
                .iter()
                .map(|&(x, y, size)| {
                    let (width, height) = (picture.0 as f32, picture.1 as f32);
                    let side = size * width.min(height);
                    face(x * width, y * height, x * width + side, y * height + side)
                })
                .collect();
            let Some(parts) = Surroundings::of(&faces, picture, 640) else { return Ok(()) };
            let whole = Resize::output_size(picture.0, picture.1, 640);
            for &(x, y) in parts.corners() {
                prop_assert!(x % STRIDE == 0 && y % STRIDE == 0);
                prop_assert!(x + parts.size().0 <= whole.0 && y + parts.size().1 <= whole.1);
            }
            for face in &faces {
                let seen = scaled(&face.bounding_box, parts.factor);
                let reaches = |first: f32, last: f32, corner: u32, size: u32, length: u32| {
                    let length = length as f32;
                    corner as f32 <= (first - MARGIN).clamp(0.0, length - 1.0)
                        && (corner + size) as f32 >= (last + MARGIN).min(length)
                };
                let shown = |&(x, y): &(u32, u32)| {
                    reaches(seen.x1, seen.x2, x, parts.size().0, whole.0)
                        && reaches(seen.y1, seen.y2, y, parts.size().1, whole.1)
                };
                prop_assert!(parts.corners().iter().any(shown), "{face:?} {parts:?}");
            }
        }
    }
}
