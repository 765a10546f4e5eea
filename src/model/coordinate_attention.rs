//! Coordinate attention (arXiv 2103.02907): a gate for each row and one for each column of each
//! channel, from pools along the width and the height.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::elementwise;
use super::excitation::Excitation;
use super::inference_form::InferenceForm;
use super::layers::{Conv, ConvBn, ConvSpec, Mode};

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
    /// The three layers as one, for inference on a CPU.
    excitation: Option<Excitation>,
}

impl CoordinateGates {
    pub(super) fn new(path: &Path, channels: i64) -> Result<Self, TchError> {
        let squeezed = (channels / REDUCTION).max(MIN_CHANNELS);
        let squeeze = ConvSpec::pointwise(channels, squeezed).with_bias();
        let excite = ConvSpec::pointwise(squeezed, channels).with_bias();
        Ok(Self {
            squeeze: ConvBn::named(path, "conv1", "bn1", squeeze)?,
            rows: Conv::new(&(path / "conv2"), excite)?,
            columns: Conv::new(&(path / "conv3"), excite)?,
            excitation: None,
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
        let (batch, channels, height, _) = rows.size4()?;
        let width = columns.size4()?.3;
        // A reshape keeps channels innermost in memory, where a transposition would not.
        let columns = columns.f_reshape([batch, channels, width, 1])?;
        let both = Tensor::f_cat(&[rows, &columns], 2)?;
        let both = self.squeeze.forward(&both, mode)?.f_hardswish()?;
        let rows = self.rows.forward(&both.f_narrow(2, 0, height)?)?;
        let columns = self.columns.forward(&both.f_narrow(2, height, width)?)?;
        let columns = columns.f_reshape([batch, channels, 1, width])?;
        Ok((rows.f_sigmoid()?, columns.f_sigmoid()?))
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        if form.in_one_pass() {
            self.excitation = self.squeeze.excitation(&self.rows, &self.columns)?;
        }
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

    /// Maps `[N, C, H, W]` that follow each other in their channels to the gated map of all.
    pub(super) fn forward(&self, maps: &[Tensor], mode: Mode) -> Result<Tensor, TchError> {
        if let Some(excitation) = &self.gates.excitation {
            let height = maps.first().map_or(0, |map| map.size()[2]) as usize;
            let mut gates = excitation.logits(&elementwise::pool(maps)?, height)?;
            return elementwise::gate(maps, &gates.f_sigmoid_()?);
        }
        let x = Tensor::f_cat(maps, 1)?;
        let (_, _, height, width) = x.size4()?;
        let rows = average_pool(&x, [1, width])?;
        let columns = average_pool(&x, [height, 1])?;
        let (rows, columns) = self.gates.forward(&rows, &columns, mode)?;
        x.f_mul(&columns)?.f_mul(&rows)
    }

    pub(super) fn prepare(&mut self, form: InferenceForm) -> Result<(), TchError> {
        self.gates.prepare(form)
    }
}

/// Means over windows of `[height, width]` pixels. With channels last in memory this takes a tenth
/// of the time of a mean over a dimension.
fn average_pool(x: &Tensor, window: [i64; 2]) -> Result<Tensor, TchError> {
    let no_padding = [0, 0];
    x.f_avg_pool2d(window, window, no_padding, false, true, None)
}
