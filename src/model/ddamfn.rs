//! The whole network.

use std::collections::BTreeMap;

use tch::nn::{Path, VarStore};
use tch::{Device, TchError, Tensor};

use super::architecture::{ATTENTION_HEADS, Architecture};
use super::backbone::{Backbone, FEATURE_CHANNELS, FEATURE_SIDE};
use super::direction_attention::DirectionAttention;
use super::error::ModelError;
use super::heads::{HeadOutputs, Heads};
use super::inference_form::InferenceForm;
use super::layers::{ConvBn, ConvSpec, Mode};
use super::named_tensors::{Misfit, NamedTensors, fill, misfit};

/// The dual-direction attention mixed feature network with its heads (arXiv 2407.12390).
///
/// A clone shares the weights' storage.
#[derive(Debug, Clone)]
pub struct Ddamfn {
    backbone: Backbone,
    attention: [DirectionAttention; ATTENTION_HEADS],
    /// A depthwise convolution as large as the map: a pool with learned weights ("GDConv").
    embed: ConvBn,
    heads: Heads,
}

/// What the network computes on the way and at its end.
#[derive(Debug)]
pub struct Outputs {
    /// The map of each attention head, `[N, 512, 7, 7]`, in (0, 1).
    pub attention: [Tensor; ATTENTION_HEADS],
    /// `[N, 512]`.
    pub embedding: Tensor,
    /// The tasks' outputs.
    pub heads: HeadOutputs,
}

impl Ddamfn {
    /// The network filled with tensors by PyTorch's names, its variables registered in `store`
    /// (empty before), on the store's device and in its kind (`f32` or `f64`).
    ///
    /// Tensors may be of any floating kind and device. Names that the network does not have are
    /// left alone: [`is_unused`](super::is_unused) tells the expected ones.
    ///
    /// # Errors
    /// [`ModelError::WeightsDoNotFit`] lists every missing and every misshapen tensor.
    pub fn from_tensors(
        store: &VarStore,
        architecture: &Architecture,
        tensors: &NamedTensors,
    ) -> Result<Self, ModelError> {
        let network = Self::define(&store.root(), architecture)?;
        if let Some(Misfit { missing, misshapen }) = misfit(store, tensors) {
            return Err(ModelError::WeightsDoNotFit {
                architecture: architecture.to_string(),
                missing,
                misshapen,
            });
        }
        fill(store, tensors)?;
        Ok(network)
    }

    /// The network with all parameters zero.
    fn define(root: &Path, architecture: &Architecture) -> Result<Self, TchError> {
        let attention =
            |name| DirectionAttention::new(&(root / name / "CoordAtt"), FEATURE_CHANNELS, FEATURE_SIDE);
        let pool = ConvSpec::learned_pool(FEATURE_CHANNELS, [FEATURE_SIDE, FEATURE_SIDE]);
        Ok(Self {
            backbone: Backbone::new(&(root / "features"))?,
            attention: [attention("cat_head0")?, attention("cat_head1")?],
            embed: ConvBn::new(&(root / "Linear"), pool)?,
            heads: Heads::new(root, architecture)?,
        })
    }

    /// Crops `[N, 3, 112, 112]`, RGB, normalised, to the outputs of the tasks.
    pub fn forward(&self, crops: &Tensor, mode: Mode) -> Result<Outputs, ModelError> {
        self.attend(&self.features(crops, mode)?, mode)
    }

    /// The backbone's features, `[N, 512, 7, 7]`, of crops `[N, 3, 112, 112]`.
    pub fn features(&self, crops: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        Ok(self.backbone.forward(crops, mode)?)
    }

    /// From the backbone's features on.
    pub fn attend(&self, features: &Tensor, mode: Mode) -> Result<Outputs, ModelError> {
        let [first, second] = &self.attention;
        let attention = [first.forward(features, mode)?, second.forward(features, mode)?];
        let embedding = self.embed(features, &attention, mode)?;
        let heads = self.heads.forward(&embedding)?;
        Ok(Outputs {
            attention,
            embedding,
            heads,
        })
    }

    /// At each place the stronger attention head decides; the learned pool makes one value of
    /// each map.
    fn embed(
        &self,
        features: &Tensor,
        [a, b]: &[Tensor; ATTENTION_HEADS],
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let attended = features.f_mul(&a.f_maximum(b)?)?;
        self.embed.forward(&attended, mode)?.f_flatten(1, 3)
    }

    /// The backbone, to look at its stages.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Brings the weights into a form for inference, on the device where they are; the network's
    /// store is not touched. A folded network has nothing left to train.
    pub fn prepare(&mut self, form: InferenceForm) -> Result<(), ModelError> {
        self.backbone.prepare(form)?;
        self.attention
            .iter_mut()
            .try_for_each(|head| head.prepare(form))?;
        Ok(self.embed.prepare(form)?)
    }
}

/// Name and shape of every parameter and running statistic of a network.
pub fn parameter_shapes(architecture: &Architecture) -> Result<BTreeMap<String, Vec<i64>>, ModelError> {
    let store = VarStore::new(Device::Cpu);
    Ddamfn::define(&store.root(), architecture)?;
    let sized = |(name, tensor): (String, Tensor)| (name, tensor.size());
    Ok(store.variables().into_iter().map(sized).collect())
}
