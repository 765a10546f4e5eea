//! The weighted mean of several networks' or runs' predictions.

use crate::labels::{Affect, PerTask, ValenceArousal};

/// The weighted mean of several predictions for one face, task by task.
///
/// `members`: predictions and their weight in each task. A prediction counts in a task if it has numbers there, all
/// finite, and a weight above 0. A task in which none counts is `None`.
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

/// The weighted mean of the rows whose values are finite; `None` if the weights sum to 0.
fn mean<const N: usize>(rows: impl Iterator<Item = ([f32; N], f64)>) -> Option<[f32; N]> {
    let mut sum = [0.0; N];
    let mut total = 0.0;
    let counts = |(row, weight): &([f32; N], f64)| *weight > 0.0 && row.iter().all(|value| value.is_finite());
    for (row, weight) in rows.filter(counts) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += weight * f64::from(value);
        }
        total += weight;
    }
    (total > 0.0).then(|| sum.map(|sum| (sum / total) as f32))
}
