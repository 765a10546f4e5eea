//! Augmentation: random changes of training crops.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::face::similarity::Similarity;
use crate::face::warp::warp;
use crate::frame::Picture;
use crate::model::{AlignedFace, Normalisation};

/// The changes of each training crop, in this order. The defaults are those of the code of arXiv 2407.12390.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Probability of a mirror image.
    pub flip: f64,
    /// Rotation, scaling and translation.
    pub affine: Affine,
    /// Changes of brightness, contrast and saturation.
    pub colour: Colour,
    /// A rectangle of one colour.
    pub erasing: Erasing,
}

/// Rotation, scaling and translation about the centre. Pixels from outside the crop are black.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Affine {
    /// Probability of any change.
    pub probability: f64,
    /// The largest angle in either direction.
    pub degrees: f64,
    /// Smallest and largest factor.
    pub scale: [f64; 2],
    /// The largest shift in either direction, across and down, as a share of the side.
    pub translate: f64,
}

/// Factors on brightness, contrast and saturation, each between 1 - x and 1 + x.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Colour {
    /// The x of the brightness.
    pub brightness: f64,
    /// The x of the contrast.
    pub contrast: f64,
    /// The x of the saturation.
    pub saturation: f64,
    /// Probability that the crop becomes grey.
    pub grey: f64,
}

/// A rectangle of the mean colour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erasing {
    /// Probability of a rectangle.
    pub probability: f64,
    /// Smallest and largest share of the crop's area. Height to width is between 3/10 and 10/3.
    pub area: [f64; 2],
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            flip: 0.5,
            affine: Affine::default(),
            colour: Colour::default(),
            erasing: Erasing::default(),
        }
    }
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            probability: 0.7,
            degrees: 20.0,
            scale: [0.8, 1.0],
            translate: 0.2,
        }
    }
}

impl Default for Erasing {
    fn default() -> Self {
        Self {
            probability: 1.0,
            area: [0.05, 0.05],
        }
    }
}

impl Augmentation {
    /// Returns the crop with random changes.
    pub fn apply(&self, crop: &Picture, random: &mut ChaCha8Rng) -> Picture {
        let mut crop = match random.random_bool(self.flip) {
            true => mirrored(crop),
            false => crop.clone(),
        };
        if random.random_bool(self.affine.probability)
            && let Some(transform) = self.affine.draw(random)
        {
            crop = warp(&crop, &transform, AlignedFace::SIDE);
        }
        self.colour.apply(&mut crop, random);
        if random.random_bool(self.erasing.probability) {
            self.erasing.apply(&mut crop, random);
        }
        crop
    }

    /// Refuses values that are out of range; the error names the limits.
    pub(super) fn check(&self) -> Result<(), String> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let range = |[low, high]: [f64; 2]| low > 0.0 && low <= high;
        let shares = [
            self.flip,
            self.affine.probability,
            self.affine.translate,
            self.colour.brightness,
            self.colour.contrast,
            self.colour.saturation,
            self.colour.grey,
            self.erasing.probability,
            self.erasing.area[1],
        ];
        let sound = shares.into_iter().all(share)
            && range(self.affine.scale)
            && self.affine.scale[1] <= 10.0
            && range(self.erasing.area)
            && (0.0..=180.0).contains(&self.affine.degrees);
        match sound {
            true => Ok(()),
            false => Err(
                "[augmentation] probabilities, translate, colour and area must be between 0 and 1, degrees between \
                 0 and 180, scale and area a smaller and a larger number above 0"
                    .to_owned(),
            ),
        }
    }
}

impl Affine {
    fn draw(&self, random: &mut ChaCha8Rng) -> Option<Similarity> {
        let side = f64::from(AlignedFace::SIDE);
        let angle = within(random, -self.degrees, self.degrees).to_radians();
        let scale = within(random, self.scale[0], self.scale[1]);
        let most = self.translate * side;
        let shift = (within(random, -most, most), within(random, -most, most));
        Similarity::about((side - 1.0) / 2.0, angle, scale, shift)
    }
}

impl Colour {
    fn apply(&self, crop: &mut Picture, random: &mut ChaCha8Rng) {
        let mut factor = |range: f64| within(random, 1.0 - range, 1.0 + range) as f32;
        let (brightness, contrast) = (factor(self.brightness), factor(self.contrast));
        let mut saturation = factor(self.saturation);
        if random.random_bool(self.grey) {
            saturation = 0.0;
        }
        if (brightness, contrast, saturation) == (1.0, 1.0, 1.0) {
            return;
        }
        let (pixels, _) = crop.rgb_mut().as_chunks_mut::<3>();
        let mean = pixels.iter().map(|&pixel| luma(pixel)).sum::<f32>() / pixels.len().max(1) as f32;
        for pixel in pixels {
            let grey = luma(*pixel);
            *pixel = pixel.map(|value| {
                let saturated = grey + (f32::from(value) - grey) * saturation;
                // The cast rounds down and stays within 0 to 255.
                ((mean + (saturated - mean) * contrast) * brightness + 0.5) as u8
            });
        }
    }
}

impl Erasing {
    fn apply(&self, crop: &mut Picture, random: &mut ChaCha8Rng) {
        let side = f64::from(AlignedFace::SIDE);
        let area = within(random, self.area[0], self.area[1]) * side * side;
        // Uniform in the logarithm, as torchvision draws it.
        let most = (10.0f64 / 3.0).ln();
        let aspect = within(random, -most, most).exp();
        let extent = |length: f64| (length.round() as u32).clamp(1, AlignedFace::SIDE);
        let (height, width) = (extent((area * aspect).sqrt()), extent((area / aspect).sqrt()));
        let top = random.random_range(0..=AlignedFace::SIDE - height);
        let left = random.random_range(0..=AlignedFace::SIDE - width);
        let mean = Normalisation::IMAGENET
            .mean
            .map(|share| (share * 255.0).round() as u8);
        let (pixels, _) = crop.rgb_mut().as_chunks_mut::<3>();
        for row in pixels
            .chunks_exact_mut(AlignedFace::SIDE as usize)
            .skip(top as usize)
            .take(height as usize)
        {
            row[left as usize..][..width as usize].fill(mean);
        }
    }
}

/// The picture with left and right exchanged.
fn mirrored(picture: &Picture) -> Picture {
    let mut mirrored = picture.clone();
    let (pixels, _) = mirrored.rgb_mut().as_chunks_mut::<3>();
    for row in pixels.chunks_exact_mut((picture.width() as usize).max(1)) {
        row.reverse();
    }
    mirrored
}

/// Luma of Rec. 601.
fn luma([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

/// A uniform number from `low` to below `high`; `low` if that range is empty.
fn within(random: &mut impl Rng, low: f64, high: f64) -> f64 {
    match low < high {
        true => random.random_range(low..high),
        false => low,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// No change at all.
    const NOTHING: Augmentation = Augmentation {
        flip: 0.0,
        affine: Affine {
            probability: 0.0,
            degrees: 0.0,
            scale: [1.0, 1.0],
            translate: 0.0,
        },
        colour: Colour {
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            grey: 0.0,
        },
        erasing: Erasing {
            probability: 0.0,
            area: [0.05, 0.05],
        },
    };

    fn crop() -> Picture {
        let side = AlignedFace::SIDE as usize;
        let rgb = (0..side * side * 3).map(|i| (i * 31 % 251) as u8).collect();
        Picture::from_rgb(AlignedFace::SIDE, AlignedFace::SIDE, rgb).unwrap()
    }

    fn applied(augmentation: &Augmentation, seed: u64) -> Picture {
        augmentation.apply(&crop(), &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn nothing_changes_nothing_and_one_seed_gives_one_picture() {
        assert!(applied(&NOTHING, 1) == crop());
        let all = Augmentation {
            colour: Colour {
                brightness: 0.3,
                contrast: 0.3,
                saturation: 0.3,
                grey: 0.2,
            },
            ..Augmentation::default()
        };
        assert!(applied(&all, 1) == applied(&all, 1));
        assert!(applied(&all, 1) != applied(&all, 2));
    }

    #[test]
    fn a_mirror_swaps_columns() {
        let flip = Augmentation { flip: 1.0, ..NOTHING };
        assert_eq!(applied(&flip, 1).pixel(3, 7), crop().pixel(108, 7));
    }

    #[test]
    fn an_affine_of_no_size_keeps_the_picture() {
        let still = Augmentation {
            affine: Affine {
                probability: 1.0,
                ..NOTHING.affine
            },
            ..NOTHING
        };
        assert!(applied(&still, 1) == crop());
    }

    #[test]
    fn grey_pictures_have_equal_channels() {
        let grey = Augmentation {
            colour: Colour {
                grey: 1.0,
                ..NOTHING.colour
            },
            ..NOTHING
        };
        let picture = applied(&grey, 1);
        assert!(
            picture
                .rgb()
                .as_chunks::<3>()
                .0
                .iter()
                .all(|[r, g, b]| r == g && g == b)
        );
    }

    #[test]
    fn the_erased_rectangle_has_the_area_asked_for() {
        let erasing = Augmentation {
            erasing: Erasing {
                probability: 1.0,
                area: [0.05, 0.05],
            },
            ..NOTHING
        };
        for seed in 0..20 {
            let (before, after) = (crop(), applied(&erasing, seed));
            let pixels = |picture: &Picture| picture.rgb().as_chunks::<3>().0.to_vec();
            let pairs = pixels(&before).into_iter().zip(pixels(&after));
            let erased = pairs.filter(|(before, after)| before != after).count();
            assert!((590..=670).contains(&erased), "{erased} of 627 pixels");
        }
    }
}
