//! From pools to gates in coordinate attention, on a CPU: its three convolutions are of 1x1 on a few dozen places,
//! so that calling an operator for each took longer than their work.

use pulp::Arch;
use tch::{Kind, TchError, Tensor};

use super::elementwise::{empty, values, values_mut};

/// Two fully connected layers with a hard swish between them, from pools to the logits of gates: the second
/// layer is one for rows and another for columns.
#[derive(Debug, Clone)]
pub(super) struct Excitation {
    channels: usize,
    hidden: usize,
    /// `[channels, hidden]`.
    squeeze: Vec<f32>,
    squeeze_bias: Vec<f32>,
    rows: Excite,
    columns: Excite,
}

#[derive(Debug, Clone)]
struct Excite {
    /// `[hidden, channels]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Excitation {
    /// Of three 1x1 convolutions, each weight and bias: `[hidden, channels, 1, 1]`, and twice
    /// `[channels, hidden, 1, 1]`.
    pub(super) fn new(
        squeeze: (&Tensor, &Tensor),
        rows: (&Tensor, &Tensor),
        columns: (&Tensor, &Tensor),
    ) -> Result<Self, TchError> {
        let numbers =
            |tensor: &Tensor| Vec::try_from(tensor.f_detach()?.f_to_kind(Kind::Float)?.f_flatten(0, -1)?);
        let turned = |weight: &Tensor| numbers(&weight.f_flatten(1, 3)?.f_transpose(0, 1)?.f_contiguous()?);
        let excite = |(weight, bias): (&Tensor, &Tensor)| -> Result<Excite, TchError> {
            Ok(Excite {
                weight: turned(weight)?,
                bias: numbers(bias)?,
            })
        };
        let (hidden, channels, _, _) = squeeze.0.size4()?;
        Ok(Self {
            channels: channels as usize,
            hidden: hidden as usize,
            squeeze: turned(squeeze.0)?,
            squeeze_bias: numbers(squeeze.1)?,
            rows: excite(rows)?,
            columns: excite(columns)?,
        })
    }

    /// Pools `[N, C, H + W, 1]`, those of the `height` rows first, to the gates' logits in the same shape.
    pub(super) fn logits(&self, pools: &Tensor, height: usize) -> Result<Tensor, TchError> {
        match self.hidden {
            8 => self.logits_of::<8>(pools, height),
            16 => self.logits_of::<16>(pools, height),
            32 => self.logits_of::<32>(pools, height),
            other => Err(TchError::Kind(format!(
                "{other} hidden channels: not in this network"
            ))),
        }
    }

    fn logits_of<const HIDDEN: usize>(&self, pools: &Tensor, height: usize) -> Result<Tensor, TchError> {
        let (batch, channels, sides, _) = pools.size4()?;
        let mut logits = empty::<f32>(batch as usize, channels as usize, sides as usize, 1)?;
        let (channels, sides) = (channels as usize, sides as usize);
        let pictures = values::<f32>(pools)?.chunks_exact(sides * channels);
        let answers = values_mut::<f32>(&mut logits)?.chunks_exact_mut(sides * channels);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (picture, answers) in pictures.zip(answers) {
                    let (rows, columns) = picture.split_at(height * channels);
                    let (row_answers, column_answers) = answers.split_at_mut(height * channels);
                    self.excite::<HIDDEN>(rows, &self.rows, row_answers);
                    self.excite::<HIDDEN>(columns, &self.columns, column_answers);
                }
            },
        );
        Ok(logits)
    }

    /// `[places, channels]` to the same.
    #[inline(always)]
    fn excite<const HIDDEN: usize>(&self, pools: &[f32], second: &Excite, answers: &mut [f32]) {
        // Places that are looked at together: their sums are independent, so none waits for another.
        const TOGETHER: usize = 4;
        let first = self.squeeze.as_chunks::<HIDDEN>().0;
        let pools = pools.chunks(TOGETHER * self.channels);
        for (pools, answers) in pools.zip(answers.chunks_mut(TOGETHER * self.channels)) {
            let mut sums = [[0.0f32; HIDDEN]; TOGETHER];
            for sums in &mut sums {
                sums.copy_from_slice(&self.squeeze_bias);
            }
            let places = pools.len() / self.channels;
            let row = |place: usize| &pools[place.min(places - 1) * self.channels..][..self.channels];
            let rows: [&[f32]; TOGETHER] = std::array::from_fn(row);
            for (channel, weights) in first.iter().enumerate() {
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += row[channel] * weight;
                    }
                }
            }
            for (sums, answer) in sums.iter().zip(answers.chunks_exact_mut(self.channels)) {
                let hidden = sums.map(|x| x * ((x + 3.0).clamp(0.0, 6.0) / 6.0));
                answer.copy_from_slice(&second.bias);
                for (hidden, weights) in hidden.iter().zip(second.weight.chunks_exact(self.channels)) {
                    for (answer, weight) in answer.iter_mut().zip(weights) {
                        *answer += hidden * weight;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::channels_last;
    use super::*;
    use tch::Device;

    fn random(shape: [i64; 4]) -> Tensor {
        channels_last(&Tensor::randn(shape, (Kind::Float, Device::Cpu))).unwrap()
    }

    #[test]
    fn excitation_is_two_layers() {
        for (channels, hidden) in [(256, 8), (512, 16), (1024, 32)] {
            let layer = |from: i64, to: i64| {
                let weight = random([to, from, 1, 1]) / (from as f64).sqrt();
                (weight, Tensor::randn([to], (Kind::Float, Device::Cpu)))
            };
            let (squeeze, rows, columns) = (
                layer(channels, hidden),
                layer(hidden, channels),
                layer(hidden, channels),
            );
            let excitation = Excitation::new(
                (&squeeze.0, &squeeze.1),
                (&rows.0, &rows.1),
                (&columns.0, &columns.1),
            )
            .unwrap();
            // 7 rows and 6 columns: neither is a multiple of the places looked at together.
            let pools = random([2, channels, 13, 1]);
            let convolve = |x: &Tensor, (weight, bias): &(Tensor, Tensor)| {
                x.conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1)
            };
            let between = convolve(&pools, &squeeze).hardswish();
            let expected = Tensor::cat(
                &[
                    convolve(&between.narrow(2, 0, 7), &rows),
                    convolve(&between.narrow(2, 7, 6), &columns),
                ],
                2,
            );
            let found = (excitation.logits(&pools, 7).unwrap() - expected)
                .abs()
                .max()
                .double_value(&[]);
            assert!(found <= 1e-5, "{channels} {found:e}");
        }
    }
}
