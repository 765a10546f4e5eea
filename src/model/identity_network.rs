//! The network that tells people apart: dlib's residual network for face identification (Davis King, 2017; `dnn_face_recognition_ex.cpp`
//! in dlib), its affine layers folded into its convolutions.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::layers::{Conv, ConvSpec};
use super::named_tensors::{fill, misfit};
use super::weights::{WeightsError, read_metadata, read_tensors};
use crate::face::chip::CHIP_SIZE;
use crate::frame::Picture;

/// Numbers of a feature of [`IdentityNetwork`].
pub const IDENTITY_FEATURE: usize = 128;

/// The mean colour of its training images, red, green, blue, and the scale of its input.
const MEAN: [f32; 3] = [122.782, 117.001, 104.298];
const SCALE: f64 = 1.0 / 256.0;
/// Channels of each block, and whether it halves the picture.
const BLOCKS: [(i64, bool); 14] = [
    (32, false),
    (32, false),
    (32, false),
    (64, true),
    (64, false),
    (64, false),
    (64, false),
    (128, true),
    (128, false),
    (128, false),
    (256, true),
    (256, false),
    (256, false),
    (256, true),
];

/// What a weight file calls the network in its metadata.
const ARCHITECTURE: &str = "dlib-resnet-v1";

/// Why the network cannot be had or does not run.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The weight file is missing or no safetensors file.
    #[error("cannot read the weights that tell people apart")]
    Unreadable(#[source] WeightsError),
    /// The weight file holds something else.
    #[error("{} does not hold dlib's network for face identification", path.display())]
    Misfit {
        /// The weight file.
        path: PathBuf,
    },
    /// libtorch failed, such as for want of memory.
    #[error("the network that tells people apart failed")]
    Torch(#[from] TchError),
}

/// The network on the CPU, in float32. Any number of threads may use it at once. Its weights, 22 MB, are read when features are
/// first asked for: most videos show nobody who could come back.
#[derive(Debug)]
pub struct IdentityNetwork {
    path: PathBuf,
    /// Locked only to be read and cloned: a tensor of libtorch may be sent to another thread, but not shared.
    layers: Mutex<Option<Layers>>,
}

#[derive(Debug)]
struct Layers {
    first: Conv,
    blocks: Vec<Block>,
    /// `[128, 256]`.
    feature: Tensor,
}

#[derive(Debug, Clone)]
struct Block {
    conv1: Conv,
    conv2: Conv,
    halves: bool,
}

impl IdentityNetwork {
    /// Checks that a `.safetensors` file is whole and one that `models/convert_identity.py` wrote.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        let metadata = read_metadata(path).map_err(IdentityError::Unreadable)?;
        if metadata.get("architecture").map(String::as_str) != Some(ARCHITECTURE) {
            return Err(misfit_of(path));
        }
        Ok(Self {
            path: path.to_owned(),
            layers: Mutex::new(None),
        })
    }

    /// The feature of each chip of a face ([`chip`](crate::face::chip::chip)), of no fixed length. Two of one person are at most
    /// some 0.6 apart. Chips are looked at one by one, so that a feature does not depend on the others.
    ///
    /// # Errors
    /// [`IdentityError`]: of the weights where they are read for this, or of libtorch, such as for want of memory.
    pub fn features(&self, chips: &[Picture]) -> Result<Vec<[f32; IDENTITY_FEATURE]>, IdentityError> {
        let layers = self.layers()?;
        tch::no_grad(|| chips.iter().map(|chip| Ok(layers.feature_of(chip)?)).collect())
    }

    /// The layers, read if they have not been.
    fn layers(&self) -> Result<Layers, IdentityError> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        match &*layers {
            Some(layers) => Ok(layers.shallow_clone()),
            None => Ok(layers.insert(Layers::read(&self.path)?).shallow_clone()),
        }
    }
}

fn misfit_of(path: &Path) -> IdentityError {
    IdentityError::Misfit {
        path: path.to_owned(),
    }
}

impl Layers {
    fn read(path: &Path) -> Result<Self, IdentityError> {
        let (tensors, _) = read_tensors(path).map_err(IdentityError::Unreadable)?;
        let store = VarStore::new(Device::Cpu);
        let layers = Self::define(&store)?;
        if misfit(&store, &tensors).is_some() {
            return Err(misfit_of(path));
        }
        fill(&store, &tensors)?;
        Ok(layers)
    }

    fn define(store: &VarStore) -> Result<Self, TchError> {
        let root = &store.root();
        let mut inputs = BLOCKS[0].0;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (at, (channels, halves)) in BLOCKS.into_iter().enumerate() {
            let path = &(root / "blocks" / at);
            let first = ConvSpec::full(inputs, channels, 3).with_bias();
            let first = if halves { first.stride(2).unpadded() } else { first };
            blocks.push(Block {
                conv1: Conv::new(&(path / "conv1"), first)?,
                conv2: Conv::new(
                    &(path / "conv2"),
                    ConvSpec::full(channels, channels, 3).with_bias(),
                )?,
                halves,
            });
            inputs = channels;
        }
        Ok(Self {
            first: Conv::new(
                &(root / "conv1"),
                ConvSpec::full(3, BLOCKS[0].0, 7).with_bias().stride(2).unpadded(),
            )?,
            blocks,
            feature: (root / "feature").f_zeros("weight", &[IDENTITY_FEATURE as i64, inputs])?,
        })
    }

    fn shallow_clone(&self) -> Self {
        Self {
            first: self.first.clone(),
            blocks: self.blocks.clone(),
            feature: self.feature.shallow_clone(),
        }
    }

    fn feature_of(&self, chip: &Picture) -> Result<[f32; IDENTITY_FEATURE], TchError> {
        let side = i64::from(CHIP_SIZE);
        let input = Tensor::f_from_slice(chip.rgb())?
            .f_view([1, side, side, 3])?
            .f_permute([0, 3, 1, 2])?
            .f_to_kind(Kind::Float)?;
        let input = ((input - Tensor::from_slice(&MEAN).view([1, 3, 1, 1])) * SCALE).contiguous();
        let mut x = self.first.forward(&input)?.f_relu()?;
        x = x.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let feature = x
            .f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?
            .f_matmul(&self.feature.f_tr()?)?;
        let mut numbers = [0.0; IDENTITY_FEATURE];
        feature
            .f_view([-1])?
            .f_copy_data(&mut numbers, IDENTITY_FEATURE)?;
        Ok(numbers)
    }
}

impl Block {
    /// The sum of the block's input, or what is left of it at half the size, and what two convolutions make of it; zeros where
    /// one of them is smaller, or has fewer channels.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let straight = match self.halves {
            true => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)?,
            false => x.shallow_clone(),
        };
        let convolved = self.conv2.forward(&self.conv1.forward(x)?.f_relu()?)?;
        let (a, b) = (straight.size(), convolved.size());
        let grown = |tensor: &Tensor, size: &[i64]| {
            let more = |at: usize| a[at].max(b[at]) - size[at];
            tensor.f_constant_pad_nd([0, more(3), 0, more(2), 0, more(1)])
        };
        (grown(&straight, &a)? + grown(&convolved, &b)?).f_relu()
    }
}
