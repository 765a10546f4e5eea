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
    fn of_equal_scores_the_first_stays() {
        let twins = vec![detection(0.9, 0.0, 9.0), detection(0.9, 1.0, 10.0)];
        assert_eq!(suppress(twins, 0.3), [detection(0.9, 0.0, 9.0)]);
    }
}
