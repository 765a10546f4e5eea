//! What is said of a face: valence and arousal, eight expressions, twelve action units, in the
//! orders of the ABAW challenge, and the markers its label files use for "not annotated".

/// Number of expressions.
pub const EXPRESSIONS: usize = Expression::ALL.len();
/// Number of action units.
pub const ACTION_UNITS: usize = ActionUnit::ALL.len();

/// Valence or arousal of a frame that was not annotated, in ABAW label files.
pub const INVALID_VALENCE_AROUSAL: f32 = -5.0;
/// Expression or action unit of a frame that was not annotated, in ABAW label files.
pub const INVALID_CLASS: i8 = -1;

/// An expression of the ABAW challenge; the discriminant is its class number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expression {
    Neutral = 0,
    Anger = 1,
    Disgust = 2,
    Fear = 3,
    Happiness = 4,
    Sadness = 5,
    Surprise = 6,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionUnit {
    Au1,
    Au2,
    Au4,
    Au6,
    Au7,
    Au10,
    Au12,
    Au15,
    Au23,
    Au24,
    Au25,
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

    /// The place in ABAW files, 0 to 11.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The FACS number: 1, 2, 4, ...
    pub fn number(self) -> u8 {
        const NUMBERS: [u8; 12] = [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26];
        NUMBERS[self.index()]
    }

    /// The name in ABAW headers: `AU1`, `AU2`, ...
    pub fn name(self) -> String {
        format!("AU{}", self.number())
    }
}

/// A point of the circumplex, each coordinate in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ValenceArousal {
    pub valence: f32,
    pub arousal: f32,
}

/// What a network says of one face. A task that the network has no head for is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Affect {
    pub valence_arousal: Option<ValenceArousal>,
    /// Probabilities in class order, sum 1.
    pub expression: Option<[f32; EXPRESSIONS]>,
    /// Independent probabilities in ABAW order.
    pub action_units: Option<[f32; ACTION_UNITS]>,
}

/// What is finally said of one face in one frame, after gap filling, smoothing and thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FinalAffect {
    /// Valence and arousal in [-1, 1]; probabilities, those of the expressions of sum 1.
    pub affect: Affect,
    /// The most probable expression; the first of equals.
    pub expression: Option<Expression>,
    /// Which action units are present.
    pub action_units: Option<[bool; ACTION_UNITS]>,
}
