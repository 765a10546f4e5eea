//! Adam, AdamW and SAM, with a state that can be saved. A step of Adam never waits for the device; SAM reads one norm.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, no_grad};

use super::device_reads::sum_of_squares;
use crate::model::NamedTensors;

/// PyTorch's defaults, which DDAMFN and arXiv 2407.12390 use.
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// How weights follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerSettings {
    /// Adam (arXiv 1412.6980).
    Adam {
        /// Before the schedule's factor.
        learning_rate: f64,
    },
    /// Adam with decoupled weight decay (arXiv 1711.05101) of matrices and kernels; vectors (biases,
    /// normalisation, slopes) do not decay.
    AdamW {
        /// Before the schedule's factor.
        learning_rate: f64,
        /// The share of a weight that is subtracted at each step, times the learning rate.
        weight_decay: f64,
    },
    /// Sharpness-aware minimisation (arXiv 2010.01412) over Adam, as DDAMFN++ was trained: the
    /// gradient is taken where, within `rho`, the loss is about the largest. Twice the work a step.
    Sam {
        /// Before the schedule's factor.
        learning_rate: f64,
        /// Length of the step along the gradient, in weight space.
        rho: f64,
    },
}

impl OptimizerSettings {
    /// The learning rate before the schedule's factor.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Adam { learning_rate }
            | Self::AdamW { learning_rate, .. }
            | Self::Sam { learning_rate, .. } => learning_rate,
        }
    }

    /// The radius of SAM; `None` for the other optimisers.
    pub fn rho(&self) -> Option<f64> {
        match *self {
            Self::Sam { rho, .. } => Some(rho),
            _ => None,
        }
    }

    fn weight_decay(&self) -> f64 {
        match *self {
            Self::AdamW { weight_decay, .. } => weight_decay,
            _ => 0.0,
        }
    }

    /// Refuses values that are out of range; the error names the limits.
    pub(super) fn check(&self) -> Result<(), String> {
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        let decay = self.weight_decay();
        match above_0(self.learning_rate()) && self.rho().is_none_or(above_0) && (0.0..1.0).contains(&decay) {
            true => Ok(()),
            false => Err(
                "[[phase]] optimizer: learning_rate and rho must be above 0, weight_decay at least 0 and below 1"
                    .to_owned(),
            ),
        }
    }
}

/// A trained tensor and the moving averages of its gradient and of its square.
#[derive(Debug)]
struct Moments {
    name: String,
    /// Shares its storage with the network.
    value: Tensor,
    mean: Tensor,
    square: Tensor,
}

/// Adam over named tensors.
#[derive(Debug)]
pub struct Adam {
    moments: Vec<Moments>,
    steps: i64,
    weight_decay: f64,
}

impl Adam {
    /// An optimiser of these tensors, kept in their order, with moments of zero.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(trained: &[(String, Tensor)], settings: &OptimizerSettings) -> Result<Self, TchError> {
        let moments = trained.iter().map(|(name, value)| {
            Ok(Moments {
                name: name.clone(),
                value: value.shallow_clone(),
                mean: value.f_zeros_like()?.f_detach()?,
                square: value.f_zeros_like()?.f_detach()?,
            })
        });
        Ok(Self {
            moments: moments.collect::<Result<_, TchError>>()?,
            steps: 0,
            weight_decay: settings.weight_decay(),
        })
    }

    /// Takes one step, as PyTorch's `Adam` and `AdamW` do. `gradients`: one for each tensor, in order; a tensor
    /// without one is not changed.
    ///
    /// # Errors
    /// libtorch's.
    pub fn step(&mut self, gradients: &[Option<Tensor>], learning_rate: f64) -> Result<(), TchError> {
        self.steps += 1;
        let (beta_mean, beta_square) = BETAS;
        let exponent = self.steps as f64;
        let step = learning_rate / (1.0 - beta_mean.powf(exponent));
        let square_correction = (1.0 - beta_square.powf(exponent)).sqrt();
        no_grad(|| {
            for (moments, gradient) in self.moments.iter_mut().zip(gradients) {
                let Some(gradient) = gradient else { continue };
                let Moments {
                    value, mean, square, ..
                } = moments;
                if self.weight_decay > 0.0 && value.dim() >= 2 {
                    let _ = value.f_mul_scalar_(1.0 - learning_rate * self.weight_decay)?;
                }
                let _ = mean.f_mul_scalar_(beta_mean)?;
                let _ = mean.f_add_(&gradient.f_mul_scalar(1.0 - beta_mean)?)?;
                let _ = square.f_mul_scalar_(beta_square)?;
                let _ = square.f_addcmul_(gradient, &gradient.f_mul_scalar(1.0 - beta_square)?)?;
                let spread = square
                    .f_sqrt()?
                    .f_div_scalar(square_correction)?
                    .f_add_scalar(EPSILON)?;
                let _ = value.f_sub_(&mean.f_div(&spread)?.f_mul_scalar(step)?)?;
            }
            Ok(())
        })
    }

    /// The moments by name, and the number of steps.
    pub fn state(&self) -> (NamedTensors, i64) {
        let mut tensors = NamedTensors::new();
        for moments in &self.moments {
            tensors.insert(format!("{}.mean", moments.name), moments.mean.shallow_clone());
            tensors.insert(format!("{}.square", moments.name), moments.square.shallow_clone());
        }
        (tensors, self.steps)
    }

    /// Takes over a state that [`state`](Self::state) returned; false if a tensor is missing or of another shape.
    ///
    /// # Errors
    /// libtorch's.
    pub fn restore(&mut self, tensors: &NamedTensors, steps: i64) -> Result<bool, TchError> {
        for moments in &mut self.moments {
            for (kind, target) in [("mean", &mut moments.mean), ("square", &mut moments.square)] {
                match tensors.get(&format!("{}.{kind}", moments.name)) {
                    Some(source) if source.size() == target.size() => target.f_copy_(source)?,
                    _ => return Ok(false),
                }
            }
        }
        self.steps = steps;
        Ok(true)
    }
}

/// Moves the weights by `rho` along their gradient, all tensors taken as one vector (the first half of a step of SAM).
/// Returns their values before, for [`sam_restore`].
///
/// # Errors
/// libtorch's.
pub fn sam_ascend(
    trained: &[(String, Tensor)],
    gradients: &[Option<Tensor>],
    rho: f64,
) -> Result<Vec<Tensor>, TchError> {
    no_grad(|| {
        let square = sum_of_squares(gradients.iter().flatten())?;
        let scale = rho / (square.sqrt() + 1e-12);
        let mut before = Vec::with_capacity(trained.len());
        for ((_, value), gradient) in trained.iter().zip(gradients) {
            before.push(value.f_detach_copy()?);
            if let Some(gradient) = gradient {
                let _ = value.shallow_clone().f_add_(&gradient.f_mul_scalar(scale)?)?;
            }
        }
        Ok(before)
    })
}

/// Gives the weights the values back that they had before [`sam_ascend`].
///
/// # Errors
/// libtorch's.
pub fn sam_restore(trained: &[(String, Tensor)], before: &[Tensor]) -> Result<(), TchError> {
    no_grad(|| {
        for ((_, value), before) in trained.iter().zip(before) {
            value.shallow_clone().f_copy_(before)?;
        }
        Ok(())
    })
}
