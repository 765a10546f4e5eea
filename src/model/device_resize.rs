//! Resizing on the device, with the same numbers as [`Resize`] gives on a CPU.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use crate::face::resize::{MEANS, Resize, Tap};

/// Sizes of pictures whose taps are kept.
const KEPT: usize = 32;

/// Resizes whole pictures for the detector. Taps are kept on the device by the size of pictures; a clone begins with none.
#[derive(Debug, Default)]
pub struct DeviceResize(RefCell<BTreeMap<(u32, u32), Taps>>);

/// The source pixels of each output row and column, and how far the second one counts.
#[derive(Debug)]
struct Taps {
    rows: [Tensor; 2],
    row_weights: Tensor,
    columns: [Tensor; 2],
    column_weights: Tensor,
    /// Of blue, green, red.
    means: Tensor,
}

impl Clone for DeviceResize {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl DeviceResize {
    /// Pictures `[N, height, width, 3]` as bytes of red, green and blue to `[N, H, W, 3]`, blue, green and red minus their
    /// means, whose longer side is `long_side`.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn apply(&self, frames: &Tensor, long_side: u32) -> Result<Tensor, TchError> {
        let (_, height, width, _) = frames.size4()?;
        let size = (width as u32, height as u32);
        let mut known = self.0.borrow_mut();
        if !known.contains_key(&size) {
            if known.len() == KEPT {
                known.clear();
            }
            known.insert(size, Taps::new(size, long_side, frames.device())?);
        }
        known[&size].apply(frames)
    }
}

impl Taps {
    fn new((width, height): (u32, u32), long_side: u32, device: Device) -> Result<Self, TchError> {
        let resize = Resize::to_long_side(width, height, long_side);
        let sources = |taps: &[Tap]| -> Result<[Tensor; 2], TchError> {
            let numbers = |of: fn(&Tap) -> usize| {
                let numbers: Vec<i64> = taps.iter().map(|tap| of(tap) as i64).collect();
                Tensor::f_from_slice(&numbers)?.f_to_device(device)
            };
            Ok([numbers(|tap| tap.first)?, numbers(|tap| tap.second)?])
        };
        let weights = |taps: &[Tap], shape: [i64; 4]| {
            let weights: Vec<f32> = taps.iter().map(|tap| tap.weight).collect();
            Tensor::f_from_slice(&weights)?.f_view(shape)?.f_to_device(device)
        };
        Ok(Self {
            rows: sources(resize.rows())?,
            row_weights: weights(resize.rows(), [1, -1, 1, 1])?,
            columns: sources(resize.columns())?,
            column_weights: weights(resize.columns(), [1, 1, -1, 1])?,
            means: Tensor::f_from_slice(&MEANS)?.f_to_device(device)?,
        })
    }

    fn apply(&self, frames: &Tensor) -> Result<Tensor, TchError> {
        let row = |numbers: &Tensor| frames.f_index_select(1, numbers)?.f_to_kind(Kind::Float);
        let blended = blend(row(&self.rows[0])?, row(&self.rows[1])?, &self.row_weights)?;
        let column = |numbers: &Tensor| blended.f_index_select(2, numbers);
        let resized = blend(
            column(&self.columns[0])?,
            column(&self.columns[1])?,
            &self.column_weights,
        )?;
        resized.f_flip([3])?.f_sub_(&self.means)
    }
}

/// `first + (second - first) * weight`, in that order, as on the CPU.
fn blend(first: Tensor, mut second: Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    second.f_sub_(&first)?.f_mul_(weight)?.f_add_(&first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Picture;

    #[test]
    fn the_device_resizes_as_the_cpu_does_bit_for_bit() {
        for (width, height, long_side) in [(64, 36, 40), (30, 50, 64), (40, 40, 40), (5, 7, 32)] {
            let bytes: Vec<u8> = (0..2 * width * height * 3)
                .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            let shape = [2, i64::from(height), i64::from(width), 3];
            let frames = Tensor::from_data_size(&bytes, &shape, Kind::Uint8);
            let ours = DeviceResize::default().apply(&frames, long_side).unwrap();
            let resize = Resize::to_long_side(width, height, long_side);
            let size = 3 * (resize.width() * resize.height()) as usize;
            let mut expected = vec![0.0f32; 2 * size];
            let pictures = bytes.chunks_exact((width * height * 3) as usize);
            for (picture, output) in pictures.zip(expected.chunks_exact_mut(size)) {
                let picture = Picture::from_rgb(width, height, picture.to_vec()).unwrap();
                resize.write(&picture, output);
            }
            assert_eq!(Vec::<f32>::try_from(ours.flatten(0, -1)).unwrap(), expected);
        }
    }
}
