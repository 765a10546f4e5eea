//! The network's input: an aligned face, and how its pixels become numbers.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use crate::frame::Picture;

/// A face aligned to the network's template: a picture of 112x112 pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlignedFace(Picture);

impl AlignedFace {
    /// Width and height in pixels.
    pub const SIDE: u32 = 112;

    /// Takes a picture of 112x112 pixels; another size is [`ModelError::CropSize`].
    pub fn new(picture: Picture) -> Result<Self, ModelError> {
        let (width, height) = (picture.width(), picture.height());
        if (width, height) == (Self::SIDE, Self::SIDE) {
            Ok(Self(picture))
        } else {
            Err(ModelError::CropSize { width, height })
        }
    }

    /// The pixels.
    pub fn picture(&self) -> &Picture {
        &self.0
    }
}

/// Input = (RGB / 255 - mean) / std, for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Of red, green and blue, on the scale of 0 to 1.
    pub mean: [f32; 3],
    /// Of red, green and blue, on the scale of 0 to 1.
    pub std: [f32; 3],
}

impl Normalisation {
    /// ImageNet's, which DDAMFN was trained with.
    pub const IMAGENET: Normalisation = Normalisation {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// Refuses numbers that would make no input of a picture; the error names them.
    pub(super) fn check(&self) -> Result<(), String> {
        let usable = |std: &f32| std.is_finite() && *std > 0.0;
        match self.mean.iter().all(|mean| mean.is_finite()) && self.std.iter().all(usable) {
            true => Ok(()),
            false => Err(format!(
                "normalisation: mean {:?} and std {:?}, but they must be finite, std above 0",
                self.mean, self.std
            )),
        }
    }
}
