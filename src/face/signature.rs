//! Tiny likenesses of pictures, to find where shots begin.

use crate::frame::Picture;

/// Cells of the signature, across and down.
const COLUMNS: usize = 32;
const ROWS: usize = 18;
/// Samples of a cell, across and down.
const SAMPLES: usize = 4;
/// Luma below which a cell is black.
const BLACK: f32 = 8.0;
/// Contrast (standard deviation of luma) below which a picture shows nothing.
const BLANK_CONTRAST: f32 = 3.0;
/// Cells from which on two pictures can be compared.
const LEAST_CELLS: f32 = 16.0;
/// How far the camera may turn between two whole frames, in cells. The less both show, the sooner something is alike by
/// chance: the reach falls with the square of its side.
const PAN_COLUMNS: isize = 8;
const PAN_ROWS: isize = 4;
/// In a flash this share of the cells becomes brighter (at its end, darker) by `FLASH_STEP` of luma.
const FLASH_SHARE: f32 = 0.8;
const FLASH_STEP: f32 = 10.0;

/// A tiny likeness of a picture: the luma of `18 x 32` cells, each the mean of 16 samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    width: u32,
    height: u32,
    luma: Box<[[f32; COLUMNS]; ROWS]>,
    /// The smallest rectangle around all cells that are not black.
    shown: Region,
}

/// A rectangle of cells, the right and the bottom edge left out.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Region {
    left: isize,
    top: isize,
    right: isize,
    bottom: isize,
}

impl Region {
    fn of(luma: &[[f32; COLUMNS]; ROWS]) -> Self {
        let row = |row: &usize| luma[*row].iter().any(|luma| *luma >= BLACK);
        let column = |column: &usize| luma.iter().any(|row| row[*column] >= BLACK);
        let end = |last: Option<usize>| last.map_or(0, |last| last as isize + 1);
        Self {
            left: (0..COLUMNS).find(column).unwrap_or(0) as isize,
            top: (0..ROWS).find(row).unwrap_or(0) as isize,
            right: end((0..COLUMNS).rfind(column)),
            bottom: end((0..ROWS).rfind(row)),
        }
    }

    /// Moved, as far as it stays in the picture.
    fn moved(&self, columns: isize, rows: isize) -> Self {
        Self {
            left: (self.left + columns).max(0),
            top: (self.top + rows).max(0),
            right: (self.right + columns).min(COLUMNS as isize),
            bottom: (self.bottom + rows).min(ROWS as isize),
        }
    }
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
            shown: Region::of(&luma),
            luma,
        }
    }

    /// Whether the picture has another size.
    pub(super) fn is_resized(&self, other: &Signature) -> bool {
        (self.width, self.height) != (other.width, other.height)
    }

    /// Neither a black, white or grey picture nor nearly one.
    pub(super) fn shows_something(&self) -> bool {
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

    /// How different another picture is that was panned by some cells: one minus the correlation of what both show.
    /// Black bars are left out, and black grounds: only the smallest rectangle around all that is not black counts, and in
    /// it no cell that is black in both.
    fn difference_panned(&self, other: &Signature, columns: isize, rows: isize) -> f32 {
        let (own, there) = (&self.shown, other.shown.moved(columns, rows));
        let shared_rows = own.top.max(there.top)..own.bottom.min(there.bottom);
        let shared_columns = own.left.max(there.left)..own.right.min(there.right);
        if shared_rows.is_empty() || shared_columns.is_empty() {
            return 1.0;
        }
        let (mut n, mut sum_a, mut sum_b, mut sum_aa, mut sum_bb, mut sum_ab) =
            (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for row in shared_rows {
            let here = &self.luma[row as usize][shared_columns.start as usize..shared_columns.end as usize];
            let there = &other.luma[(row - rows) as usize][(shared_columns.start - columns) as usize..];
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
        if n < LEAST_CELLS {
            return 1.0;
        }
        let contrast = |sum: f32, squares: f32| {
            let variance: f32 = squares / n - (sum / n).powi(2);
            variance.max(0.0).sqrt().max(BLANK_CONTRAST)
        };
        let together = sum_ab / n - sum_a * sum_b / (n * n);
        1.0 - together / (contrast(sum_a, sum_aa) * contrast(sum_b, sum_bb))
    }

    /// How different another picture is, brightness and contrast aside.
    pub(super) fn difference_still(&self, other: &Signature) -> f32 {
        self.difference_panned(other, 0, 0)
    }

    /// How different another picture is, if the camera may have turned or a flash gone off, not
    /// both. A turn is looked for only where the difference is not below `enough` without.
    pub(super) fn difference(&self, other: &Signature, enough: f32) -> f32 {
        let still = self.difference_still(other);
        if still < enough || self.is_flash_beside(other) {
            return still;
        }
        let (shown, there) = (&self.shown, &other.shown);
        let rows = (shown.bottom - shown.top).min(there.bottom - there.top).max(0);
        let columns = (shown.right - shown.left).min(there.right - there.left).max(0);
        let most_rows = PAN_ROWS * rows.pow(2) / (ROWS as isize).pow(2);
        let most_columns = PAN_COLUMNS * columns.pow(2) / (COLUMNS as isize).pow(2);
        let pans = (-most_rows..=most_rows)
            .flat_map(|rows| (-most_columns..=most_columns).map(move |columns| (columns, rows)));
        pans.map(|(columns, rows)| self.difference_panned(other, columns, rows))
            .fold(still, f32::min)
    }

    /// Where the picture lies on the way from one to another that are laid over each other (0: the first, 1: the second),
    /// and what the best mixture of both leaves unexplained, as a share of their squared distance.
    pub(super) fn mixture(&self, from: &Signature, to: &Signature) -> (f32, f32) {
        let (mut along, mut square, mut whole) = (0.0, 0.0, 0.0);
        for ((row, from), to) in self.luma.iter().zip(from.luma.iter()).zip(to.luma.iter()) {
            for ((luma, from), to) in row.iter().zip(from).zip(to) {
                let (way, gone) = (to - from, luma - from);
                along += way * gone;
                square += way * way;
                whole += gone * gone;
            }
        }
        let place = along / square;
        (place, (whole - place * along).max(0.0) / square)
    }

    /// Nearly the whole picture is brighter than another, or darker.
    pub(super) fn is_flash_beside(&self, other: &Signature) -> bool {
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
