//! The detector's input: a picture resized bilinearly to a given long side, in float32, blue, green
//! and red minus the means that RetinaFace was trained with.

use crate::frame::Picture;

/// Mean grey levels of blue, green, red.
pub const MEANS: [f32; 3] = [104.0, 117.0, 123.0];

/// How pictures of one size are resized.
pub struct Resize {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
}

/// The two source pixels between which an output pixel's centre lies, and the second one's weight.
pub struct Tap {
    /// The first source pixel, 0-based.
    pub first: usize,
    /// The one after it, or the same at the edge.
    pub second: usize,
    /// How much the second counts, in [0, 1).
    pub weight: f32,
}

impl Resize {
    /// Width and height of what [`Resize::to_long_side`] makes of pictures of `width` x `height` pixels.
    pub fn output_size(width: u32, height: u32, long_side: u32) -> (u32, u32) {
        let factor = factor(width, height, long_side);
        (
            output_size(width, factor) as u32,
            output_size(height, factor) as u32,
        )
    }

    /// Resizes pictures of `width` x `height` pixels, both above 0, so that the longer side gets
    /// `long_side` pixels; larger or smaller.
    pub fn to_long_side(width: u32, height: u32, long_side: u32) -> Self {
        let factor = factor(width, height, long_side);
        Self {
            columns: taps(width, factor),
            rows: taps(height, factor),
        }
    }

    /// Output pixels a source pixel, where the longer side gets `long_side` pixels.
    pub fn factor_of(width: u32, height: u32, long_side: u32) -> f64 {
        factor(width, height, long_side)
    }

    /// Where each output row comes from.
    pub fn rows(&self) -> &[Tap] {
        &self.rows
    }

    /// Where each output column comes from.
    pub fn columns(&self) -> &[Tap] {
        &self.columns
    }

    /// Output width in pixels.
    pub fn width(&self) -> u32 {
        self.columns.len() as u32
    }

    /// Output height in pixels.
    pub fn height(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Writes the resized picture to `output`, `[height, width, 3]`.
    pub fn write(&self, picture: &Picture, output: &mut [f32]) {
        self.write_part(picture, (0, 0), (self.width(), self.height()), output);
    }

    /// Writes a part of the resized picture to `output`, `[height, width, 3]` of its `size` (width, height). It begins at
    /// `corner` (column, row) and must lie within the resized picture.
    pub fn write_part(&self, picture: &Picture, corner: (u32, u32), size: (u32, u32), output: &mut [f32]) {
        let columns = &self.columns[corner.0 as usize..][..size.0 as usize];
        let rows = &self.rows[corner.1 as usize..][..size.1 as usize];
        let (Some(first), Some(last)) = (columns.first(), columns.last()) else {
            return;
        };
        let read = 3 * first.first..3 * (last.second + 1);
        let source: Vec<&[u8]> = picture.rgb().chunks_exact(picture.width() as usize * 3).collect();
        let mut blended = vec![0.0f32; read.len()];
        for (row, output) in rows.iter().zip(output.chunks_exact_mut(3 * columns.len())) {
            let (above, below) = (
                &source[row.first][read.clone()],
                &source[row.second][read.clone()],
            );
            for ((value, &above), &below) in blended.iter_mut().zip(above).zip(below) {
                *value = lerp(f32::from(above), f32::from(below), row.weight);
            }
            for (column, pixel) in columns.iter().zip(output.as_chunks_mut().0) {
                let left = &blended[3 * column.first - read.start..][..3];
                let right = &blended[3 * column.second - read.start..][..3];
                let value = |channel: usize| lerp(left[channel], right[channel], column.weight);
                *pixel = [value(2) - MEANS[0], value(1) - MEANS[1], value(0) - MEANS[2]];
            }
        }
    }
}

fn lerp(a: f32, b: f32, weight: f32) -> f32 {
    a + (b - a) * weight
}

/// The taps along a side of `size` pixels. Positions go by `1 / factor` itself, as OpenCV's do when it
/// is given factors; by the ratio of the rounded sizes the result could be 19 grey levels away.
fn taps(size: u32, factor: f64) -> Vec<Tap> {
    let last = size as usize - 1;
    let tap = |output: usize| {
        let position = ((output as f64 + 0.5) / factor - 0.5).clamp(0.0, last as f64);
        let first = position.floor();
        Tap {
            first: first as usize,
            second: (first as usize + 1).min(last),
            weight: (position - first) as f32,
        }
    };
    (0..output_size(size, factor)).map(tap).collect()
}

fn factor(width: u32, height: u32, long_side: u32) -> f64 {
    f64::from(long_side) / f64::from(width.max(height).max(1))
}

/// Pixels along a side of `size` pixels after resizing.
fn output_size(size: u32, factor: f64) -> usize {
    (f64::from(size) * factor).round_ties_even().max(1.0) as usize
}
