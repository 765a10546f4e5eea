//! A line of a submission: its values, in and out of text.

use std::fmt;

use super::compound_expression::CompoundExpression;
use super::frame_label::check_count;
use super::mismatch::Mismatch;
use super::video_predictions::{NEUTRAL, Origin, in_square};
use super::{Challenge, FrameLabel, VideoPredictions};
use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, Expression, ValenceArousal};

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
        let (answer, origin) = match challenge {
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
        };
        match origin {
            Origin::Run if video.is_filled(frame) => (answer, Origin::Filled),
            origin => (answer, origin),
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
    use proptest::prelude::*;

    use super::super::FramePrediction;
    use super::*;
    use crate::labels::EXPRESSIONS;

    fn parse(challenge: Challenge, row: &str) -> Result<Answer, String> {
        Answer::parse(challenge, row.split(',')).map_err(|m| format!("{}; {}", m.found, m.expected))
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
                filled: false,
                usable: true,
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
