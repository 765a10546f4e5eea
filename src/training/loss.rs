//! The losses of the multitask network (arXiv 2407.12390), each over the labels that are valid.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::labels::{INVALID_CLASS, INVALID_VALENCE_AROUSAL};
use crate::model::{ATTENTION_HEADS, HeadOutputs, Outputs};

/// Keeps the concordance of two constants defined.
const CCC_EPSILON: f64 = 1e-8;

/// A batch's labels, with the challenge's markers where a frame was not annotated.
#[derive(Debug)]
pub struct Labels {
    /// `[N, 2]`, floating; -5 is invalid.
    pub valence_arousal: Tensor,
    /// `[N]`, class numbers in the network's own order, `i64`; -1 is invalid.
    pub expression: Tensor,
    /// `[N, 12]`, 0 or 1, floating; -1 is invalid.
    pub action_units: Tensor,
}

/// Which action unit labels count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionUnitMask {
    /// Those of frames whose twelve units are all annotated.
    #[default]
    Rows,
    /// Every valid one.
    Cells,
}

/// The weight of each loss in the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Of the loss of valence and arousal.
    pub valence_arousal: f64,
    /// Of the cross-entropy of the expressions.
    pub expression: f64,
    /// Of the binary cross-entropy of the action units.
    pub action_units: f64,
    /// Of the attention loss. The paper: 0.1 where all layers are trained.
    pub attention: f64,
}

impl LossWeights {
    /// Refuses weights below 0 and those that are not finite.
    pub(super) fn check(&self) -> Result<(), String> {
        let weights = [
            self.valence_arousal,
            self.expression,
            self.action_units,
            self.attention,
        ];
        match weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
            true => Ok(()),
            false => Err("[loss.weights] must be at least 0".to_owned()),
        }
    }
}

impl Default for LossWeights {
    fn default() -> Self {
        Self {
            valence_arousal: 1.0,
            expression: 1.0,
            action_units: 1.0,
            attention: 0.1,
        }
    }
}

/// The losses of a batch, scalars. A task without output layer or without a valid label in the
/// batch is `None`.
#[derive(Debug)]
pub struct Losses {
    /// `1 - (CCC of valence + CCC of arousal) / 2` over rows with both valid.
    pub valence_arousal: Option<Tensor>,
    /// Cross-entropy of the logits.
    pub expression: Option<Tensor>,
    /// Binary cross-entropy of the logits, mean over the valid labels.
    pub action_units: Option<Tensor>,
    /// See [`attention_loss`]; `None` for a network without attention maps.
    pub attention: Option<Tensor>,
}

impl Losses {
    /// The losses of a network's outputs. `class_weights`, one for each expression, weigh the
    /// cross-entropy as PyTorch's do.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of(
        outputs: &Outputs,
        labels: &Labels,
        mask: ActionUnitMask,
        class_weights: Option<&Tensor>,
    ) -> Result<Self, TchError> {
        Ok(Self {
            attention: Some(attention_loss(&outputs.attention)?),
            ..Self::of_heads(&outputs.heads, labels, mask, class_weights)?
        })
    }

    /// The losses of the tasks alone.
    ///
    /// # Errors
    /// libtorch's.
    pub fn of_heads(
        heads: &HeadOutputs,
        labels: &Labels,
        mask: ActionUnitMask,
        class_weights: Option<&Tensor>,
    ) -> Result<Self, TchError> {
        let task = |output: &Option<Tensor>, loss: &dyn Fn(&Tensor) -> Result<Option<Tensor>, TchError>| {
            output.as_ref().map_or(Ok(None), loss)
        };
        Ok(Self {
            valence_arousal: task(&heads.valence_arousal, &|va| {
                valence_arousal_loss(va, &labels.valence_arousal)
            })?,
            expression: task(&heads.expression_logits, &|logits| {
                expression_loss(logits, &labels.expression, class_weights)
            })?,
            action_units: task(&heads.action_unit_logits, &|logits| {
                action_unit_loss(logits, &labels.action_units, mask)
            })?,
            attention: None,
        })
    }

    /// The weighted sum of the losses that are not `None`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn total(&self, weights: &LossWeights) -> Result<Tensor, TchError> {
        let mut terms = Vec::new();
        for (loss, weight) in [
            (&self.attention, weights.attention),
            (&self.valence_arousal, weights.valence_arousal),
            (&self.expression, weights.expression),
            (&self.action_units, weights.action_units),
        ] {
            if let Some(loss) = loss {
                terms.push(loss.f_mul_scalar(weight)?);
            }
        }
        let mut terms = terms.into_iter();
        let first = match terms.next() {
            Some(first) => first,
            None => Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu))?,
        };
        terms.try_fold(first, |total, term| total.f_add(&term))
    }
}

/// Concordance correlation coefficient of two vectors, with population variances (Lin 1989).
///
/// # Errors
/// libtorch's.
pub fn ccc(predicted: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    let kind = predicted.kind();
    let (mean_p, mean_l) = (predicted.f_mean(kind)?, labels.f_mean(kind)?);
    let (centred_p, centred_l) = (predicted.f_sub(&mean_p)?, labels.f_sub(&mean_l)?);
    let covariance = centred_p.f_mul(&centred_l)?.f_mean(kind)?;
    let spread = centred_p
        .f_square()?
        .f_mean(kind)?
        .f_add(&centred_l.f_square()?.f_mean(kind)?)?
        .f_add(&mean_p.f_sub(&mean_l)?.f_square()?)?
        .f_add_scalar(CCC_EPSILON)?;
    covariance.f_mul_scalar(2.0)?.f_div(&spread)
}

/// `1 / (mean squared difference of the attention heads' maps + eps)`: it is small if the heads differ.
///
/// # Errors
/// libtorch's.
pub fn attention_loss([first, second]: &[Tensor; ATTENTION_HEADS]) -> Result<Tensor, TchError> {
    let wide = |map: &Tensor| match map.kind() {
        Kind::BFloat16 => map.f_to_kind(Kind::Float),
        _ => Ok(map.shallow_clone()),
    };
    let difference = wide(first)?.f_mse_loss(&wide(second)?, Reduction::Mean)?;
    difference.f_add_scalar(f64::EPSILON)?.f_reciprocal()
}

fn valence_arousal_loss(predicted: &Tensor, labels: &Tensor) -> Result<Option<Tensor>, TchError> {
    let valid = labels
        .f_gt(f64::from(INVALID_VALENCE_AROUSAL))?
        .f_all_dim(1, false)?;
    let rows = valid.f_nonzero()?.f_flatten(0, 1)?;
    if rows.numel() == 0 {
        return Ok(None);
    }
    let (predicted, labels) = (
        predicted.f_index_select(0, &rows)?,
        labels.f_index_select(0, &rows)?,
    );
    let agreement = |column| ccc(&predicted.f_select(1, column)?, &labels.f_select(1, column)?);
    let sum = agreement(0)?.f_add(&agreement(1)?)?;
    Ok(Some(sum.f_mul_scalar(-0.5)?.f_add_scalar(1.0)?))
}

fn expression_loss(
    logits: &Tensor,
    labels: &Tensor,
    class_weights: Option<&Tensor>,
) -> Result<Option<Tensor>, TchError> {
    let invalid = i64::from(INVALID_CLASS);
    if labels.f_ne(invalid)?.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(None);
    }
    let smoothing = 0.0;
    let loss = logits.f_cross_entropy_loss(labels, class_weights, Reduction::Mean, invalid, smoothing)?;
    Ok(Some(loss))
}

fn action_unit_loss(
    logits: &Tensor,
    labels: &Tensor,
    mask: ActionUnitMask,
) -> Result<Option<Tensor>, TchError> {
    let mut valid = labels.f_ge(0.0)?;
    if mask == ActionUnitMask::Rows {
        valid = valid.f_all_dim(1, true)?.f_expand_as(labels)?;
    }
    let (logits, labels) = (logits.f_masked_select(&valid)?, labels.f_masked_select(&valid)?);
    if labels.numel() == 0 {
        return Ok(None);
    }
    let loss = logits.f_binary_cross_entropy_with_logits::<Tensor>(&labels, None, None, Reduction::Mean)?;
    Ok(Some(loss))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn value(tensor: &Tensor) -> f64 {
        tensor.double_value(&[])
    }

    /// Attention maps that differ by 0.5 everywhere: a loss of 4.
    fn outputs(heads: HeadOutputs) -> Outputs {
        let maps = |value: f64| Tensor::full([1, 2], value, (Kind::Double, Device::Cpu));
        Outputs {
            attention: [maps(0.25), maps(0.75)],
            embedding: maps(0.0),
            heads,
        }
    }

    #[test]
    fn concordance_counts_a_shift() {
        let labels = Tensor::from_slice(&[1.0, 2.0, 3.0]);
        assert!((value(&ccc(&labels, &labels).unwrap()) - 1.0).abs() < 1e-7);
        // 2 * 2/3 / (2/3 + 2/3 + 1)
        let shifted = &labels + 1.0;
        assert!((value(&ccc(&shifted, &labels).unwrap()) - 4.0 / 7.0).abs() < 1e-7);
    }

    #[test]
    fn tasks_without_a_valid_label_have_no_loss() {
        let labels = Labels {
            valence_arousal: Tensor::from_slice2(&[[-5.0, 0.3], [0.2, -5.0]]),
            expression: Tensor::from_slice(&[-1i64, -1]),
            action_units: Tensor::from_slice2(&[[-1.0, 1.0], [0.0, -1.0]]),
        };
        let logits = || Some(Tensor::zeros([2, 2], (Kind::Double, Device::Cpu)));
        let outputs = outputs(HeadOutputs {
            valence_arousal: logits(),
            expression_logits: logits(),
            action_unit_logits: logits(),
        });
        let losses = Losses::of(&outputs, &labels, ActionUnitMask::Rows, None).unwrap();
        assert!(
            losses.valence_arousal.is_none() && losses.expression.is_none() && losses.action_units.is_none()
        );
        assert!((value(&losses.total(&LossWeights::default()).unwrap()) - 0.4).abs() < 1e-9);
        // The two valid cells, at even odds.
        let cells = Losses::of(&outputs, &labels, ActionUnitMask::Cells, None)
            .unwrap()
            .action_units
            .unwrap();
        assert!((value(&cells) - 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn a_single_task_network_learns_from_its_task_alone() {
        let labels = Labels {
            valence_arousal: Tensor::from_slice2(&[[0.1, 0.3], [0.2, 0.4]]),
            expression: Tensor::from_slice(&[0i64, 1]),
            action_units: Tensor::from_slice2(&[[0.0, 1.0], [0.0, 1.0]]),
        };
        let outputs = outputs(HeadOutputs {
            valence_arousal: None,
            expression_logits: Some(Tensor::zeros([2, 8], (Kind::Double, Device::Cpu))),
            action_unit_logits: None,
        });
        let losses = Losses::of(&outputs, &labels, ActionUnitMask::Rows, None).unwrap();
        assert!(losses.valence_arousal.is_none() && losses.action_units.is_none());
        let total = value(&losses.total(&LossWeights::default()).unwrap());
        assert!((total - (8f64.ln() + 0.4)).abs() < 1e-9, "{total}");
    }
}
