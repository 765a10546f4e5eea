//! Blending: the weighted mean of several runs or several models, before anything is filled or smoothed.

use super::{PerTask, PostprocessError, Series};
use crate::labels::{Affect, ValenceArousal};

/// One series of a blend.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub series: &'a Series,
    /// Relative weights, at least 0. With weight 0 the series has no say in that task: three models with
    /// one weight each are the paper's "individual models".
    pub weights: PerTask<f64>,
}

/// The mean of all members, entry by entry and task by task, over those that predict something there;
/// where none does, the blend has a gap. Shots and frame rate are those of the first member.
///
/// # Errors
/// Members that list different frames; a weight below 0 or not finite. No member gives an empty series.
pub fn blend(members: &[Member]) -> Result<Series, PostprocessError> {
    let Some((first, others)) = members.split_first() else {
        return Series::new(Vec::new(), Vec::new());
    };
    if others
        .iter()
        .any(|other| other.series.frames() != first.series.frames())
    {
        return Err(PostprocessError::BlendedFramesDiffer);
    }
    for member in members {
        let weights = member.weights;
        for weight in [weights.valence_arousal, weights.expression, weights.action_units] {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(PostprocessError::BlendWeight(weight));
            }
        }
    }
    let values = (0..first.series.frames().len())
        .map(|entry| {
            let affect = blend_affects(
                members
                    .iter()
                    .filter_map(|member| Some((member.series.values()[entry]?, member.weights))),
            );
            (affect != Affect::default()).then_some(affect)
        })
        .collect();
    first.series.with_values(values)
}

/// The mean of what several networks say of one face, task by task, over those that say something of the
/// task and have a weight in it.
pub fn blend_affects(members: impl Iterator<Item = (Affect, PerTask<f64>)> + Clone) -> Affect {
    let point = mean(members.clone().filter_map(|(affect, weights)| {
        let point = affect.valence_arousal?;
        Some(([point.valence, point.arousal], weights.valence_arousal))
    }));
    let expression = members
        .clone()
        .filter_map(|(affect, weights)| Some((affect.expression?, weights.expression)));
    let action_units =
        members.filter_map(|(affect, weights)| Some((affect.action_units?, weights.action_units)));
    Affect {
        valence_arousal: point.map(|[valence, arousal]| ValenceArousal { valence, arousal }),
        expression: mean(expression),
        action_units: mean(action_units),
    }
}

/// The weighted mean of the rows that are numbers; `None` without any weight.
fn mean<const N: usize>(rows: impl Iterator<Item = ([f32; N], f64)>) -> Option<[f32; N]> {
    let mut sum = [0.0; N];
    let mut total = 0.0;
    let heard = |(row, weight): &([f32; N], f64)| *weight > 0.0 && row.iter().all(|value| value.is_finite());
    for (row, weight) in rows.filter(heard) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += weight * f64::from(value);
        }
        total += weight;
    }
    (total > 0.0).then(|| sum.map(|sum| (sum / total) as f32))
}
