//! Shots: where one ends and another begins.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::FaceError;
use crate::frame::Picture;

/// When a hard cut is seen. A difference is one minus a correlation: 0 for the same picture,
/// about 1 for two that have nothing in common, whatever their brightness and contrast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShotSettings {
    /// No difference below this is a cut, in [0, 1].
    pub possible: f32,
    /// A difference above this is a cut in any case, in [0, 1].
    pub certain: f32,
    /// In between, a cut is this many times the usual difference from frame to frame.
    pub prominence: f32,
    /// Number of frames that a new one is compared with: a flash shorter than this is no cut.
    pub memory: NonZeroUsize,
}

impl Default for ShotSettings {
    fn default() -> Self {
        Self {
            possible: 0.25,
            certain: 0.6,
            prominence: 4.0,
            memory: NonZeroUsize::MIN.saturating_add(2),
        }
    }
}

impl ShotSettings {
    /// Refuses numbers that make no sense.
    pub fn check(&self) -> Result<(), FaceError> {
        let not_below_zero = |value: f64| value.is_finite() && value >= 0.0;
        let settings = [
            ("possible", self.possible.into()),
            ("certain", self.certain.into()),
            ("prominence", self.prominence.into()),
        ];
        FaceError::unless(not_below_zero, "0 or above", &settings)
    }
}

/// Cells of the signature, across and down.
const COLUMNS: usize = 32;
const ROWS: usize = 18;
/// Samples of a cell, across and down.
const SAMPLES: usize = 4;
/// Luma below which a cell belongs to a black bar, if it does so in both pictures.
const BLACK: f32 = 8.0;
/// Contrast (standard deviation of luma) below which a picture shows nothing.
const BLANK_CONTRAST: f32 = 3.0;
/// How far the camera may turn between two frames, in cells.
const PAN_COLUMNS: isize = 8;
const PAN_ROWS: isize = 4;
/// In a flash this share of the cells becomes brighter (at its end, darker) by `FLASH_STEP` of luma.
const FLASH_SHARE: f32 = 0.8;
const FLASH_STEP: f32 = 10.0;
/// Weight of a new frame in the usual difference.
const USUAL_WEIGHT: f32 = 0.2;

/// A tiny likeness of a picture: the luma of `18 x 32` cells, each the mean of 16 samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    width: u32,
    height: u32,
    luma: Box<[[f32; COLUMNS]; ROWS]>,
}

impl Signature {
    /// The signature of a picture; its cost does not depend on the picture's size.
    pub fn of(picture: &Picture) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut luma = Box::new([[0.0; COLUMNS]; ROWS]);
        if width > 0 && height > 0 {
            let offsets: [usize; COLUMNS * SAMPLES] =
                std::array::from_fn(|sample| (2 * sample + 1) * width / (2 * COLUMNS * SAMPLES) * 3);
            for line in 0..ROWS * SAMPLES {
                let y = (2 * line + 1) * height / (2 * ROWS * SAMPLES);
                let pixels = &picture.rgb()[y * width * 3..(y + 1) * width * 3];
                for (cell, offsets) in luma[line / SAMPLES].iter_mut().zip(offsets.chunks_exact(SAMPLES)) {
                    // BT.601 weights in 1/256.
                    let sum: u32 = offsets
                        .iter()
                        .map(|&at| {
                            77 * u32::from(pixels[at])
                                + 150 * u32::from(pixels[at + 1])
                                + 29 * u32::from(pixels[at + 2])
                        })
                        .sum();
                    *cell += sum as f32 / (256 * SAMPLES * SAMPLES) as f32;
                }
            }
        }
        Self {
            width: picture.width(),
            height: picture.height(),
            luma,
        }
    }

    /// Neither a black, white or grey picture nor nearly one.
    fn shows_something(&self) -> bool {
        let cells = (COLUMNS * ROWS) as f32;
        let mean = self.luma.iter().flatten().sum::<f32>() / cells;
        let variance = self
            .luma
            .iter()
            .flatten()
            .map(|luma| (luma - mean).powi(2))
            .sum::<f32>()
            / cells;
        variance > BLANK_CONTRAST * BLANK_CONTRAST
    }

    /// How different another picture is that was panned by some cells: one minus the correlation
    /// of what both show, black bars left out.
    fn difference_panned(&self, other: &Signature, columns: isize, rows: isize) -> f32 {
        let (mut n, mut sum_a, mut sum_b, mut sum_aa, mut sum_bb, mut sum_ab) =
            (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        let columns_here = columns.max(0) as usize..(COLUMNS as isize + columns.min(0)) as usize;
        for row in rows.max(0)..ROWS as isize + rows.min(0) {
            let here = &self.luma[row as usize][columns_here.clone()];
            let there =
                &other.luma[(row - rows) as usize][(columns_here.start as isize - columns) as usize..];
            for (&a, &b) in here.iter().zip(there) {
                let counts = if a < BLACK && b < BLACK { 0.0 } else { 1.0 };
                n += counts;
                sum_a += counts * a;
                sum_b += counts * b;
                sum_aa += counts * a * a;
                sum_bb += counts * b * b;
                sum_ab += counts * a * b;
            }
        }
        if n < (COLUMNS * ROWS / 8) as f32 {
            return 1.0;
        }
        let contrast_a = (sum_aa / n - (sum_a / n).powi(2))
            .max(0.0)
            .sqrt()
            .max(BLANK_CONTRAST);
        let contrast_b = (sum_bb / n - (sum_b / n).powi(2))
            .max(0.0)
            .sqrt()
            .max(BLANK_CONTRAST);
        let together = sum_ab / n - sum_a * sum_b / (n * n);
        1.0 - together / (contrast_a * contrast_b)
    }

    /// How different another picture is, if the camera may have turned or a flash gone off, not
    /// both. A turn is looked for only where the difference is not below `enough` without.
    fn difference(&self, other: &Signature, enough: f32) -> f32 {
        let still = self.difference_panned(other, 0, 0);
        if still < enough || self.is_flash_beside(other) {
            return still;
        }
        let pans = (-PAN_ROWS..=PAN_ROWS)
            .flat_map(|rows| (-PAN_COLUMNS..=PAN_COLUMNS).map(move |columns| (columns, rows)));
        pans.map(|(columns, rows)| self.difference_panned(other, columns, rows))
            .fold(still, f32::min)
    }

    /// Nearly the whole picture is brighter than another, or darker.
    fn is_flash_beside(&self, other: &Signature) -> bool {
        let steps = self
            .luma
            .iter()
            .flatten()
            .zip(other.luma.iter().flatten())
            .map(|(a, b)| a - b);
        let (mut brighter, mut darker) = (0, 0);
        for step in steps {
            brighter += usize::from(step > FLASH_STEP);
            darker += usize::from(step < -FLASH_STEP);
        }
        brighter.max(darker) as f32 > FLASH_SHARE * (COLUMNS * ROWS) as f32
    }
}

/// Tells frame by frame whether a new shot begins. Its memory is a few signatures.
///
/// A frame begins a shot if it is like none of the last few, brightness, contrast and a turn of the
/// camera aside, and the difference stands out from the usual. A frame that shows nothing (black,
/// white) is passed over; the next one that does is compared with the last that did.
#[derive(Debug, Clone)]
pub struct ShotDetector {
    settings: ShotSettings,
    /// The last frames of this shot that showed something, the newest first.
    recent: VecDeque<Signature>,
    /// Running mean of the difference from frame to frame. A cut counts too: where one seems to
    /// follow another they are more likely a wild motion.
    usual: f32,
}

impl ShotDetector {
    /// A detector for one video.
    pub fn new(settings: ShotSettings) -> Self {
        Self {
            settings,
            recent: VecDeque::new(),
            usual: 0.0,
        }
    }

    /// Takes the next frame in order: does a hard cut lie before it? Never before the first frame.
    /// A change of the picture's size is a cut.
    pub fn is_cut(&mut self, frame: &Signature) -> bool {
        let last = self.recent.front();
        let resized = last.is_some_and(|last| (last.width, last.height) != (frame.width, frame.height));
        if !resized && !frame.shows_something() {
            return false;
        }
        let difference = self.difference(frame);
        let cut = resized || difference.is_some_and(|difference| difference > self.least_cut(frame));
        if cut {
            self.recent.clear();
        }
        if let Some(difference) = difference {
            self.usual += USUAL_WEIGHT * (difference - self.usual);
        }
        self.recent.truncate(self.settings.memory.get() - 1);
        self.recent.push_front(frame.clone());
        cut
    }

    /// The difference from the most similar of the last frames; `None` at the video's beginning.
    fn difference(&self, frame: &Signature) -> Option<f32> {
        let possible = self.settings.possible;
        let mut least: Option<f32> = None;
        for known in &self.recent {
            let difference = frame.difference(known, possible);
            least = Some(least.map_or(difference, |least| least.min(difference)));
            if difference < possible {
                break;
            }
        }
        least
    }

    /// The difference from which this frame is a cut.
    fn least_cut(&self, frame: &Signature) -> f32 {
        let ShotSettings {
            possible,
            certain,
            prominence,
            ..
        } = self.settings;
        if self
            .recent
            .front()
            .is_some_and(|last| frame.is_flash_beside(last))
        {
            certain
        } else {
            (prominence * self.usual).min(certain).max(possible)
        }
    }
}
