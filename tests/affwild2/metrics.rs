//! The scores: golden cases, what must hold for any rows, the contract of the JSON, intervals.

use abaw::labels::{Expression, ValenceArousal};
use abaw::metrics::{Annotation, Concordance, Scores, Tally, intervals, leave_one_out};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    ccc_small_variance: SmallVariance,
}

#[derive(Deserialize)]
struct SmallVariance {
    labels: Vec<f64>,
    predictions: Vec<f64>,
    expected: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    labels: Columns,
    predictions: Columns,
    expected_per_task_masks: Expected,
    expected_strict: Expected,
}

#[derive(Deserialize)]
struct Columns {
    valence: Vec<f64>,
    arousal: Vec<f64>,
    expression: Vec<i64>,
    aus: Vec<[i64; 12]>,
}

#[derive(Deserialize)]
struct Expected {
    n_va: u64,
    n_expr: u64,
    n_au: u64,
    ccc_valence: Option<f64>,
    ccc_arousal: Option<f64>,
    ccc_mean_undefined_as_0: f64,
    expr_f1_per_class_8: Option<[f64; 8]>,
    expr_f1_macro_8: Option<f64>,
    expr_f1_macro_sklearn_default: Option<f64>,
    au_f1: Option<[f64; 12]>,
    au_f1_mean: Option<f64>,
    p_score_undefined_as_0: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/metrics.json")).unwrap()
}

impl Columns {
    /// -5 and -1 mean "not annotated"; an expression beyond the 8 is none of ours.
    fn annotation(&self, row: usize) -> Annotation {
        let (valence, arousal) = (self.valence[row], self.arousal[row]);
        let class = usize::try_from(self.expression[row]).ok();
        let units = self.aus[row];
        Annotation {
            valence_arousal: (valence > -5.0 && arousal > -5.0).then_some(ValenceArousal {
                valence: valence as f32,
                arousal: arousal as f32,
            }),
            expression: class.and_then(Expression::from_index),
            action_units: units
                .iter()
                .all(|unit| *unit >= 0)
                .then(|| units.map(|unit| unit == 1)),
        }
    }
}

fn tally_of(case: &Case) -> Tally {
    let mut tally = Tally::default();
    for row in 0..case.labels.valence.len() {
        tally.add(&case.labels.annotation(row), &case.predictions.annotation(row));
    }
    tally
}

fn assert_near(found: Option<f64>, expected: Option<f64>, tolerance: f64, what: &str) {
    match (found, expected) {
        (Some(found), Some(expected)) => {
            assert!(
                (found - expected).abs() <= tolerance,
                "{what}: {found} is not {expected}"
            );
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

fn assert_scores(found: &Scores, expected: &Expected, what: &str) {
    assert_eq!(
        [found.frames.va, found.frames.expression, found.frames.au],
        [expected.n_va, expected.n_expr, expected.n_au],
        "{what}"
    );
    let near = |found, expected, tolerance, name: &str| {
        assert_near(found, expected, tolerance, &format!("{what}, {name}"));
    };
    // Valence and arousal pass through single precision; the rest is counting.
    let (coarse, fine) = (1e-6, 1e-12);
    near(found.ccc_valence, expected.ccc_valence, coarse, "valence");
    near(found.ccc_arousal, expected.ccc_arousal, coarse, "arousal");
    let va = (expected.n_va > 0).then_some(expected.ccc_mean_undefined_as_0);
    near(found.va, va, coarse, "VA");

    // The golden mean of no class at all is 0, ours is none.
    let mean = expected.expr_f1_macro_8.filter(|_| expected.n_expr > 0);
    near(found.expression, mean, fine, "expressions");
    // In one case scikit-learn sees predictions of class 8, which divides by one class more.
    let classes = if what.starts_with("prediction_index_8") {
        9.0 / 8.0
    } else {
        1.0
    };
    let mean = expected.expr_f1_macro_sklearn_default.map(|mean| mean * classes);
    near(
        found.expression_sklearn,
        mean,
        fine,
        "expressions as scikit-learn",
    );
    if let Some(found) = found.f1_expression {
        for (found, expected) in found.into_iter().zip(expected.expr_f1_per_class_8.unwrap()) {
            near(Some(found), Some(expected), fine, "an expression");
        }
    }

    near(
        found.au,
        expected.au_f1_mean.filter(|_| expected.n_au > 0),
        fine,
        "action units",
    );
    if let Some(found) = found.f1_au {
        for (found, expected) in found.into_iter().zip(expected.au_f1.unwrap()) {
            near(Some(found), Some(expected), fine, "an action unit");
        }
    }
    // Without any score P is absent, not 0.
    assert_eq!(
        found.p.is_none(),
        [found.va, found.expression, found.au] == [None; 3]
    );
    near(
        Some(found.p.unwrap_or(0.0)),
        Some(expected.p_score_undefined_as_0),
        coarse,
        "P",
    );
}

#[test]
fn golden_cases_score_as_expected() {
    for case in golden().cases {
        let report = tally_of(&case).report();
        assert_scores(
            &report.per_task,
            &case.expected_per_task_masks,
            &format!("{} per task", case.name),
        );
        assert_scores(
            &report.strict,
            &case.expected_strict,
            &format!("{} strict", case.name),
        );
    }
}

#[test]
fn golden_ccc_in_double_precision() {
    let ccc = |labels: &[f64], predictions: &[f64]| {
        // In two parts, so that merging is measured too.
        let mut parts = [Concordance::default(); 2];
        for (row, (label, prediction)) in labels.iter().zip(predictions).enumerate() {
            if *label > -5.0 {
                parts[usize::from(row > labels.len() / 3)].add(*label, *prediction);
            }
        }
        let [mut whole, rest] = parts;
        whole.merge(&rest);
        whole.ccc()
    };
    let golden = golden();
    let small = golden.ccc_small_variance;
    assert_near(
        ccc(&small.labels, &small.predictions),
        Some(small.expected),
        1e-9,
        "small variance",
    );
    for case in golden
        .cases
        .iter()
        .filter(|case| case.name != "random_300_with_invalid")
    {
        let expected = case.expected_per_task_masks.ccc_valence;
        assert_near(
            ccc(&case.labels.valence, &case.predictions.valence),
            expected,
            1e-9,
            &case.name,
        );
    }
}

#[test]
fn the_json_is_the_contract() {
    let case = &golden().cases[0];
    let json = serde_json::to_value(tally_of(case).report()).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json), ["per_task", "strict"]);
    let mut expected = [
        "ccc_valence",
        "ccc_arousal",
        "va",
        "f1_expression",
        "expression",
        "f1_au",
        "au",
        "p",
        "frames",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&json["strict"]), expected);
    assert_eq!(keys(&json["strict"]["frames"]), ["au", "expression", "va"]);

    let none = serde_json::to_value(Tally::default().report()).unwrap();
    for task in [
        "ccc_valence",
        "ccc_arousal",
        "va",
        "f1_expression",
        "expression",
        "f1_au",
        "au",
    ] {
        assert!(none["per_task"][task].is_null(), "{task}");
    }
}

fn labelled() -> Annotation {
    Annotation {
        valence_arousal: Some(ValenceArousal {
            valence: 0.5,
            arousal: -0.5,
        }),
        expression: Some(Expression::Fear),
        action_units: Some([true; 12]),
    }
}

#[test]
fn a_frame_without_prediction_is_a_wrong_answer_and_a_task_without_any_is_none() {
    let mut tally = Tally::default();
    tally.add(&labelled(), &Annotation::default());
    let scores = tally.report().per_task;
    assert_eq!(
        (scores.va, scores.f1_expression, scores.au, scores.p),
        (None, None, None, None)
    );
    assert_eq!(scores.frames.va, 1);

    tally.add(&labelled(), &labelled());
    let scores = tally.report().per_task;
    assert_eq!(scores.unanswered.expression, 1);
    assert!((scores.f1_expression.unwrap()[3] - 2.0 / 3.0).abs() < 1e-12);
    assert!((scores.au.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(scores.va, Some(0.0));
}

fn rows() -> impl Strategy<Value = Vec<(Annotation, Annotation)>> {
    let point = prop::option::of((-1.0..1.0f32, -1.0..1.0f32))
        .prop_map(|point| point.map(|(valence, arousal)| ValenceArousal { valence, arousal }));
    let class = prop::option::of(0usize..8).prop_map(|class| class.and_then(Expression::from_index));
    let units = prop::option::of(any::<[bool; 12]>());
    let annotation =
        (point, class, units).prop_map(|(valence_arousal, expression, action_units)| Annotation {
            valence_arousal,
            expression,
            action_units,
        });
    prop::collection::vec((annotation.clone(), annotation), 0..80)
}

fn tally(rows: &[(Annotation, Annotation)]) -> Tally {
    let mut tally = Tally::default();
    for (label, prediction) in rows {
        tally.add(label, prediction);
    }
    tally
}

/// Both reports' numbers; an undefined one as NaN.
fn numbers(tally: &Tally) -> Vec<f64> {
    let report = tally.report();
    [report.per_task, report.strict]
        .iter()
        .flat_map(|scores| {
            let single = [
                scores.ccc_valence,
                scores.ccc_arousal,
                scores.va,
                scores.expression,
                scores.expression_sklearn,
                scores.au,
                scores.p,
                Some(scores.frames.va as f64),
            ];
            single
                .into_iter()
                .map(|number| number.unwrap_or(f64::NAN))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn same(a: &Tally, b: &Tally) -> bool {
    numbers(a)
        .iter()
        .zip(numbers(b))
        .all(|(a, b)| (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-9)
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), seed in any::<u64>()) {
        let mut shuffled = rows.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        prop_assert!(same(&tally(&rows), &tally(&shuffled)));
    }

    #[test]
    fn merged_parts_are_the_whole(rows in rows(), cuts in prop::collection::vec(0usize..80, 0..4)) {
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
        ends.extend([0, rows.len()]);
        ends.sort_unstable();
        let parts: Vec<Tally> = ends.windows(2).map(|pair| tally(&rows[pair[0]..pair[1]])).collect();
        prop_assert!(same(&Tally::merged(&parts), &tally(&rows)));
    }

    #[test]
    fn ccc_is_what_its_two_pass_formula_says(pairs in prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 2..50)) {
        let mut streamed = Concordance::default();
        for (label, prediction) in &pairs {
            streamed.add(*label, *prediction);
        }
        let n = pairs.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let cov = mean(&|p| (p.0 - x) * (p.1 - y));
        let spread = mean(&|p| (p.0 - x).powi(2)) + mean(&|p| (p.1 - y).powi(2)) + (x - y).powi(2);
        prop_assert!((streamed.ccc().unwrap() - 2.0 * cov / spread).abs() < 1e-9);
    }
}

/// Videos whose predictions are noisy, one of them with arousal and valence upside down.
fn videos() -> Vec<Tally> {
    let mut random = fastrand::Rng::with_seed(3);
    (0..30)
        .map(|video| {
            let mut tally = Tally::default();
            for frame in 0..100 {
                let valence = (frame as f32 / 15.0 + video as f32).sin() * 0.7;
                let sign = if video == 17 { -1.0 } else { 1.0 };
                let at = |valence| {
                    Some(ValenceArousal {
                        valence,
                        arousal: valence,
                    })
                };
                let label = Annotation {
                    valence_arousal: at(valence),
                    ..Annotation::default()
                };
                let noise = random.f32() - 0.5;
                let prediction = Annotation {
                    valence_arousal: at(sign * valence + noise),
                    ..Annotation::default()
                };
                tally.add(&label, &prediction);
            }
            tally
        })
        .collect()
}

#[test]
fn the_worst_video_comes_first_and_its_cost_is_the_gain_of_leaving_it_out() {
    let videos = videos();
    let per_task: Vec<_> = videos.iter().map(|tally| tally.per_task).collect();
    let p = |tally: &Tally| tally.report().per_task.p.unwrap();
    let costs = leave_one_out(&per_task, |scores| scores.p.unwrap());
    assert_eq!(costs[0].video, 17);
    assert!(costs[0].own.ccc_valence.unwrap() < 0.0);
    let others: Vec<&Tally> = videos
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != 17)
        .map(|(_, t)| t)
        .collect();
    let gain = p(&Tally::merged(others)) - p(&Tally::merged(&videos));
    assert!((costs[0].cost - gain).abs() < 1e-9);
}

#[test]
fn intervals_hold_the_score_and_are_the_same_for_the_same_seed() {
    let videos = videos();
    let pooled = Tally::merged(&videos).report().per_task;
    let found = intervals(&videos, 1000, 5);
    let va = found.per_task.va.unwrap();
    println!(
        "VA {:.4}, 95 % {:.4} to {:.4}",
        pooled.va.unwrap(),
        va.low,
        va.high
    );
    assert!(va.low < pooled.va.unwrap() && pooled.va.unwrap() < va.high);
    assert_eq!(found.per_task.expression, None);
    assert_eq!(found, intervals(&videos, 1000, 5));
    assert_ne!(found, intervals(&videos, 1000, 6));
}
