//! The section of the overview on labels: scores, confusion matrix, F1 of each class, threshold curves.

use super::numbers::{count, score};
use super::scores::LabelledRun;
use crate::labels::{ActionUnit, Expression};
use crate::metrics::{Interval, Intervals, Scores, intervals};
use crate::postprocess::Thresholds;
use crate::tuning::{STEPS, ThresholdCounts, threshold_at};

/// Draws of the bootstrap behind each interval, and the seed of their random numbers, as in `abaw evaluate`.
const DRAWS: usize = 1000;
const SEED: u64 = 1;
/// Size of a threshold curve's picture, in its own units.
const CURVE: (f64, f64) = (160.0, 80.0);

/// The scores of a run on labels, as the page shows them.
pub struct ScorePage {
    /// Number of scored videos.
    pub videos: usize,
    /// Name, score with one mask for each task, its interval, strict score.
    pub lines: Vec<[String; 4]>,
    /// Labelled frames of each task.
    pub frames: String,
    /// Empty without labels of expressions.
    pub confusion: Vec<ConfusionRow>,
    /// F1 of each expression.
    pub f1_expressions: Vec<Bar>,
    /// F1 of each action unit.
    pub f1_units: Vec<Bar>,
    /// Threshold curves of the action units; empty without labels of these.
    pub curves: Vec<Curve>,
}

/// The frames that are labelled with one expression.
pub struct ConfusionRow {
    /// The labelled expression.
    pub label: &'static str,
    /// Frames with this label.
    pub frames: String,
    /// One cell for each prediction.
    pub cells: Vec<ConfusionCell>,
}

/// Frames of one label with one prediction.
pub struct ConfusionCell {
    /// The predicted expression.
    pub prediction: &'static str,
    /// Frames with this label and prediction.
    pub frames: String,
    /// Of the row, 0 to 100.
    pub percent: f64,
    /// Whether the prediction is the label.
    pub is_right: bool,
}

/// A class and its F1.
pub struct Bar {
    /// Name of the class.
    pub name: String,
    /// F1 as text.
    pub score: String,
    /// 0 to 100.
    pub percent: f64,
}

/// F1 of an action unit by threshold.
pub struct Curve {
    /// Name of the action unit.
    pub name: String,
    /// Points of a polyline in a picture of 160 x 80.
    pub points: String,
    /// Horizontal position of the run's own threshold.
    pub own_x: f64,
    /// The run's own threshold as text.
    pub own: String,
    /// Horizontal position of the best point.
    pub best_x: f64,
    /// Vertical position of the best point.
    pub best_y: f64,
    /// The best F1 and its threshold as text.
    pub best: String,
}

impl ScorePage {
    /// Of a run on labels; `curves` counts the final probabilities of its action units.
    pub fn new(labelled: &LabelledRun, curves: &ThresholdCounts, thresholds: &Thresholds) -> Self {
        let tally = labelled.tally();
        let report = tally.report();
        let (one, strict) = (&report.per_task, &report.strict);
        let around = intervals(&labelled.by_input(), DRAWS, SEED).per_task;
        let confusion = tally.per_task.expression.confusion();
        let has_expressions = one.expression.is_some();
        Self {
            videos: labelled.videos(),
            lines: lines(one, &around, strict),
            frames: [one.frames.va, one.frames.expression, one.frames.au]
                .map(count)
                .join(" / "),
            confusion: match has_expressions {
                true => confusion_rows(confusion),
                false => Vec::new(),
            },
            f1_expressions: bars(
                &Expression::ALL.map(|class| class.name().to_owned()),
                one.f1_expression,
            ),
            f1_units: bars(&ActionUnit::ALL.map(ActionUnit::name), one.f1_au),
            curves: match one.au {
                Some(_) => ActionUnit::ALL
                    .map(|unit| curve(unit, curves, thresholds))
                    .into_iter()
                    .collect(),
                None => Vec::new(),
            },
        }
    }
}

fn lines(one: &Scores, around: &Intervals, strict: &Scores) -> Vec<[String; 4]> {
    let line = |name: &str, own: Option<f64>, around: Option<Interval>, strict: Option<f64>| {
        let around = match (own, around) {
            (Some(_), Some(around)) => {
                format!("{} to {}", score(Some(around.low)), score(Some(around.high)))
            }
            _ => String::new(),
        };
        [name.to_owned(), score(own), around, score(strict)]
    };
    vec![
        line("P", one.p, around.p, strict.p),
        line(
            "CCC valence",
            one.ccc_valence,
            around.ccc_valence,
            strict.ccc_valence,
        ),
        line(
            "CCC arousal",
            one.ccc_arousal,
            around.ccc_arousal,
            strict.ccc_arousal,
        ),
        line(
            "Expressions, mean F1",
            one.expression,
            around.expression,
            strict.expression,
        ),
        line("Action units, mean F1", one.au, around.au, strict.au),
    ]
}

fn confusion_rows(confusion: &crate::metrics::Confusion) -> Vec<ConfusionRow> {
    let names = Expression::ALL.map(Expression::name);
    names
        .iter()
        .zip(confusion)
        .enumerate()
        .map(|(class, (&label, counts))| {
            let all: u64 = counts.iter().sum();
            let cell = |(prediction, &frames): (usize, &u64)| ConfusionCell {
                prediction: names.get(prediction).copied().unwrap_or("none"),
                frames: count(frames),
                percent: match all {
                    0 => 0.0,
                    _ => 100.0 * frames as f64 / all as f64,
                },
                is_right: prediction == class,
            };
            ConfusionRow {
                label,
                frames: count(all),
                cells: counts.iter().enumerate().map(cell).collect(),
            }
        })
        .collect()
}

fn bars<const N: usize>(names: &[String; N], scores: Option<[f64; N]>) -> Vec<Bar> {
    let scores = scores.into_iter().flatten();
    let bar = |(name, own): (&String, f64)| Bar {
        name: name.clone(),
        score: score(Some(own)),
        percent: 100.0 * own,
    };
    names.iter().zip(scores).map(bar).collect()
}

fn curve(unit: ActionUnit, counts: &ThresholdCounts, thresholds: &Thresholds) -> Curve {
    let f1 = counts.f1_curve(unit.index());
    let (width, height) = CURVE;
    let x = |threshold: f64| threshold * width;
    let y = |f1: f64| (1.0 - f1) * height;
    let points: Vec<String> = (0..STEPS)
        .map(|step| format!("{:.1},{:.1}", x(threshold_at(step)), y(f1[step])))
        .collect();
    let best = counts.best()[unit.index()];
    let own = thresholds.values()[unit.index()];
    Curve {
        name: unit.name(),
        points: points.join(" "),
        own_x: x(own),
        own: format!("{own:.2}"),
        best_x: x(threshold_at(best)),
        best_y: y(f1[best]),
        best: format!("{} at {:.2}", score(Some(f1[best])), threshold_at(best)),
    }
}
