//! The label of one frame, and the values of a row it is read from.

use super::Challenge;
use super::mismatch::Mismatch;
use crate::labels::{
    ACTION_UNITS, ActionUnit, Expression, INVALID_CLASS, INVALID_VALENCE_AROUSAL, ValenceArousal,
};

/// The annotation of one frame. What was not annotated is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FrameLabel {
    /// In [-1, 1]; annotated only if both are.
    pub valence_arousal: Option<ValenceArousal>,
    /// One of eight.
    pub expression: Option<Expression>,
    /// Each action unit by itself, for the losses that count single labels; scores use [`FrameLabel::all_action_units`].
    pub action_units: [Option<bool>; ACTION_UNITS],
}

impl FrameLabel {
    /// The action units if all twelve are annotated, which is when the row counts in scores.
    pub fn all_action_units(&self) -> Option<[bool; ACTION_UNITS]> {
        let mut all = [false; ACTION_UNITS];
        for (unit, label) in all.iter_mut().zip(self.action_units) {
            *unit = label?;
        }
        Some(all)
    }

    /// Adds the annotations of `other`, the label of the same frame from another task's file.
    pub(super) fn add(&mut self, other: &FrameLabel) {
        self.valence_arousal = self.valence_arousal.or(other.valence_arousal);
        self.expression = self.expression.or(other.expression);
        for (unit, label) in self.action_units.iter_mut().zip(other.action_units) {
            *unit = unit.or(label);
        }
    }

    /// Reads the values of a row in the columns of a challenge (not `ce`, which has no labels).
    pub(super) fn parse<'a>(
        challenge: Challenge,
        mut values: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, Mismatch> {
        check_count(challenge, values.clone())?;
        let mut next = || values.next().unwrap_or_default();
        let mut label = FrameLabel::default();
        if matches!(challenge, Challenge::Mtl | Challenge::Va) {
            let (valence, arousal) = (coordinate("valence", next())?, coordinate("arousal", next())?);
            label.valence_arousal = valence
                .zip(arousal)
                .map(|(valence, arousal)| ValenceArousal { valence, arousal });
        }
        if matches!(challenge, Challenge::Mtl | Challenge::Expr) {
            label.expression = expression(next())?;
        }
        if matches!(challenge, Challenge::Mtl | Challenge::Au) {
            for unit in ActionUnit::ALL {
                label.action_units[unit.index()] = action_unit(unit, next())?;
            }
        }
        Ok(label)
    }
}

/// Checks that a row holds as many values as the challenge asks for.
pub(super) fn check_count<'a>(
    challenge: Challenge,
    values: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Mismatch> {
    let (found, expected) = (values.clone().count(), challenge.values());
    if found == expected {
        return Ok(());
    }
    let plural = |n: usize| {
        if n == 1 {
            "1 value".to_owned()
        } else {
            format!("{n} values")
        }
    };
    Err(Mismatch {
        found: plural(found),
        expected: format!("{} of {}", plural(expected), challenge.columns()),
    })
}

fn coordinate(name: &str, text: &str) -> Result<Option<f32>, Mismatch> {
    match text.parse::<f32>() {
        Ok(value) if (-1.0..=1.0).contains(&value) => Ok(Some(value)),
        Ok(INVALID_VALENCE_AROUSAL) => Ok(None),
        _ => Err(Mismatch::new(
            text,
            format!("{name} in [-1, 1], or -5 where not annotated"),
        )),
    }
}

fn expression(text: &str) -> Result<Option<Expression>, Mismatch> {
    let class = match text.parse::<i8>() {
        Ok(INVALID_CLASS) => return Ok(None),
        Ok(class) => usize::try_from(class).ok().and_then(Expression::from_index),
        Err(_) => None,
    };
    class
        .map(Some)
        .ok_or_else(|| Mismatch::new(text, "an expression 0 to 7, or -1 where not annotated"))
}

fn action_unit(unit: ActionUnit, text: &str) -> Result<Option<bool>, Mismatch> {
    match text {
        "0" => Ok(Some(false)),
        "1" => Ok(Some(true)),
        "-1" => Ok(None),
        _ => Err(Mismatch::new(
            text,
            format!("{} 0 or 1, or -1 where not annotated", unit.name()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(challenge: Challenge, row: &str) -> Result<FrameLabel, String> {
        FrameLabel::parse(challenge, row.split(',')).map_err(|m| format!("{}; {}", m.found, m.expected))
    }

    #[test]
    fn a_row_of_all_tasks() {
        let label = parse(Challenge::Mtl, "0.07,-1,7,0,0,0,0,1,0,0,0,0,0,0,1").unwrap();
        assert_eq!(
            label.valence_arousal,
            Some(ValenceArousal {
                valence: 0.07,
                arousal: -1.0
            })
        );
        assert_eq!(label.expression, Some(Expression::Other));
        let mut units = [false; 12];
        units[ActionUnit::Au7.index()] = true;
        units[ActionUnit::Au26.index()] = true;
        assert_eq!(label.all_action_units(), Some(units));
    }

    #[test]
    fn what_is_not_annotated_is_none() {
        for row in ["-5,-5", "-5.0,0.2", "0.2,-5"] {
            assert_eq!(parse(Challenge::Va, row).unwrap().valence_arousal, None, "{row}");
        }
        assert_eq!(parse(Challenge::Expr, "-1").unwrap().expression, None);
        let label = parse(Challenge::Au, "1,0,-1,0,0,0,0,0,0,0,0,0").unwrap();
        assert_eq!(label.all_action_units(), None);
        assert_eq!(label.action_units[..3], [Some(true), Some(false), None]);
    }

    #[test]
    fn wrong_values_say_what_was_expected() {
        let error = |challenge, row| parse(challenge, row).unwrap_err();
        assert_eq!(
            error(Challenge::Va, "0.1,1.7"),
            "`1.7`; arousal in [-1, 1], or -5 where not annotated"
        );
        assert_eq!(
            error(Challenge::Va, "0.1"),
            "1 value; 2 values of valence,arousal"
        );
        assert!(error(Challenge::Va, "nan,0").starts_with("`nan`; valence"));
        assert!(error(Challenge::Va, "inf,0").starts_with("`inf`; valence"));
        assert!(error(Challenge::Va, "-4.9,0").starts_with("`-4.9`; valence"));
        assert!(error(Challenge::Va, ",0").starts_with("nothing; valence"));
        for class in ["8", "-2", "1.0", "x", "300", ""] {
            assert!(
                error(Challenge::Expr, class).ends_with("an expression 0 to 7, or -1 where not annotated")
            );
        }
        assert!(error(Challenge::Au, "0,1,2,0,0,0,0,0,0,0,0,0").starts_with("`2`; AU4 0 or 1"));
        assert!(error(Challenge::Mtl, "0,0,0,0").starts_with("4 values; 15 values"));
    }
}
