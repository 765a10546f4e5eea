//! Chips: faces as the network that tells people apart takes them.

use super::similarity::Similarity;
use super::warp::warp;
use super::{Landmarks, Point};
use crate::frame::Picture;

/// Side of a chip in pixels.
pub const CHIP_SIZE: u32 = 150;

/// Where dlib's `get_face_chip_details(shape, 150, 0.25)` brings the middle of the eyes, the tip of the nose and the corners of
/// the mouth: its mean face, of which those are the means of points 36 to 41 and 42 to 47, and points 30, 48 and 54.
const LANDMARKS: [(f32, f32); 5] = [
    (47.549, 46.599),
    (100.476, 46.599),
    (74.013, 76.563),
    (50.415, 103.023),
    (97.610, 103.023),
];

/// The most pixels of a picture, along a side, that are averaged for a pixel of a chip.
const MOST_AVERAGED: u32 = 4;

/// A face as a chip of [`CHIP_SIZE`] pixels, black outside of the picture; `None` if its landmarks fit nothing.
pub fn chip(picture: &Picture, landmarks: &Landmarks) -> Option<Picture> {
    let to_chip = to_chip(landmarks, 1)?;
    let [[a, b, _], _] = to_chip.matrix();
    let pixels = (1.0 / a.hypot(b)).floor();
    let averaged = (pixels.max(1.0) as u32).min(MOST_AVERAGED);
    if averaged == 1 {
        return Some(warp(picture, &to_chip, CHIP_SIZE));
    }
    let fine = warp(
        picture,
        &self::to_chip(landmarks, averaged)?,
        CHIP_SIZE * averaged,
    );
    Some(averaged_over(&fine, averaged))
}

/// What brings a face to a chip of so many times the side.
fn to_chip(landmarks: &Landmarks, times: u32) -> Option<Similarity> {
    let times = times as f32;
    let place = |at: f32| (at + 0.5) * times - 0.5;
    let target = LANDMARKS.map(|(x, y)| Point {
        x: place(x),
        y: place(y),
    });
    Similarity::estimate(landmarks, &Landmarks(target))
}

/// Each pixel the mean of `side` x `side` of a picture.
fn averaged_over(fine: &Picture, side: u32) -> Picture {
    let mut chip = Picture::black(fine.width() / side, fine.height() / side);
    let width = chip.width();
    for (at, pixel) in chip.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (column, row) = (at as u32 % width * side, at as u32 / width * side);
        let mut sum = [0u32; 3];
        for y in row..row + side {
            for x in column..column + side {
                let colour = fine.pixel(x, y);
                sum.iter_mut()
                    .zip(colour)
                    .for_each(|(sum, value)| *sum += u32::from(value));
            }
        }
        *pixel = sum.map(|sum| ((sum + side * side / 2) / (side * side)) as u8);
    }
    chip
}

/// The most chips that are kept of a track.
const MOST_KEPT: usize = 8;

/// Looks at the face of a track, evenly spread over its usable ones: all of the first few, then every second, every fourth.
#[derive(Debug, Default)]
pub struct KeptChips {
    chips: Vec<Picture>,
    usable: u64,
    /// How many usable looks there are to one that is kept, as a power of two.
    doublings: u32,
}

impl KeptChips {
    /// Counts a usable look, and keeps it if its turn has come.
    pub fn look(&mut self, chip: impl FnOnce() -> Option<Picture>) {
        let number = self.usable;
        self.usable += 1;
        if !number.is_multiple_of(1 << self.doublings) {
            return;
        }
        if self.chips.len() == MOST_KEPT {
            let mut at = 0;
            self.chips.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.doublings = (self.doublings + 1).min(u64::BITS - 1);
            if !number.is_multiple_of(1 << self.doublings) {
                return;
            }
        }
        self.chips.extend(chip());
    }

    /// How many chips there are.
    pub fn count(&self) -> usize {
        self.chips.len()
    }

    /// How many usable looks there were.
    pub fn usable(&self) -> u64 {
        self.usable
    }

    /// Takes the chips out; later looks are kept as far apart as before.
    pub fn take(&mut self) -> Vec<Picture> {
        std::mem::take(&mut self.chips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(usable: u8) -> Vec<u8> {
        let mut kept = KeptChips::default();
        for look in 0..usable {
            kept.look(|| Picture::from_rgb(1, 1, vec![look; 3]));
        }
        kept.take().iter().map(|chip| chip.rgb()[0]).collect()
    }

    #[test]
    fn looks_are_spread_over_the_track() {
        assert_eq!(kept(3), [0, 1, 2]);
        assert_eq!(kept(8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(kept(9), [0, 2, 4, 6, 8]);
        assert_eq!(kept(17), [0, 4, 8, 12, 16]);
        assert_eq!(kept(100), [0, 16, 32, 48, 64, 80, 96]);
    }

    #[test]
    fn a_large_face_is_averaged_and_lies_where_a_small_one_does() {
        // A bright square between the eyes, at the size of a chip and three times as large.
        let face = |times: f32| {
            let side = (CHIP_SIZE as f32 * times) as u32;
            let mut picture = Picture::black(side, side);
            for (at, pixel) in picture.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (x, y) = (
                    (at as u32 % side) as f32 / times,
                    (at as u32 / side) as f32 / times,
                );
                if (60.0..90.0).contains(&x) && (30.0..60.0).contains(&y) {
                    *pixel = [200; 3];
                }
            }
            let landmarks = LANDMARKS.map(|(x, y)| Point {
                x: (x + 0.5) * times - 0.5,
                y: (y + 0.5) * times - 0.5,
            });
            chip(&picture, &Landmarks(landmarks)).unwrap()
        };
        let (small, large) = (face(1.0), face(3.0));
        let different = small
            .rgb()
            .iter()
            .zip(large.rgb())
            .filter(|(a, b)| a.abs_diff(**b) > 8)
            .count();
        assert!(different < 3 * 130, "{different} of {}", small.rgb().len());
    }
}
