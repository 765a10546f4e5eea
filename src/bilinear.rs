//! Resizes a picture bilinearly, bit for bit as Pillow does: the filter widens where the picture shrinks, first columns and
//! then rows, each rounded to bytes, with weights in fixed point (Pillow's `Resample.c`).

use image::RgbImage;

use crate::frame::Picture;

/// Bits of a weight behind the point: 32 less those of a byte and two to spare.
const PRECISION: u32 = 32 - 8 - 2;

/// A picture so many times as high as wide is first made lower, since Pillow does so.
const VERY_HIGH: u32 = 100;

/// As [`resize`]; `None` for a picture without pixels.
pub fn resize_picture(picture: Picture, width: u32, height: u32) -> Option<Picture> {
    let (old_width, old_height) = (picture.width(), picture.height());
    if old_width == 0 || old_height == 0 {
        return None;
    }
    let picture = RgbImage::from_raw(old_width, old_height, picture.into_rgb())?;
    Picture::from_rgb(width, height, resize(&picture, width, height).into_raw())
}

/// Returns the picture at another size.
pub fn resize(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let is_very_high = picture.height() > VERY_HIGH * picture.width() && height < picture.height();
    if is_very_high {
        with_width(with_height(picture.clone(), height), width)
    } else {
        with_height(with_width(picture.clone(), width), height)
    }
}

fn with_width(picture: RgbImage, width: u32) -> RgbImage {
    if width == picture.width() {
        return picture;
    }
    let columns = weights(picture.width(), width);
    RgbImage::from_fn(width, picture.height(), |x, y| {
        image::Rgb(columns[x as usize].mean(|at| picture.get_pixel(at, y).0))
    })
}

fn with_height(picture: RgbImage, height: u32) -> RgbImage {
    if height == picture.height() {
        return picture;
    }
    let rows = weights(picture.height(), height);
    RgbImage::from_fn(picture.width(), height, |x, y| {
        image::Rgb(rows[y as usize].mean(|at| picture.get_pixel(x, at).0))
    })
}

/// The pixels along one side that make up a pixel of the result.
struct Weights {
    first: u32,
    /// Of the pixels from `first` on; their sum is about 1.
    weights: Vec<i32>,
}

impl Weights {
    fn mean(&self, pixel: impl Fn(u32) -> [u8; 3]) -> [u8; 3] {
        let mut sums = [1 << (PRECISION - 1); 3];
        for (at, &weight) in (self.first..).zip(&self.weights) {
            for (sum, value) in sums.iter_mut().zip(pixel(at)) {
                *sum += i32::from(value) * weight;
            }
        }
        sums.map(|sum| (sum >> PRECISION).clamp(0, 255) as u8)
    }
}

/// The weights of each pixel along a side of `to` pixels, from `from` pixels.
fn weights(from: u32, to: u32) -> Vec<Weights> {
    let scale = f64::from(from) / f64::from(to);
    let reach = scale.max(1.0);
    let of_pixel = |at: u32| {
        let centre = (f64::from(at) + 0.5) * scale;
        // Towards zero, as in C.
        let first = (centre - reach + 0.5).max(0.0) as u32;
        let end = ((centre + reach + 0.5) as u32).min(from);
        let parts: Vec<f64> = (first..end)
            .map(|near| (1.0 - ((f64::from(near) - centre + 0.5) * (1.0 / reach)).abs()).max(0.0))
            .collect();
        let sum: f64 = parts.iter().sum();
        let fixed = |part: f64| (0.5 + part / sum * f64::from(1 << PRECISION)) as i32;
        Weights {
            first,
            weights: parts.into_iter().map(fixed).collect(),
        }
    };
    (0..to).map(of_pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::template::CROP_SIZE;
    use sha2::{Digest, Sha256};

    /// Pixels that `tests/golden/crops/make_crops.py` makes in the same way.
    fn noise(width: u32, height: u32) -> RgbImage {
        let bytes = (0..3 * width * height).map(|at| {
            let mixed = at
                .wrapping_mul(2_654_435_761)
                .wrapping_add(width * 40_503 + height * 48_271);
            (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519).to_be_bytes()[0]
        });
        RgbImage::from_raw(width, height, bytes.collect()).unwrap()
    }

    /// Over 200 sizes, each as Pillow resized it: its width, its height, the sha256 of the resized pixels.
    #[test]
    fn every_bit_is_pillows() {
        let golden = include_str!("../tests/golden/crops/resized.csv");
        let mut sizes = 0;
        for line in golden.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let (width, height) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            let resized = resize(&noise(width, height), CROP_SIZE, CROP_SIZE);
            let hash = Sha256::digest(resized.as_raw());
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, fields[2], "{width}x{height}");
            sizes += 1;
        }
        assert!(sizes >= 200, "{sizes}");
    }

    #[test]
    fn a_picture_of_that_size_stays_as_it_is() {
        let picture = noise(CROP_SIZE, CROP_SIZE);
        assert_eq!(resize(&picture, CROP_SIZE, CROP_SIZE), picture);
    }
}
