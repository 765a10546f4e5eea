//! Tuning: the golden threshold search, and a simulated challenge in which the truth is known.

use abaw::frame::FrameIndex;
use abaw::labels::{ACTION_UNITS, Affect, EXPRESSIONS, Expression, PerTask, ValenceArousal};
use abaw::metrics::{Annotation, Tally};
use abaw::postprocess::{FillGap, Kernel, Postprocess, PostprocessSettings, Series, Window};
use abaw::tuning::{
    Calibration, LabelledVideo, STEPS, ThresholdCounts, TuningError, TuningSettings, threshold_at,
    thresholds_at, tune,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    labels: Vec<[u8; ACTION_UNITS]>,
    scores: Vec<[f64; ACTION_UNITS]>,
    expected: Vec<GoldenUnit>,
    mean_best_f1: f64,
    mean_f1_at_0_5: f64,
}

#[derive(Deserialize)]
struct GoldenUnit {
    best_f1: f64,
    tied: Vec<f64>,
    middle_lower: f64,
    middle_upper: f64,
    f1_curve: Vec<f64>,
}

#[test]
fn golden_thresholds_are_found() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/thresholds.json")).unwrap();
    let mut halves = [ThresholdCounts::default(), ThresholdCounts::default()];
    for (row, (label, scores)) in golden.labels.iter().zip(&golden.scores).enumerate() {
        halves[row % 2].add(
            label.map(|unit| unit == 1),
            Some(scores.map(|score| score as f32)),
        );
    }
    let [mut counts, other] = halves;
    counts.merge(&other);

    let found = counts.best();
    for (unit, expected) in golden.expected.iter().enumerate() {
        let curve = counts.f1_curve(unit);
        assert_eq!(expected.f1_curve.len(), STEPS);
        for (found, expected) in curve.iter().zip(&expected.f1_curve) {
            assert!(
                (found - expected).abs() < 1e-12,
                "unit {unit}: {found} {expected}"
            );
        }
        let best: Vec<f64> = (0..STEPS)
            .filter(|&step| curve[step] == curve[found[unit]])
            .map(threshold_at)
            .collect();
        assert_eq!(best, expected.tied, "unit {unit}");
        assert!((curve[found[unit]] - expected.best_f1).abs() < 1e-12);
        let middle = threshold_at(found[unit]);
        assert!(
            middle == expected.middle_lower || middle == expected.middle_upper,
            "unit {unit}: {middle}"
        );
    }
    let tally = |steps| counts.tally(&steps).score().unwrap();
    assert!((tally(found) - golden.mean_best_f1).abs() < 1e-12);
    assert!((tally([40; ACTION_UNITS]) - golden.mean_f1_at_0_5).abs() < 1e-12);

    // The thresholds decide as the counts do.
    let thresholds = thresholds_at(&found);
    let mut decided = abaw::metrics::ActionUnitTally::default();
    for (label, scores) in golden.labels.iter().zip(&golden.scores) {
        decided.add(
            label.map(|unit| unit == 1),
            Some(
                thresholds
                    .decide(&scores.map(|score| Some(score as f32)))
                    .map(|present| present == Some(true)),
            ),
        );
    }
    assert_eq!(decided, counts.tally(&found));
}

/// A random number of about standard normal distribution (sum of 12 uniform ones).
fn normal(random: &mut fastrand::Rng) -> f32 {
    (0..12).map(|_| random.f32()).sum::<f32>() - 6.0
}

/// A slow curve of variance about 1: waves of random phase, the fastest with a period of 150 frames.
fn slow(random: &mut fastrand::Rng, frames: usize) -> Vec<f32> {
    let waves: Vec<(f32, f32)> = (0..5)
        .map(|_| (random.f32() * 0.042, random.f32() * std::f32::consts::TAU))
        .collect();
    let level = 0.7 * normal(random);
    (0..frames)
        .map(|frame| {
            let sum: f32 = waves
                .iter()
                .map(|(speed, phase)| (speed * frame as f32 + phase).sin())
                .sum();
            level + 0.45 * sum
        })
        .collect()
}

/// How the simulated network errs.
#[derive(Clone, Copy)]
struct Errors {
    /// Standard deviation of the noise from frame to frame.
    noise: f32,
    /// Standard deviation of what it gets wrong throughout a video, which nothing can mend.
    bias: f32,
    /// By how much the logits of action units lie too low.
    shift: f32,
}

/// Noise that smoothing can take away, logits that thresholds can put right.
const USUAL: Errors = Errors {
    noise: 1.0,
    bias: 0.3,
    shift: 0.7,
};

struct Simulated {
    series: Series,
    labels: Vec<(FrameIndex, Annotation)>,
}

/// Videos of a world in which affect changes slowly: labels are made from hidden curves, predictions from
/// the same curves and the network's errors. A tenth of the frames has no face; a third no label.
fn simulate(videos: usize, frames: usize, errors: Errors, seed: u64) -> Vec<Simulated> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..videos)
        .map(|_| {
            let seen = |random: &mut fastrand::Rng| -> (Vec<f32>, Vec<f32>) {
                let truth = slow(random, frames);
                let bias = errors.bias * normal(random);
                let predicted = truth
                    .iter()
                    .map(|value| value + bias + errors.noise * normal(random));
                let predicted = predicted.collect();
                (truth, predicted)
            };
            let va: [_; 2] = std::array::from_fn(|_| seen(&mut random));
            let classes: [_; EXPRESSIONS] = std::array::from_fn(|_| seen(&mut random));
            let units: [_; ACTION_UNITS] = std::array::from_fn(|_| seen(&mut random));

            let numbers: Vec<FrameIndex> = (1..=frames as u32).filter_map(FrameIndex::new).collect();
            let label = |frame: usize| Annotation {
                valence_arousal: Some(point(va[0].0[frame], va[1].0[frame])),
                expression: Some(Expression::most_probable(&std::array::from_fn(|class| {
                    classes[class].0[frame]
                }))),
                action_units: Some(std::array::from_fn(|unit| units[unit].0[frame] > rarity(unit))),
            };
            let prediction = |frame: usize| Affect {
                valence_arousal: Some(point(va[0].1[frame], va[1].1[frame])),
                expression: Some(softmax(std::array::from_fn(|class| {
                    2.0 * classes[class].1[frame]
                }))),
                action_units: std::array::from_fn(|unit| {
                    Some(sigmoid(
                        2.0 * (units[unit].1[frame] - rarity(unit) - errors.shift),
                    ))
                }),
                ..Affect::default()
            };
            let labels = (0..frames)
                .filter(|frame| frame % 3 > 0)
                .map(|frame| (numbers[frame], label(frame)));
            let labels = labels.collect();
            let values = (0..frames)
                .map(|frame| (random.f32() > 0.1).then(|| prediction(frame)))
                .collect();
            Simulated {
                series: Series::new(numbers, values).unwrap(),
                labels,
            }
        })
        .collect()
}

fn point(valence: f32, arousal: f32) -> ValenceArousal {
    ValenceArousal {
        valence: (0.5 * valence).clamp(-1.0, 1.0),
        arousal: (0.5 * arousal).clamp(-1.0, 1.0),
    }
}

/// Every unit is rarer than the one before: active in about half to a tenth of the frames.
fn rarity(unit: usize) -> f32 {
    unit as f32 * 0.11
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn softmax(logits: [f32; EXPRESSIONS]) -> [f32; EXPRESSIONS] {
    let powers = logits.map(f32::exp);
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

fn labelled(videos: &[Simulated]) -> Vec<LabelledVideo> {
    let name = |video: usize| format!("video{video}");
    videos
        .iter()
        .enumerate()
        .map(|(at, video)| {
            LabelledVideo::new(name(at), video.series.clone(), FillGap::All, video.labels.clone())
        })
        .collect()
}

/// P of the videos after a step.
fn p(videos: &[Simulated], step: &Postprocess) -> f64 {
    let mut tally = Tally::default();
    for video in videos {
        let finals = step.apply(&video.series).unwrap();
        for (frame, label) in &video.labels {
            let last = &finals[video.series.position(*frame).unwrap()];
            let prediction = Annotation {
                valence_arousal: last.affect.valence_arousal,
                expression: last.expression,
                action_units: last.all_action_units(),
            };
            tally.add(label, &prediction);
        }
    }
    tally.report().per_task.p.unwrap()
}

fn calibrated(calibration: &Calibration) -> Postprocess {
    PostprocessSettings::default()
        .resolve(Some(&calibration.preset()))
        .unwrap()
}

#[test]
fn tuning_recovers_most_of_the_lost_p_and_knows_what_it_is_worth_on_fresh_videos() {
    let tuning = simulate(40, 400, USUAL, 1);
    let fresh = simulate(300, 400, USUAL, 2);
    let found = tune(&labelled(&tuning), &TuningSettings::default(), "2026-11-23").unwrap();

    // The same world seen without errors that could be mended; what is left to lose is the bias.
    let best = p(
        &simulate(
            300,
            400,
            Errors {
                noise: 0.0,
                shift: 0.0,
                ..USUAL
            },
            2,
        ),
        &Postprocess::default(),
    );
    let raw = p(&fresh, &Postprocess::default());
    let tuned = p(&fresh, &calibrated(&found));
    let gain = tuned - raw;
    let recovered = gain / (best - raw);
    println!(
        "fresh videos: P without noise {best:.3}, raw {raw:.3}, tuned {tuned:.3}: {:.0} % recovered",
        100.0 * recovered
    );
    println!(
        "gain: {gain:.3} on fresh videos; {:.3} on the tuning set; {:.3} held out, 95 % {:.3} to {:.3}",
        found.total.tuning, found.total.held_out, found.total.interval.low, found.total.interval.high
    );
    assert!(recovered > 0.6);
    assert!(found.total.interval.low < gain && gain < found.total.interval.high);
    assert!((found.total.held_out - gain).abs() < 0.1 * gain);
}

#[test]
fn the_held_out_gain_is_right_on_average_and_its_interval_as_often_as_it_says() {
    // Few videos, small errors: the case in which a team fools itself.
    let errors = Errors {
        noise: 0.5,
        bias: 0.3,
        shift: 0.3,
    };
    let fresh = simulate(200, 300, errors, 1000);
    let raw = p(&fresh, &Postprocess::default());
    let worlds = 50;
    let (mut on_tuning, mut held_out, mut on_fresh, mut inside) = (0.0, 0.0, 0.0, 0);
    for world in 0..worlds {
        let settings = TuningSettings {
            draws: 300,
            ..TuningSettings::default()
        };
        let found = tune(
            &labelled(&simulate(15, 300, errors, world)),
            &settings,
            "2026-11-23",
        )
        .unwrap();
        let gain = p(&fresh, &calibrated(&found)) - raw;
        on_tuning += found.total.tuning / worlds as f64;
        held_out += found.total.held_out / worlds as f64;
        on_fresh += gain / worlds as f64;
        inside += u32::from(found.total.interval.low <= gain && gain <= found.total.interval.high);
    }
    println!(
        "mean gain in {worlds} worlds: tuning set {on_tuning:.3}, held out {held_out:.3}, fresh {on_fresh:.3}"
    );
    println!("the interval holds the fresh gain in {inside} of {worlds}");
    assert!((held_out - on_fresh).abs() < (on_tuning - on_fresh).abs());
    assert!((held_out - on_fresh).abs() < 0.03);
    // 92 of 100 in a longer run, 91 of 100 with 40 videos.
    assert!(inside >= 42);
}

#[test]
fn nothing_is_kept_where_nothing_is_to_gain() {
    // The network is right in every frame, and frames know nothing of each other.
    let mut random = fastrand::Rng::with_seed(4);
    let videos: Vec<LabelledVideo> = (0..12)
        .map(|video| {
            let frames: Vec<FrameIndex> = (1..=100).filter_map(FrameIndex::new).collect();
            let mut labels = Vec::new();
            let mut values = Vec::new();
            for frame in &frames {
                let place = point(normal(&mut random), normal(&mut random));
                let class = Expression::ALL[random.usize(..EXPRESSIONS)];
                let units: [bool; ACTION_UNITS] = std::array::from_fn(|_| random.bool());
                labels.push((
                    *frame,
                    Annotation {
                        valence_arousal: Some(place),
                        expression: Some(class),
                        action_units: Some(units),
                    },
                ));
                values.push(Some(Affect {
                    valence_arousal: Some(place),
                    expression: Some(std::array::from_fn(
                        |i| if i == class.index() { 0.93 } else { 0.01 },
                    )),
                    action_units: units.map(|unit| Some(if unit { 0.95 } else { 0.05 })),
                    ..Affect::default()
                }));
            }
            LabelledVideo::new(
                format!("{video}"),
                Series::new(frames, values).unwrap(),
                FillGap::All,
                labels,
            )
        })
        .collect();
    let found = tune(&videos, &TuningSettings::default(), "").unwrap();
    assert_eq!(found.smoothing, PerTask::default());
    assert_eq!(found.thresholds, None);
    assert_eq!(found.total.held_out, 0.0);
    assert_eq!(calibrated(&found), Postprocess::default());
}

#[test]
fn what_is_kept_has_a_positive_held_out_gain_and_nothing_else_is() {
    // No shift: 0.5 is right, and what thresholds seem to gain is chance.
    let errors = Errors {
        noise: 0.8,
        bias: 0.6,
        shift: 0.0,
    };
    let found = tune(
        &labelled(&simulate(12, 200, errors, 9)),
        &TuningSettings::default(),
        "",
    )
    .unwrap();
    let thresholds = found.thresholds.unwrap_or_default().values();
    let mut refused = 0;
    for (trial, threshold) in found.threshold_trials.iter().zip(thresholds) {
        assert_eq!(trial.kept, trial.gain.held_out > 0.0, "{trial:?}");
        assert_eq!(threshold, if trial.kept { trial.best } else { 0.5 });
        assert!(trial.gain.tuning >= 0.0);
        refused += u32::from(!trial.kept && trial.gain.tuning > 0.0);
    }
    println!("{refused} of 12 thresholds gain on the tuning set only");
    assert!(refused >= 3);
    let trials = found.smoothing_trials;
    for (trial, kept) in [
        (trials.valence_arousal, found.smoothing.valence_arousal),
        (trials.expression, found.smoothing.expression),
        (trials.action_units, found.smoothing.action_units),
    ] {
        let trial = trial.unwrap();
        assert_eq!(kept, (trial.gain.held_out > 0.0).then_some(trial.best));
    }
}

#[test]
fn two_people_in_one_video_are_one_video_and_the_order_of_videos_does_not_matter() {
    let people = simulate(12, 100, USUAL, 5);
    let mut videos: Vec<LabelledVideo> = people
        .iter()
        .enumerate()
        .map(|(at, person)| {
            LabelledVideo::new(
                format!("{}", at / 2),
                person.series.clone(),
                FillGap::All,
                person.labels.clone(),
            )
        })
        .collect();
    let settings = TuningSettings {
        folds: 6,
        draws: 50,
        ..TuningSettings::default()
    };
    let found = tune(&videos, &settings, "").unwrap();
    assert_eq!(found.videos, 6);
    videos.reverse();
    let reversed = tune(&videos, &settings, "").unwrap();
    assert_eq!(reversed.preset(), found.preset());
    assert!((reversed.total.held_out - found.total.held_out).abs() < 1e-9);
    let settings = TuningSettings { folds: 7, ..settings };
    assert_eq!(
        tune(&videos, &settings, ""),
        Err(TuningError::TooFewVideos { videos: 6, folds: 7 })
    );
    let settings = TuningSettings { folds: 2, ..settings };
    assert_eq!(tune(&videos, &settings, ""), Err(TuningError::TooFewFolds(2)));
    let seconds = vec![Kernel::Box {
        half_width: Window::Seconds(1.0),
    }];
    let settings = TuningSettings {
        candidates: PerTask::all(seconds),
        ..TuningSettings::default()
    };
    assert!(matches!(
        tune(&videos, &settings, ""),
        Err(TuningError::Postprocess(_))
    ));
}

#[test]
fn a_task_without_labels_is_left_alone_and_a_calibration_survives_being_written() {
    let mut videos = simulate(10, 100, USUAL, 6);
    for video in &mut videos {
        for (_, label) in &mut video.labels {
            label.expression = None;
        }
    }
    let settings = TuningSettings {
        draws: 50,
        ..TuningSettings::default()
    };
    let found = tune(&labelled(&videos), &settings, "2026-11-23").unwrap();
    assert_eq!(found.smoothing_trials.expression, None);
    assert_eq!(found.frames.expression, 0);
    assert_eq!(found.frames.valence_arousal, 10 * 66);
    let text = toml::to_string(&found).unwrap();
    assert_eq!(toml::from_str::<Calibration>(&text).unwrap(), found);
}
