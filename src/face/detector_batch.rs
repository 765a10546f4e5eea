//! Pictures as the detector's input.

use super::DetectorSettings;
use super::resize::Resize;
use crate::frame::Picture;

/// Pictures resized to one size, side by side in one buffer, which is filled up with zeros to a whole batch.
pub struct DetectorBatch {
    width: u32,
    height: u32,
    pictures: usize,
    values: Vec<f32>,
}

impl DetectorBatch {
    /// Resizes pictures that are equal in [`Resize::output_size`] and not empty; at most
    /// [`DetectorSettings::batch`], the others are left out.
    pub fn prepare(pictures: &[&Picture], settings: &DetectorSettings) -> Self {
        let size = |picture: &Picture| (picture.width(), picture.height());
        let (width, height) = pictures.first().map_or((1, 1), |picture| {
            Resize::output_size(picture.width(), picture.height(), settings.long_side)
        });
        let pixels = width as usize * height as usize;
        let mut values = vec![0.0; settings.batch * pixels * 3];
        let mut resize: Option<((u32, u32), Resize)> = None;
        for (picture, output) in pictures.iter().zip(values.chunks_exact_mut(pixels * 3)) {
            let size = size(picture);
            let resize = match &resize {
                Some((of, resize)) if *of == size => resize,
                _ => {
                    &resize
                        .insert((size, Resize::to_long_side(size.0, size.1, settings.long_side)))
                        .1
                }
            };
            resize.write(picture, output);
        }
        Self {
            width,
            height,
            pictures: pictures.len().min(settings.batch),
            values,
        }
    }

    /// Width of each picture in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of each picture in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The number of pictures, those that fill up not counted.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// `[batch, height, width, 3]`: blue, green and red minus their means.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}
