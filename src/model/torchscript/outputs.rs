//! From a network's numbers for one face to its affect, as the card tells.

use super::card::{
    ActionUnitOutputs, ExpressionClass, ExpressionOutputs, NetworkOutputs, OutputForm, OutputUnit,
    ValenceArousalOutputs,
};
use crate::labels::{ACTION_UNITS, Affect, EXPRESSIONS, ExtraUnit, ValenceArousal};
use crate::model::error::NotFinite;

/// The affect in the columns of one face, of which there are enough. `extra_units`: those of the run, by their numbers.
///
/// # Errors
/// The task whose numbers are not finite.
pub(super) fn affect(
    columns: &[f32],
    outputs: &NetworkOutputs,
    extra_units: &[ExtraUnit],
) -> Result<Affect, NotFinite> {
    let mut affect = Affect {
        extra_units: vec![None; extra_units.len()].into(),
        ..Affect::default()
    };
    if let Some(outputs) = &outputs.valence_arousal {
        affect.valence_arousal = Some(valence_arousal(columns, outputs).ok_or(NotFinite::ValenceArousal)?);
    }
    if let Some(outputs) = &outputs.expression {
        affect.expression = Some(expression(columns, outputs).ok_or(NotFinite::Expression)?);
    }
    if let Some(outputs) = &outputs.action_units {
        action_units(columns, outputs, extra_units, &mut affect).ok_or(NotFinite::ActionUnits)?;
    }
    Ok(affect)
}

fn valence_arousal(columns: &[f32], outputs: &ValenceArousalOutputs) -> Option<ValenceArousal> {
    let [low, high] = outputs.range;
    let coordinate = |value: f32| match [low, high] {
        [-1.0, 1.0] => value,
        _ => (value - low) / (high - low) * 2.0 - 1.0,
    };
    let [valence, arousal] = [outputs.valence, outputs.arousal].map(|column| coordinate(columns[column]));
    (valence.is_finite() && arousal.is_finite()).then_some(ValenceArousal { valence, arousal })
}

/// Outputs that are left out do not count: the others' probabilities sum to 1.
fn expression(columns: &[f32], outputs: &ExpressionOutputs) -> Option<[f32; EXPRESSIONS]> {
    let values = &columns[outputs.first..][..outputs.classes.len()];
    let known = outputs
        .classes
        .iter()
        .zip(values)
        .filter_map(|(class, value)| match class {
            ExpressionClass::Known(expression) => Some((*expression, *value)),
            ExpressionClass::LeftOut => None,
        });
    let highest = known
        .clone()
        .map(|(_, value)| value)
        .fold(f32::NEG_INFINITY, f32::max);
    let mut shares = [0.0; EXPRESSIONS];
    for (expression, value) in known {
        // Probabilities may be below 0 by rounding.
        shares[expression.index()] += match outputs.form {
            OutputForm::Logits => (value - highest).exp(),
            OutputForm::Probabilities => value.max(0.0),
        };
        if !value.is_finite() {
            return None;
        }
    }
    let sum: f32 = shares.iter().sum();
    (sum > 0.0).then(|| shares.map(|share| share / sum))
}

fn action_units(
    columns: &[f32],
    outputs: &ActionUnitOutputs,
    extra_units: &[ExtraUnit],
    affect: &mut Affect,
) -> Option<()> {
    let mut of_abaw = [None; ACTION_UNITS];
    let values = &columns[outputs.first..][..outputs.units.len()];
    for (unit, value) in outputs.units.iter().zip(values) {
        let probability = match outputs.form {
            OutputForm::Logits => 1.0 / (1.0 + (-value).exp()),
            OutputForm::Probabilities => value.clamp(0.0, 1.0),
        };
        let probability = Some(probability).filter(|_| value.is_finite())?;
        match unit {
            OutputUnit::Abaw(unit) => of_abaw[unit.index()] = Some(probability),
            OutputUnit::Extra(unit) => {
                if let Ok(at) = extra_units.binary_search(unit) {
                    affect.extra_units[at] = Some(probability);
                }
            }
            OutputUnit::LeftOut => {}
        }
    }
    affect.action_units = of_abaw;
    Some(())
}
