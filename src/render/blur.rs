//! Blurs faces so that they cannot be recognised, also in frames where they may be undetected.

use std::collections::BTreeMap;

use super::canvas::Canvas;
use crate::face::{BoundingBox, PersonId};
use crate::table::Row;

/// Margin of the blurred region around a face's box, as a fraction of the longer side of the box.
const MARGIN: f32 = 0.3;
/// Seconds before the first and after the last detection in which a face may be visible but undetected.
const HOLD_SECONDS: f64 = 0.5;
/// Patches along a region's longer side: too few to recognise a person.
const PATCHES: f32 = 7.0;

/// The boxes of faces, frame by frame. While a person is not detected within a shot, the box is interpolated linearly
/// between the detections.
#[derive(Debug, Default)]
pub struct Hidden {
    /// Boxes of each frame, from frame 1 on.
    frames: Vec<Vec<BoundingBox>>,
}

impl Hidden {
    /// From the rows of a table. `cuts`: numbers of the first frames of shots. `rate`: frames a second.
    pub fn new(rows: &[Row], cuts: &[u32], rate: f64) -> Self {
        let last = rows.last().map_or(0, |row| row.frame.number() as usize);
        let mut hidden = Self {
            frames: vec![Vec::new(); last],
        };
        let mut persons: BTreeMap<PersonId, Vec<(u32, BoundingBox)>> = BTreeMap::new();
        for row in rows {
            if let (Some(person), Some((face_box, _))) = (row.person, row.sighting.location()) {
                persons
                    .entry(person)
                    .or_default()
                    .push((row.frame.number(), face_box));
            }
        }
        let hold = (HOLD_SECONDS * rate).ceil() as u32;
        for seen in persons.values() {
            hidden.hide(seen, cuts, hold);
        }
        hidden
    }

    /// Returns the boxes in a frame with a 1-based number.
    pub fn boxes(&self, frame: u32) -> &[BoundingBox] {
        let at = (frame as usize).checked_sub(1);
        at.and_then(|at| self.frames.get(at)).map_or(&[], Vec::as_slice)
    }

    fn hide(&mut self, seen: &[(u32, BoundingBox)], cuts: &[u32], hold: u32) {
        let shot = |frame: u32| cuts.partition_point(|&cut| cut <= frame);
        let same_shot = |a: u32, b: u32| shot(a) == shot(b);
        for (nth, &(frame, face_box)) in seen.iter().enumerate() {
            self.add(frame, face_box);
            let before = nth.checked_sub(1).map(|nth| seen[nth]);
            let begins = before.is_none_or(|(earlier, _)| !same_shot(earlier, frame));
            if begins {
                for earlier in frame.saturating_sub(hold).max(1)..frame {
                    if same_shot(earlier, frame) {
                        self.add(earlier, face_box);
                    }
                }
            }
            match seen.get(nth + 1) {
                Some(&(next, to)) if same_shot(frame, next) => {
                    for between in frame + 1..next {
                        let way = (between - frame) as f32 / (next - frame) as f32;
                        self.add(between, blend(face_box, to, way));
                    }
                }
                _ => {
                    for later in frame + 1..=frame.saturating_add(hold) {
                        if same_shot(frame, later) {
                            self.add(later, face_box);
                        }
                    }
                }
            }
        }
    }

    fn add(&mut self, frame: u32, face_box: BoundingBox) {
        if let Some(boxes) = self.frames.get_mut(frame as usize - 1) {
            boxes.push(face_box);
        }
    }
}

fn blend(from: BoundingBox, to: BoundingBox, way: f32) -> BoundingBox {
    let mix = |from: f32, to: f32| from + (to - from) * way;
    BoundingBox {
        x1: mix(from.x1, to.x1),
        y1: mix(from.y1, to.y1),
        x2: mix(from.x2, to.x2),
        y2: mix(from.y2, to.y2),
    }
}

/// Blurs a box and its margin, in pixels of the canvas: takes the means of a few patches and interpolates between their
/// centres. Nothing of the detail within a patch is left.
pub fn blur(canvas: &mut Canvas, face_box: BoundingBox) {
    let margin = MARGIN * (face_box.x2 - face_box.x1).max(face_box.y2 - face_box.y1);
    let clamp = |value: f32, to: u32| value.clamp(0.0, to as f32) as usize;
    let (width, height) = (canvas.width(), canvas.height());
    let (x1, x2) = (
        clamp(face_box.x1 - margin, width),
        clamp(face_box.x2 + margin + 1.0, width),
    );
    let (y1, y2) = (
        clamp(face_box.y1 - margin, height),
        clamp(face_box.y2 + margin + 1.0, height),
    );
    if x1 >= x2 || y1 >= y2 {
        return;
    }
    let (columns, rows) = (x2 - x1, y2 - y1);
    let side = (columns.max(rows) as f32 / PATCHES).ceil().max(1.0) as usize;
    let (across, down) = (columns.div_ceil(side), rows.div_ceil(side));
    let stride = width as usize * 4;
    let pixels = canvas.rgba_mut();

    let mut sums = vec![[0u32; 4]; across * down];
    for y in 0..rows {
        let row = &pixels[(y1 + y) * stride + x1 * 4..][..columns * 4];
        let patches = &mut sums[y / side * across..][..across];
        for (x, pixel) in row.as_chunks::<4>().0.iter().enumerate() {
            let sum = &mut patches[x / side];
            for (sum, &value) in sum.iter_mut().zip(&pixel[..3]) {
                *sum += u32::from(value);
            }
            sum[3] += 1;
        }
    }
    let means: Vec<[f32; 3]> = sums
        .iter()
        .map(|sum| std::array::from_fn(|channel| sum[channel] as f32 / sum[3].max(1) as f32))
        .collect();

    let passage = |at: usize, patches: usize| {
        let position = ((at as f32 + 0.5) / side as f32 - 0.5).clamp(0.0, patches as f32 - 1.0);
        let first = (position as usize).min(patches - 1);
        (first, (first + 1).min(patches - 1), position - first as f32)
    };
    let columns: Vec<_> = (0..columns).map(|x| passage(x, across)).collect();
    for y in 0..rows {
        let (upper, lower, below) = passage(y, down);
        let row = &mut pixels[(y1 + y) * stride + x1 * 4..][..columns.len() * 4];
        for (pixel, &(left, right, beside)) in row.as_chunks_mut::<4>().0.iter_mut().zip(&columns) {
            for (channel, value) in pixel[..3].iter_mut().enumerate() {
                let mean = |down: usize, across_at: usize| means[down * across + across_at][channel];
                let top = mean(upper, left) + (mean(upper, right) - mean(upper, left)) * beside;
                let bottom = mean(lower, left) + (mean(lower, right) - mean(lower, left)) * beside;
                *value = (top + (bottom - top) * below + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::{Detection, Landmarks};
    use crate::frame::{FrameIndex, Picture};
    use crate::labels::{Affect, FinalAffect};
    use crate::table::Sighting;

    fn square(x: f32) -> BoundingBox {
        BoundingBox {
            x1: x,
            y1: 10.0,
            x2: x + 20.0,
            y2: 30.0,
        }
    }

    fn row(frame: u32, person: u16, face_box: Option<BoundingBox>) -> Row {
        Row {
            frame: FrameIndex::new(frame).unwrap(),
            time_s: None,
            person: Some(PersonId(person)),
            subject: true,
            sighting: face_box.map_or(Sighting::Missing, |bounding_box| {
                Sighting::Found(Detection {
                    score: 1.0,
                    bounding_box,
                    landmarks: Landmarks::default(),
                })
            }),
            quality: None,
            usable: None,
            raw: Affect::default(),
            postprocessed: FinalAffect::default(),
        }
    }

    #[test]
    fn undetected_faces_stay_hidden_within_their_shot() {
        let mut rows: Vec<Row> = (1..=40).map(|frame| row(frame, 0, None)).collect();
        rows[9] = row(10, 0, Some(square(0.0)));
        rows[13] = row(14, 0, Some(square(40.0)));
        rows[24] = row(25, 0, Some(square(90.0)));
        let hidden = Hidden::new(&rows, &[20], 10.0);
        let first = |frame: u32| hidden.boxes(frame).first().map(|face_box| face_box.x1);
        assert_eq!(first(4), None);
        assert_eq!(first(5), Some(0.0), "half a second before");
        assert_eq!(first(12), Some(20.0), "half way");
        assert_eq!(first(19), Some(40.0), "half a second after, to the cut");
        assert_eq!(first(20), Some(90.0), "half a second before, from the cut on");
        assert_eq!(first(30), Some(90.0));
        assert_eq!(first(31), None);
        assert_eq!(first(41), None, "after the table");
    }

    #[test]
    fn a_blurred_region_has_no_detail_and_the_rest_is_as_it_was() {
        let rgb = (0..100 * 80).flat_map(|at| [[255u8, 0, 255], [0, 255, 0]][(at % 100 / 2 + at / 200) % 2]);
        let picture = Picture::from_rgb(100, 80, rgb.collect()).unwrap();
        let mut canvas = Canvas::new(100, 80).unwrap();
        canvas.lay(&picture, 1.0);
        blur(&mut canvas, square(30.0));
        // 20 pixels wide, 6 more on each side.
        for (x, y) in [(25, 5), (40, 20), (54, 35)] {
            let [red, green, _] = canvas.pixel(x, y);
            assert!(
                red.abs_diff(128) < 40 && green.abs_diff(128) < 40,
                "{x} {y}: {red} {green}"
            );
        }
        for (x, y) in [(22, 20), (58, 20), (40, 2), (40, 38)] {
            assert_eq!(canvas.pixel(x, y), picture.pixel(x, y));
        }
        blur(&mut canvas, square(-500.0));
    }
}
