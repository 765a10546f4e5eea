//! A line of a submission: its values, in and out of text.

use std::fmt;

use super::challenge::Challenge;
use super::error::Mismatch;
use super::frame_label::{FrameLabel, check_count};
use super::predictions::{Origin, VideoPredictions};
use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression, ValenceArousal};

/// A compound expression of the CE challenge; the discriminant is its class number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompoundExpression {
    FearfullySurprised = 0,
    HappilySurprised = 1,
    SadlySurprised = 2,
    DisgustedlySurprised = 3,
    AngrilySurprised = 4,
    SadlyFearful = 5,
    SadlyAngry = 6,
}

impl CompoundExpression {
    /// All compound expressions in class order.
    pub const ALL: [CompoundExpression; 7] = [
        CompoundExpression::FearfullySurprised,
        CompoundExpression::HappilySurprised,
        CompoundExpression::SadlySurprised,
        CompoundExpression::DisgustedlySurprised,
        CompoundExpression::AngrilySurprised,
        CompoundExpression::SadlyFearful,
        CompoundExpression::SadlyAngry,
    ];

    /// The two expressions it is made of.
    pub fn parts(self) -> [Expression; 2] {
        match self {
            CompoundExpression::FearfullySurprised => [Expression::Fear, Expression::Surprise],
            CompoundExpression::HappilySurprised => [Expression::Happiness, Expression::Surprise],
            CompoundExpression::SadlySurprised => [Expression::Sadness, Expression::Surprise],
            CompoundExpression::DisgustedlySurprised => [Expression::Disgust, Expression::Surprise],
            CompoundExpression::AngrilySurprised => [Expression::Anger, Expression::Surprise],
            CompoundExpression::SadlyFearful => [Expression::Sadness, Expression::Fear],
            CompoundExpression::SadlyAngry => [Expression::Sadness, Expression::Anger],
        }
    }

    /// The compound whose parts' probabilities have the highest mean; the first of equals.
    pub fn most_probable(probabilities: &[f32; EXPRESSIONS]) -> Self {
        let mean = |compound: CompoundExpression| {
            let [a, b] = compound.parts().map(|part| probabilities[part.index()]);
            (a + b) / 2.0
        };
        let [first, others @ ..] = Self::ALL;
        others.into_iter().fold(
            first,
            |best, other| if mean(other) > mean(best) { other } else { best },
        )
    }
}

/// The values of a line, complete by construction. It prints as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Mtl {
        valence_arousal: ValenceArousal,
        expression: Expression,
        action_units: [bool; ACTION_UNITS],
    },
    Va(ValenceArousal),
    Expr(Expression),
    Au([bool; ACTION_UNITS]),
    Ce(CompoundExpression),
}

impl Answer {
    /// The answer for a frame. Where the video has no prediction at all, the neutral one: 0 and 0,
    /// `Neutral`, no action unit; for `ce`, which has no neutral class, class 0.
    pub fn of(challenge: Challenge, video: &VideoPredictions, frame: FrameIndex) -> (Self, Origin) {
        let valence_arousal = || {
            let (point, origin) = video.valence_arousal.interpolated(frame);
            (in_square(point), origin)
        };
        let probabilities = || video.expression.nearest(frame, NEUTRAL);
        let action_units = || video.action_units.nearest(frame, [false; ACTION_UNITS]);
        match challenge {
            Challenge::Mtl => {
                let ((valence_arousal, a), (probabilities, b), (action_units, c)) =
                    (valence_arousal(), probabilities(), action_units());
                let expression = Expression::most_probable(&probabilities);
                (
                    Answer::Mtl {
                        valence_arousal,
                        expression,
                        action_units,
                    },
                    a.max(b).max(c),
                )
            }
            Challenge::Va => {
                let (point, origin) = valence_arousal();
                (Answer::Va(point), origin)
            }
            Challenge::Expr => {
                let (probabilities, origin) = probabilities();
                (Answer::Expr(Expression::most_probable(&probabilities)), origin)
            }
            Challenge::Au => {
                let (action_units, origin) = action_units();
                (Answer::Au(action_units), origin)
            }
            Challenge::Ce => {
                let (probabilities, origin) = probabilities();
                (
                    Answer::Ce(CompoundExpression::most_probable(&probabilities)),
                    origin,
                )
            }
        }
    }

    /// Reads the values of a line of a submission, all of which must be there.
    pub fn parse<'a>(
        challenge: Challenge,
        values: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, Mismatch> {
        let label = || FrameLabel::parse(challenge, values.clone());
        let answer = match challenge {
            Challenge::Mtl => label().map(|label| {
                Some(Answer::Mtl {
                    valence_arousal: label.valence_arousal?,
                    expression: label.expression?,
                    action_units: label.all_action_units()?,
                })
            }),
            Challenge::Va => label().map(|label| label.valence_arousal.map(Answer::Va)),
            Challenge::Expr => label().map(|label| label.expression.map(Answer::Expr)),
            Challenge::Au => label().map(|label| label.all_action_units().map(Answer::Au)),
            Challenge::Ce => compound(values.clone()).map(|compound| Some(Answer::Ce(compound))),
        };
        answer?.ok_or_else(|| Mismatch::new("a mark for not annotated", "a prediction"))
    }
}

fn compound<'a>(mut values: impl Iterator<Item = &'a str> + Clone) -> Result<CompoundExpression, Mismatch> {
    check_count(Challenge::Ce, values.clone())?;
    let text = values.next().unwrap_or_default();
    let class = text
        .parse()
        .ok()
        .and_then(|class: usize| CompoundExpression::ALL.get(class));
    class
        .copied()
        .ok_or_else(|| Mismatch::new(text, "a compound expression 0 to 6"))
}

const NEUTRAL: [f32; EXPRESSIONS] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Clamped to [-1, 1]; adding 0 turns -0 into 0, which would print a sign.
fn in_square(point: ValenceArousal) -> ValenceArousal {
    ValenceArousal {
        valence: point.valence.clamp(-1.0, 1.0) + 0.0,
        arousal: point.arousal.clamp(-1.0, 1.0) + 0.0,
    }
}

/// Numbers print as the shortest decimal that reads back as the same `f32`, so that a submission
/// scores exactly as the predictions it was made of, never in exponent form.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = |f: &mut fmt::Formatter<'_>, p: &ValenceArousal| write!(f, "{},{}", p.valence, p.arousal);
        let units = |f: &mut fmt::Formatter<'_>, units: &[bool; ACTION_UNITS]| {
            // One write a row: this is most of the time a million lines take.
            let mut text = *b"0,0,0,0,0,0,0,0,0,0,0,0";
            for (digit, &active) in text.iter_mut().step_by(2).zip(units) {
                *digit += u8::from(active);
            }
            f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
        };
        match self {
            Answer::Mtl {
                valence_arousal,
                expression,
                action_units,
            } => {
                point(f, valence_arousal)?;
                write!(f, ",{},", expression.index())?;
                units(f, action_units)
            }
            Answer::Va(valence_arousal) => point(f, valence_arousal),
            Answer::Expr(expression) => write!(f, "{}", expression.index()),
            Answer::Au(action_units) => units(f, action_units),
            Answer::Ce(compound) => write!(f, "{}", *compound as u8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::predictions::FramePrediction;
    use super::*;
    use proptest::prelude::*;

    fn parse(challenge: Challenge, row: &str) -> Result<Answer, String> {
        Answer::parse(challenge, row.split(',')).map_err(|m| format!("{}; {}", m.found, m.expected))
    }

    #[test]
    fn compounds_are_the_mean_of_their_parts() {
        let most_probable = |pairs: &[(Expression, f32)]| {
            let mut probabilities = [0.0; EXPRESSIONS];
            for (expression, probability) in pairs {
                probabilities[expression.index()] = *probability;
            }
            CompoundExpression::most_probable(&probabilities)
        };
        use Expression::*;
        // The most probable expressions need not be a compound.
        assert_eq!(
            most_probable(&[(Anger, 0.4), (Disgust, 0.35), (Sadness, 0.25)]),
            CompoundExpression::SadlyAngry
        );
        assert_eq!(
            most_probable(&[(Happiness, 0.5), (Surprise, 0.1)]),
            CompoundExpression::HappilySurprised
        );
        assert_eq!(
            most_probable(&[(Neutral, 1.0)]),
            CompoundExpression::FearfullySurprised,
            "first of equals"
        );
        assert_eq!(
            CompoundExpression::ALL.map(|compound| compound as u8),
            [0, 1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            Challenge::Ce.columns().split(',').count(),
            CompoundExpression::ALL.len()
        );
    }

    #[test]
    fn valence_and_arousal_stay_in_the_square_and_out_of_exponents() {
        let printed = |valence, arousal| {
            let frame = FrameIndex::FIRST;
            let valence_arousal = Some(ValenceArousal { valence, arousal });
            let row = FramePrediction {
                frame,
                valence_arousal,
                expression: None,
                action_units: None,
            };
            let video = VideoPredictions::new([row]).unwrap();
            Answer::of(Challenge::Va, &video, frame).0.to_string()
        };
        assert_eq!(printed(1.000_1, -3.0), "1,-1");
        assert_eq!(printed(-0.0, 0.1), "0,0.1");
        assert_eq!(printed(1e-7, -0.12345679), "0.0000001,-0.12345679");
    }

    #[test]
    fn lines_hold_predictions_only() {
        assert!(
            parse(Challenge::Va, "-5,-5")
                .unwrap_err()
                .ends_with("a prediction")
        );
        assert!(
            parse(Challenge::Expr, "-1")
                .unwrap_err()
                .ends_with("a prediction")
        );
        assert!(
            parse(Challenge::Au, "-1,0,0,0,0,0,0,0,0,0,0,0")
                .unwrap_err()
                .ends_with("a prediction")
        );
        for class in ["7", "-1", "0.0", "", "0,0"] {
            assert!(parse(Challenge::Ce, class).is_err(), "{class}");
        }
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let point = || {
            (-1.0f32..=1.0, -1.0f32..=1.0).prop_map(|(valence, arousal)| ValenceArousal { valence, arousal })
        };
        let expression = || (0usize..EXPRESSIONS).prop_map(|class| Expression::ALL[class]);
        let units = any::<[bool; ACTION_UNITS]>;
        prop_oneof![
            (point(), expression(), units()).prop_map(|(valence_arousal, expression, action_units)| {
                Answer::Mtl {
                    valence_arousal,
                    expression,
                    action_units,
                }
            }),
            point().prop_map(Answer::Va),
            expression().prop_map(Answer::Expr),
            units().prop_map(Answer::Au),
            (0usize..7).prop_map(|class| Answer::Ce(CompoundExpression::ALL[class])),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(answer in any_answer()) {
            let challenge = match answer {
                Answer::Mtl { .. } => Challenge::Mtl,
                Answer::Va(_) => Challenge::Va,
                Answer::Expr(_) => Challenge::Expr,
                Answer::Au(_) => Challenge::Au,
                Answer::Ce(_) => Challenge::Ce,
            };
            prop_assert_eq!(parse(challenge, &answer.to_string()), Ok(answer));
        }
    }
}
