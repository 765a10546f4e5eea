//! The labels of a face: valence and arousal, eight expressions, twelve action units, in the orders of the
//! ABAW challenge, and the markers that its label files use for "not annotated".

use serde::{Deserialize, Serialize};

/// Number of expressions.
pub const EXPRESSIONS: usize = Expression::ALL.len();
/// Number of action units.
pub const ACTION_UNITS: usize = ActionUnit::ALL.len();

/// Valence or arousal of a frame that was not annotated, in ABAW label files.
pub const INVALID_VALENCE_AROUSAL: f32 = -5.0;
/// Expression or action unit of a frame that was not annotated, in ABAW label files.
pub const INVALID_CLASS: i8 = -1;

/// An expression of the ABAW challenge; the discriminant is its class number there.
///
/// ```
/// use abaw::labels::Expression;
///
/// let probabilities = [0.1, 0.0, 0.0, 0.0, 0.7, 0.2, 0.0, 0.0];
/// assert_eq!(Expression::most_probable(&probabilities), Expression::Happiness);
/// assert_eq!(Expression::from_index(4), Some(Expression::Happiness));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Expression {
    /// Class 0.
    Neutral = 0,
    /// Class 1.
    Anger = 1,
    /// Class 2.
    Disgust = 2,
    /// Class 3.
    Fear = 3,
    /// Class 4.
    Happiness = 4,
    /// Class 5.
    Sadness = 5,
    /// Class 6.
    Surprise = 6,
    /// Class 7: any other emotional or affective state.
    Other = 7,
}

impl Expression {
    /// All expressions in class order.
    pub const ALL: [Expression; 8] = [
        Expression::Neutral,
        Expression::Anger,
        Expression::Disgust,
        Expression::Fear,
        Expression::Happiness,
        Expression::Sadness,
        Expression::Surprise,
        Expression::Other,
    ];

    /// The class number, 0 to 7.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The expression of a class number, or `None` above 7.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// The most probable expression; the first of equals.
    pub fn most_probable(probabilities: &[f32; EXPRESSIONS]) -> Self {
        let mut best = Expression::Neutral;
        for expression in Self::ALL {
            if probabilities[expression.index()] > probabilities[best.index()] {
                best = expression;
            }
        }
        best
    }

    /// The name in ABAW headers: `Neutral`, `Anger`, ...
    pub fn name(self) -> &'static str {
        match self {
            Expression::Neutral => "Neutral",
            Expression::Anger => "Anger",
            Expression::Disgust => "Disgust",
            Expression::Fear => "Fear",
            Expression::Happiness => "Happiness",
            Expression::Sadness => "Sadness",
            Expression::Surprise => "Surprise",
            Expression::Other => "Other",
        }
    }
}

/// A facial action unit of the ABAW challenge, named by its FACS number.
///
/// ```
/// use abaw::labels::ActionUnit;
///
/// let present = [true, false, false, false, false, false, true, false, false, false, false, false];
/// let names: Vec<String> = ActionUnit::ALL
///     .into_iter()
///     .filter(|unit| present[unit.index()])
///     .map(ActionUnit::name)
///     .collect();
/// assert_eq!(names, ["AU1", "AU12"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionUnit {
    /// Inner brow raiser.
    Au1,
    /// Outer brow raiser.
    Au2,
    /// Brow lowerer.
    Au4,
    /// Cheek raiser.
    Au6,
    /// Lid tightener.
    Au7,
    /// Upper lip raiser.
    Au10,
    /// Lip corner puller.
    Au12,
    /// Lip corner depressor.
    Au15,
    /// Lip tightener.
    Au23,
    /// Lip pressor.
    Au24,
    /// Lips part.
    Au25,
    /// Jaw drop.
    Au26,
}

impl ActionUnit {
    /// All action units in the order of ABAW files.
    pub const ALL: [ActionUnit; 12] = [
        ActionUnit::Au1,
        ActionUnit::Au2,
        ActionUnit::Au4,
        ActionUnit::Au6,
        ActionUnit::Au7,
        ActionUnit::Au10,
        ActionUnit::Au12,
        ActionUnit::Au15,
        ActionUnit::Au23,
        ActionUnit::Au24,
        ActionUnit::Au25,
        ActionUnit::Au26,
    ];

    /// The index in ABAW files, 0 to 11.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The FACS number: 1, 2, 4, ...
    pub fn number(self) -> u8 {
        const NUMBERS: [u8; 12] = [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26];
        NUMBERS[self.index()]
    }

    /// The action unit of a FACS number, if it is one of ABAW's.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.number() == number)
    }

    /// The name in ABAW headers: `AU1`, `AU2`, ...
    pub fn name(self) -> String {
        format!("AU{}", self.number())
    }
}

/// An action unit of FACS that the ABAW challenge does not score, by its number: 1 to 99 without ABAW's twelve.
///
/// ```
/// use abaw::labels::ExtraUnit;
///
/// assert_eq!(ExtraUnit::new(14).unwrap().name(), "AU14");
/// assert_eq!(ExtraUnit::new(12), None, "one of ABAW's");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ExtraUnit(u8);

impl ExtraUnit {
    /// The unit of a FACS number; `None` for one of ABAW's, 0, or a number of three digits.
    pub fn new(number: u8) -> Option<Self> {
        let is_abaws = ActionUnit::of_number(number).is_some();
        ((1..=99).contains(&number) && !is_abaws).then_some(Self(number))
    }

    /// The FACS number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name: `AU5`, `AU14`, ...
    pub fn name(self) -> String {
        format!("AU{}", self.0)
    }
}

impl TryFrom<u8> for ExtraUnit {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("{number} is not the number of an extra action unit"))
    }
}

impl From<ExtraUnit> for u8 {
    fn from(unit: ExtraUnit) -> Self {
        unit.0
    }
}

/// A point of the circumplex, each coordinate in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ValenceArousal {
    /// Negative to positive emotion, -1 to 1.
    pub valence: f32,
    /// Passive to active, -1 to 1.
    pub arousal: f32,
}

/// The outputs of a network for one face. A task that the network has no head for is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Affect {
    /// Valence and arousal, as predicted.
    pub valence_arousal: Option<ValenceArousal>,
    /// Probabilities in class order, sum 1.
    pub expression: Option<[f32; EXPRESSIONS]>,
    /// Independent probabilities in ABAW order; `None` for a unit that no network has an output for.
    pub action_units: [Option<f32>; ACTION_UNITS],
    /// Likewise those of the run's extra units, in the order of their numbers; empty in a run without any.
    pub extra_units: Box<[Option<f32>]>,
}

impl Affect {
    /// Whether there is a number of any task.
    pub fn has_numbers(&self) -> bool {
        let mut units = self.action_units.iter().chain(&self.extra_units);
        self.valence_arousal.is_some() || self.expression.is_some() || units.any(Option::is_some)
    }

    /// The probabilities of the twelve action units, if all of them are there.
    pub fn all_action_units(&self) -> Option<[f32; ACTION_UNITS]> {
        all(self.action_units)
    }
}

/// The final prediction for one face in one frame, after gap filling, smoothing and thresholds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FinalAffect {
    /// Valence and arousal in [-1, 1]; probabilities, those of the expressions of sum 1.
    pub affect: Affect,
    /// The most probable expression; the first of equals.
    pub expression: Option<Expression>,
    /// Which action units are present, in ABAW order.
    pub action_units: [Option<bool>; ACTION_UNITS],
    /// Which of the run's extra units are present, in the order of their numbers.
    pub extra_units: Box<[Option<bool>]>,
}

impl FinalAffect {
    /// Which of the twelve action units are present, if all of them are decided.
    pub fn all_action_units(&self) -> Option<[bool; ACTION_UNITS]> {
        all(self.action_units)
    }
}

fn all<T: Copy + Default>(units: [Option<T>; ACTION_UNITS]) -> Option<[T; ACTION_UNITS]> {
    let known = units.iter().all(Option::is_some);
    known.then(|| units.map(Option::unwrap_or_default))
}

/// One value for each of the three tasks: valence and arousal, expressions, action units.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerTask<T> {
    /// The value for valence and arousal.
    pub valence_arousal: T,
    /// The value for the eight expressions.
    pub expression: T,
    /// The value for the twelve action units.
    pub action_units: T,
}

impl<T> PerTask<T> {
    /// The same value for every task.
    pub fn all(value: T) -> Self
    where
        T: Clone,
    {
        Self {
            valence_arousal: value.clone(),
            expression: value.clone(),
            action_units: value,
        }
    }

    /// References to the three values.
    pub fn as_ref(&self) -> PerTask<&T> {
        PerTask {
            valence_arousal: &self.valence_arousal,
            expression: &self.expression,
            action_units: &self.action_units,
        }
    }

    /// Applies `change` to each value.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerTask<U> {
        PerTask {
            valence_arousal: change(self.valence_arousal),
            expression: change(self.expression),
            action_units: change(self.action_units),
        }
    }

    /// Pairs of both values, task by task.
    pub fn zip<U>(self, other: PerTask<U>) -> PerTask<(T, U)> {
        PerTask {
            valence_arousal: (self.valence_arousal, other.valence_arousal),
            expression: (self.expression, other.expression),
            action_units: (self.action_units, other.action_units),
        }
    }
}
