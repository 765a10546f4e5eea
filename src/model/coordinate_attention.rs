//! Coordinate attention (arXiv 2103.02907): a gate for each row and one for each column of each
//! channel, from pools along the width and the height.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::layers::{Conv, ConvBn, Convolution, Mode, WeightForm};

/// The bottleneck of a gate has this share of the channels ...
const REDUCTION: i64 = 32;
/// ... but not fewer than this.
const MIN_CHANNELS: i64 = 8;

/// From a pool for each row and one for each column to gates in (0, 1).
#[derive(Debug, Clone)]
pub(super) struct CoordinateGates {
    squeeze: ConvBn,
    rows: Conv,
    columns: Conv,
}

impl CoordinateGates {
    pub(super) fn new(path: &Path, channels: i64) -> Result<Self, TchError> {
        let squeezed = (channels / REDUCTION).max(MIN_CHANNELS);
        let squeeze = Convolution::pointwise(channels, squeezed).with_bias();
        let excite = Convolution::pointwise(squeezed, channels).with_bias();
        Ok(Self {
            squeeze: ConvBn::named(path, "conv1", "bn1", squeeze)?,
            rows: Conv::new(&(path / "conv2"), excite)?,
            columns: Conv::new(&(path / "conv3"), excite)?,
        })
    }

    /// Pools `[N, C, H, 1]` of the rows and `[N, C, 1, W]` of the columns to gates of the same
    /// shapes.
    pub(super) fn forward(
        &self,
        rows: &Tensor,
        columns: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Tensor), TchError> {
        let height = rows.size()[2];
        let width = columns.size()[3];
        let both = Tensor::f_cat(&[rows, &columns.f_transpose(2, 3)?], 2)?;
        let both = self.squeeze.forward(&both, mode)?.f_hardswish()?;
        let rows = both.f_narrow(2, 0, height)?;
        let columns = both.f_narrow(2, height, width)?.f_transpose(2, 3)?;
        Ok((
            self.rows.forward(&rows)?.f_sigmoid()?,
            self.columns.forward(&columns)?.f_sigmoid()?,
        ))
    }

    pub(super) fn prepare(&mut self, form: WeightForm) -> Result<(), TchError> {
        self.squeeze.prepare(form)?;
        self.rows.prepare(form)?;
        self.columns.prepare(form)
    }
}

/// Coordinate attention over average pools: the map times both gates.
#[derive(Debug, Clone)]
pub(super) struct CoordinateAttention {
    gates: CoordinateGates,
}

impl CoordinateAttention {
    pub(super) fn new(path: &Path, channels: i64) -> Result<Self, TchError> {
        Ok(Self {
            gates: CoordinateGates::new(path, channels)?,
        })
    }

    /// `[N, C, H, W]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let rows = x.f_mean_dim([3].as_slice(), true, None)?;
        let columns = x.f_mean_dim([2].as_slice(), true, None)?;
        let (rows, columns) = self.gates.forward(&rows, &columns, mode)?;
        x.f_mul(&columns)?.f_mul(&rows)
    }

    pub(super) fn prepare(&mut self, form: WeightForm) -> Result<(), TchError> {
        self.gates.prepare(form)
    }
}
