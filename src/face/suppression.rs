//! Non-maximum suppression: one box a face.

use super::{BoundingBox, Detection};

/// Keeps the detections whose overlap with every better one that is kept is at most `overlap`, an
/// intersection over union in [0, 1]. Best first; of equals, the one that came first.
pub fn suppress(mut detections: Vec<Detection>, overlap: f32) -> Vec<Detection> {
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for detection in detections {
        let covered =
            |better: &Detection| pixel_overlap(&better.bounding_box, &detection.bounding_box) > overlap;
        if !kept.iter().any(covered) {
            kept.push(detection);
        }
    }
    kept
}

/// Part of the picture from which a face fills it: the detector then sees parts of the face as further ones.
const FILLS: f32 = 0.5;
/// Part of the picture that such a further face covers at least; a second person behind the first is smaller.
const FURTHER: f32 = 0.2;
/// Part of the further face that lies within the first one at least.
const SHARED: f32 = 0.3;

/// Keeps one box of a face that is as large as the picture or larger: of a box that covers half the picture and another
/// large one that lies over it, the more probable. Boxes count as far as they lie within the picture of
/// `width` x `height` pixels. `detections` are ordered, best first.
pub fn keep_one_filling_face(detections: &mut Vec<Detection>, width: u32, height: u32) {
    let picture = BoundingBox {
        x1: 0.0,
        y1: 0.0,
        x2: width as f32,
        y2: height as f32,
    };
    let mut kept: Vec<BoundingBox> = Vec::new();
    detections.retain(|detection| {
        let visible = detection.bounding_box.common(&picture);
        let part = |b: &BoundingBox| b.area() / picture.area();
        let same = |better: &BoundingBox| {
            let (small, large) = match better.area() < visible.area() {
                true => (better, &visible),
                false => (&visible, better),
            };
            part(large) > FILLS && part(small) > FURTHER && small.common(large).area() > SHARED * small.area()
        };
        let is_first = !kept.iter().any(same);
        if is_first {
            kept.push(visible);
        }
        is_first
    });
}

/// Intersection over union of boxes whose corners are pixels that belong to them: a side has
/// `x2 - x1 + 1` pixels. RetinaFace's thresholds are meant for this convention.
fn pixel_overlap(a: &BoundingBox, b: &BoundingBox) -> f32 {
    let area = |b: &BoundingBox| (b.x2 - b.x1 + 1.0) * (b.y2 - b.y1 + 1.0);
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1) + 1.0).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1) + 1.0).max(0.0);
    let common = width * height;
    common / (area(a) + area(b) - common)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Landmarks;

    fn detection(score: f32, x1: f32, x2: f32) -> Detection {
        Detection {
            score,
            bounding_box: BoundingBox {
                x1,
                y1: 0.0,
                x2,
                y2: 9.0,
            },
            landmarks: Landmarks::default(),
        }
    }

    #[test]
    fn the_best_of_overlapping_boxes_stays() {
        // Sides of 10 pixels; 5 pixels in common of 15 are an overlap of a third.
        let found = suppress(vec![detection(0.7, 0.0, 9.0), detection(0.9, 5.0, 14.0)], 0.3);
        assert_eq!(found, [detection(0.9, 5.0, 14.0)]);
        let both = suppress(vec![detection(0.7, 0.0, 9.0), detection(0.9, 5.0, 14.0)], 0.34);
        assert_eq!(both, [detection(0.9, 5.0, 14.0), detection(0.7, 0.0, 9.0)]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        let chain = [
            detection(0.9, 0.0, 9.0),
            detection(0.8, 4.0, 13.0),
            detection(0.7, 8.0, 17.0),
        ];
        assert_eq!(suppress(chain.to_vec(), 0.3), [chain[0], chain[2]]);
    }

    #[test]
    fn a_face_that_fills_the_picture_has_no_second_one_over_it() {
        let face = |score, x1, y1, x2, y2| Detection {
            bounding_box: BoundingBox { x1, y1, x2, y2 },
            ..detection(score, 0.0, 0.0)
        };
        let kept = |mut faces: Vec<Detection>| {
            keep_one_filling_face(&mut faces, 1280, 960);
            faces.iter().map(|face| face.score).collect::<Vec<f32>>()
        };
        // Of the man in the car, six times as large as in the sample.
        let left = face(0.995, -9.0, 88.0, 967.0, 1301.0);
        let right = face(0.964, 423.0, -91.0, 1358.0, 1118.0);
        assert_eq!(kept(vec![left, right]), [0.995]);
        // Someone small behind, and two who share the picture.
        let behind = face(0.9, 900.0, 100.0, 1100.0, 350.0);
        assert_eq!(kept(vec![left, behind]), [0.995, 0.9]);
        let halves = [
            face(0.9, 0.0, 0.0, 660.0, 960.0),
            face(0.8, 600.0, 0.0, 1280.0, 960.0),
        ];
        assert_eq!(kept(halves.to_vec()), [0.9, 0.8]);
    }

    #[test]
    fn of_equal_scores_the_first_stays() {
        let twins = vec![detection(0.9, 0.0, 9.0), detection(0.9, 1.0, 10.0)];
        assert_eq!(suppress(twins, 0.3), [detection(0.9, 0.0, 9.0)]);
    }
}
