//! The weighted mean of several networks' or runs' predictions.

use crate::labels::{Affect, PerTask, ValenceArousal};

/// The weighted mean of several predictions for one face, task by task.
///
/// `members`: predictions and their weight in each task. A prediction counts in a task if it has numbers there, all
/// finite, and a weight above 0; each action unit by itself. A task or unit in which none counts is `None`.
pub fn blend_affects<'a>(members: impl Iterator<Item = (&'a Affect, PerTask<f64>)> + Clone) -> Affect {
    let point = mean(members.clone().filter_map(|(affect, weights)| {
        let point = affect.valence_arousal?;
        Some(([point.valence, point.arousal], weights.valence_arousal))
    }));
    let expression = members
        .clone()
        .filter_map(|(affect, weights)| Some((affect.expression?, weights.expression)));
    let unit = |unit: usize| {
        let of_unit = members
            .clone()
            .filter_map(|(affect, weights)| Some(([affect.action_units[unit]?], weights.action_units)));
        mean(of_unit).map(|[probability]| probability)
    };
    let extra_unit = |unit: usize| {
        let of_unit = members.clone().filter_map(|(affect, weights)| {
            Some(([(*affect.extra_units.get(unit)?)?], weights.action_units))
        });
        mean(of_unit).map(|[probability]| probability)
    };
    let extra_units = members.clone().map(|(affect, _)| affect.extra_units.len()).max();
    Affect {
        valence_arousal: point.map(|[valence, arousal]| ValenceArousal { valence, arousal }),
        expression: mean(expression),
        action_units: std::array::from_fn(unit),
        extra_units: (0..extra_units.unwrap_or(0)).map(extra_unit).collect(),
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
