//! The network's input: an aligned face.

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
