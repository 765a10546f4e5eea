//! The network's input: an aligned face, and how its pixels become numbers.

use serde::{Deserialize, Serialize};

use tch::{Device, Kind, TchError, Tensor};

use super::error::ModelError;
use super::layers::Parameter;
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

/// A face cut out for the networks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceCrops {
    /// As DDAMFN takes it.
    pub aligned: AlignedFace,
    /// In each of the ensemble's other [forms](super::Ensemble::crop_forms).
    pub others: Vec<Picture>,
}

impl From<AlignedFace> for FaceCrops {
    /// Without other forms.
    fn from(aligned: AlignedFace) -> Self {
        Self {
            aligned,
            others: Vec::new(),
        }
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

/// A normalisation on a device.
#[derive(Debug, Clone)]
pub(super) struct Normaliser {
    /// Of the channels, on the scale of 0 to 255.
    mean: Parameter,
    deviation: Parameter,
}

impl Normaliser {
    pub(super) fn new(normalisation: Normalisation, device: Device) -> Result<Self, TchError> {
        let on_scale_of_bytes = |channels: [f32; 3]| -> Result<Parameter, TchError> {
            let channels = Tensor::f_from_slice(&channels.map(|value| value * 255.0))?;
            Ok(Parameter::fixed(channels.f_to_device(device)?))
        };
        Ok(Self {
            mean: on_scale_of_bytes(normalisation.mean)?,
            deviation: on_scale_of_bytes(normalisation.std)?,
        })
    }

    /// Bytes `[N, height, width, 3]` to numbers `[N, 3, height, width]`, channels last in memory.
    pub(super) fn apply(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        pixels
            .f_to_kind(Kind::Float)?
            .f_sub(&self.mean)?
            .f_div(&self.deviation)?
            .f_permute([0, 3, 1, 2])
    }
}

impl Normalisation {
    /// ImageNet's, which DDAMFN was trained with.
    pub const IMAGENET: Normalisation = Normalisation {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// Refuses numbers that would make no input of a picture; the error names them.
    pub(crate) fn check(&self) -> Result<(), String> {
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
