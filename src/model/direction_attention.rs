//! The direction attention head: coordinate attention whose pools are learned, which gives the
//! attention map itself.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::coordinate_attention::CoordinateGates;
use super::inference_form::InferenceForm;
use super::layers::{ConvBn, ConvSpec, Mode};

/// One head over the backbone's `[N, C, 7, 7]` features.
///
/// Checkpoints hold a third pool (`Linear`, 7x7) that the original never applies.
#[derive(Debug, Clone)]
pub(super) struct DirectionAttention {
    row_pool: ConvBn,
    column_pool: ConvBn,
    gates: CoordinateGates,
}

impl DirectionAttention {
    /// For features of `channels` channels and `side` x `side` pixels.
    pub(super) fn new(path: &Path, channels: i64, side: i64) -> Result<Self, TchError> {
        Ok(Self {
            row_pool: ConvBn::new(&(path / "Linear_h"), ConvSpec::learned_pool(channels, [1, side]))?,
            column_pool: ConvBn::new(&(path / "Linear_w"), ConvSpec::learned_pool(channels, [side, 1]))?,
            gates: CoordinateGates::new(path, channels)?,
        })
    }

    /// The attention map, `[N, C, 7, 7]`, in (0, 1).
    pub(super) fn forward(&self, features: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let rows = self.row_pool.forward(features, mode)?;
        let columns = self.column_pool.forward(features, mode)?;
        let (rows, columns) = self.gates.forward(&rows, &columns, mode)?;
        columns.f_mul(&rows)
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.row_pool.prepare(form)?;
        self.column_pool.prepare(form)?;
        self.gates.prepare(form)
    }
}
