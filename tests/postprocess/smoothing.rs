//! The whole step: golden series, single rules, and speed.

use abaw::blend::blend_affects;
use abaw::frame::FrameIndex;
use abaw::labels::{Affect, Expression, PerTask, ValenceArousal};
use abaw::postprocess::{
    FillGap, Kernel, Postprocess, PostprocessError, Series, Thresholds, Window, fill_gaps,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Two columns, valence and arousal.
type Row = [f64; 2];

/// Golden rows have two or three columns; a missing third is 0.
#[derive(Deserialize)]
#[serde(from = "Vec<Vec<f64>>")]
struct Rows(Vec<[f64; 3]>);

impl From<Vec<Vec<f64>>> for Rows {
    fn from(rows: Vec<Vec<f64>>) -> Self {
        Self(
            rows.into_iter()
                .map(|row| std::array::from_fn(|i| row.get(i).copied().unwrap_or(0.0)))
                .collect(),
        )
    }
}

impl std::ops::Deref for Rows {
    type Target = [[f64; 3]];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[derive(Deserialize)]
struct Golden {
    series: Vec<GoldenSeries>,
    two_videos: TwoVideos,
}

#[derive(Deserialize)]
struct GoldenSeries {
    name: String,
    length: u32,
    frames_1_based: Vec<u32>,
    values: Rows,
    filled: Rows,
    r#box: BTreeMap<String, Rows>,
    gaussian_standard: Vec<Gaussian>,
    hse_frame_kernel: Vec<FrameDistance>,
}

#[derive(Deserialize)]
struct Gaussian {
    sigma: f64,
    radius: u32,
    expected: Rows,
}

#[derive(Deserialize)]
struct FrameDistance {
    sigma: f64,
    delta: u32,
    symmetric: Rows,
}

#[derive(Deserialize)]
struct TwoVideos {
    videos: Vec<String>,
    frames: Vec<u32>,
    values: Rows,
    cases: Vec<FrameDistance>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/smoothing.json")).unwrap()
}

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<FrameIndex> {
    numbers.into_iter().map(|n| FrameIndex::new(n).unwrap()).collect()
}

/// Compares the columns that both have.
fn assert_near<const N: usize, const M: usize>(
    found: &[[f64; N]],
    expected: &[[f64; M]],
    tolerance: f64,
    what: &str,
) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= tolerance,
                "{what}: {found} is not {expected}"
            );
        }
    }
}

fn affect([valence, arousal]: Row) -> Affect {
    Affect {
        valence_arousal: Some(ValenceArousal {
            valence: valence as f32,
            arousal: arousal as f32,
        }),
        ..Affect::default()
    }
}

/// Some golden numbers lie beyond [-1, 1], where the step would cut them off: they go in as quarters.
fn golden_affect([valence, arousal, _]: [f64; 3]) -> Affect {
    affect([valence / 4.0, arousal / 4.0])
}

/// What the step makes of the quarters, in full size again.
fn golden_points(series: &Series, kernel: Kernel) -> Vec<Row> {
    let quarters = points(series, &smoothing_valence_arousal(kernel));
    quarters
        .into_iter()
        .map(|row| row.map(|quarter| 4.0 * quarter))
        .collect()
}

fn smoothing_valence_arousal(kernel: Kernel) -> Postprocess {
    Postprocess {
        smoothing: PerTask {
            valence_arousal: kernel,
            ..PerTask::default()
        },
        ..filling()
    }
}

/// Every gap filled, nothing smoothed.
fn filling() -> Postprocess {
    Postprocess {
        fill_gap_s: FillGap::All,
        ..Postprocess::default()
    }
}

fn points(series: &Series, step: &Postprocess) -> Vec<Row> {
    let finals = step.apply(series).unwrap();
    finals
        .iter()
        .map(|last| {
            let point = last.affect.valence_arousal.unwrap();
            [f64::from(point.valence), f64::from(point.arousal)]
        })
        .collect()
}

/// Every frame of a golden series, those without a prediction as gaps.
fn dense(case: &GoldenSeries) -> (Vec<FrameIndex>, Vec<Option<[f64; 3]>>) {
    let mut given = vec![None; case.length as usize];
    for (&frame, &row) in case.frames_1_based.iter().zip(case.values.iter()) {
        given[frame as usize - 1] = Some(row);
    }
    (numbered(1..=case.length), given)
}

#[test]
fn golden_series_are_filled_and_smoothed() {
    for case in golden().series {
        let (frames, given) = dense(&case);
        let whole = 0..frames.len();
        let filled = fill_gaps(&frames, &given, std::iter::once(whole)).unwrap();
        assert_near(&filled, &case.filled, 1e-12, &format!("{} filled", case.name));

        let series = Series::new(
            frames.clone(),
            given.iter().map(|row| row.map(golden_affect)).collect(),
        )
        .unwrap();
        let check = |kernel: Kernel, expected: &[[f64; 3]]| {
            let what = format!("{} {kernel:?}", case.name);
            let smooth = kernel.in_frames(None).unwrap().smooth(&frames, &filled);
            assert_near(&smooth, expected, 1e-12, &what);
            assert_near(&golden_points(&series, kernel), expected, 1e-6, &what);
        };
        for (half_width, expected) in &case.r#box {
            let half_width = Window::Frames(half_width.parse().unwrap());
            check(Kernel::Box { half_width }, expected);
        }
        for gaussian in &case.gaussian_standard {
            let (sigma, radius) = (
                Window::Frames(gaussian.sigma as u32),
                Window::Frames(gaussian.radius),
            );
            check(Kernel::Gaussian { sigma, radius }, &gaussian.expected);
        }
    }
}

#[test]
fn a_sparse_list_is_smoothed_as_if_its_gaps_were_listed() {
    // The golden series again, now without entries for the frames that have no prediction; those at
    // the ends are listed, since a list says nothing of frames before its first.
    for case in golden().series {
        let listed: Vec<u32> = (1..=case.length)
            .filter(|f| case.frames_1_based.contains(f) || *f == 1 || *f == case.length)
            .collect();
        let given = |frame: &u32| {
            let at = case.frames_1_based.iter().position(|f| f == frame)?;
            Some(golden_affect(case.values[at]))
        };
        let series = Series::new(numbered(listed.clone()), listed.iter().map(given).collect()).unwrap();
        let at_listed = |all: &[[f64; 3]]| -> Vec<[f64; 3]> {
            listed.iter().map(|&frame| all[frame as usize - 1]).collect()
        };
        for (half_width, expected) in &case.r#box {
            let half_width = Window::Frames(half_width.parse().unwrap());
            let found = golden_points(&series, Kernel::Box { half_width });
            assert_near(&found, &at_listed(expected), 1e-6, &case.name);
        }
        for gaussian in &case.gaussian_standard {
            let (sigma, radius) = (
                Window::Frames(gaussian.sigma as u32),
                Window::Frames(gaussian.radius),
            );
            let found = golden_points(&series, Kernel::Gaussian { sigma, radius });
            assert_near(&found, &at_listed(&gaussian.expected), 1e-6, &case.name);
        }
    }
}

#[test]
fn golden_lists_are_smoothed_by_frame_distance() {
    let golden = golden();
    for case in &golden.series {
        let (dense_frames, given) = dense(case);
        let frames = numbered(case.frames_1_based.iter().copied());
        let series = Series::new(
            dense_frames,
            given.iter().map(|row| row.map(golden_affect)).collect(),
        )
        .unwrap();
        for hse in &case.hse_frame_kernel {
            let kernel = Kernel::FrameDistance {
                sigma: hse.sigma,
                entries: hse.delta,
            };
            let what = format!("{} {kernel:?}", case.name);
            let smooth = kernel.in_frames(None).unwrap().smooth(&frames, &case.values);
            assert_near(&smooth, &hse.symmetric, 1e-12, &what);
            // In a series with gaps, predictions alone count.
            let all = golden_points(&series, kernel);
            let found: Vec<Row> = case
                .frames_1_based
                .iter()
                .map(|&frame| all[frame as usize - 1])
                .collect();
            assert_near(&found, &hse.symmetric, 1e-6, &what);
        }
    }

    // Two videos, once as two series and once as two shots of one.
    let two = golden.two_videos;
    let first = two.videos.iter().filter(|video| *video == "a").count();
    let shift = |at: usize| if at < first { 0 } else { 10 * two.frames[first - 1] };
    let frames = numbered((0..two.frames.len()).map(|at| two.frames[at] + shift(at)));
    let joined = Series::new(
        frames.clone(),
        two.values.iter().map(|&row| Some(golden_affect(row))).collect(),
    )
    .unwrap()
    .with_cuts(&[frames[first]]);
    for case in &two.cases {
        let kernel = Kernel::FrameDistance {
            sigma: case.sigma,
            entries: case.delta,
        };
        let ready = kernel.in_frames(None).unwrap();
        let alone = [0..first, first..two.frames.len()]
            .map(|video| ready.smooth(&frames[video.clone()], &two.values[video]));
        assert_near(&alone.concat(), &case.symmetric, 1e-12, "two videos");
        let found = golden_points(&joined, kernel);
        assert_near(&found, &case.symmetric, 1e-6, "two shots");
    }
}

#[test]
fn windows_in_seconds_follow_the_frame_rate() {
    let frames = numbered(1..=100);
    let values = (0..100)
        .map(|i| Some(affect([f64::from(i % 7) / 10.0, 0.0])))
        .collect();
    let series = Series::new(frames, values).unwrap();
    let half_width = Window::Seconds(0.4);
    let in_seconds = smoothing_valence_arousal(Kernel::Box { half_width });
    assert_eq!(
        in_seconds.apply(&series),
        Err(PostprocessError::NoFrameRate(Window::Seconds(0.4)))
    );
    assert_eq!(
        in_seconds.apply(&series.clone().with_frame_rate(f64::NAN)),
        Err(PostprocessError::NoFrameRate(Window::Seconds(0.4)))
    );
    let half_width = Window::Frames(10);
    let in_frames = smoothing_valence_arousal(Kernel::Box { half_width });
    assert_eq!(
        in_seconds.apply(&series.clone().with_frame_rate(25.0)),
        in_frames.apply(&series)
    );
}

#[test]
fn a_series_must_be_in_order() {
    let two = || vec![None, None];
    assert!(matches!(
        Series::new(numbered([2, 2]), two()),
        Err(PostprocessError::FramesNotIncreasing { .. })
    ));
    assert!(matches!(
        Series::new(numbered([1]), two()),
        Err(PostprocessError::LengthsDiffer { .. })
    ));
}

/// By the clock where there is one: a recorded screen shows a picture for as long as it does not change.
#[test]
fn a_gap_is_as_long_as_the_clock_tells() {
    let values = vec![Some(affect([0.2, 0.0])), None, Some(affect([0.4, 0.0]))];
    let valence = |series: Series| {
        let finals = Postprocess::default().apply(&series).unwrap();
        finals[1].affect.valence_arousal.map(|point| point.valence)
    };
    let series = || {
        Series::new(numbered(1..=3), values.clone())
            .unwrap()
            .with_frame_rate(25.0)
    };
    let timed = |times: [f64; 3]| series().with_times(times.map(Some).to_vec()).unwrap();
    assert_eq!(valence(series()), Some(0.3));
    assert_eq!(valence(timed([0.0, 0.4, 1.0])), Some(0.3));
    assert_eq!(valence(timed([0.0, 0.4, 1.1])), None);
    assert_eq!(
        valence(timed([5.0, 6.0, 1.0])),
        Some(0.3),
        "a clock that goes back"
    );
    assert_eq!(valence(series().with_cuts(&numbered([3]))), None);
}

#[test]
fn a_task_stays_none_only_without_any_prediction() {
    let happy = Affect {
        expression: Some([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
        ..Affect::default()
    };
    let series = Series::new(numbered([1, 2, 5]), vec![None, Some(happy.clone()), None]).unwrap();
    for last in filling().apply(&series).unwrap() {
        assert_eq!(last.affect, happy);
        assert_eq!(last.expression, Some(Expression::Happiness));
        assert_eq!(last.action_units, [None; 12]);
    }
    let nothing = Series::new(numbered([1, 2]), vec![None, None]).unwrap();
    let finals = Postprocess::default().apply(&nothing).unwrap();
    assert!(finals.iter().all(|last| *last == Default::default()));
    let empty = Series::new(Vec::new(), Vec::new()).unwrap();
    assert_eq!(Postprocess::default().apply(&empty), Ok(Vec::new()));
}

#[test]
fn a_prediction_that_is_not_a_number_is_a_gap() {
    let values = vec![
        Some(affect([0.2, 0.2])),
        Some(affect([f64::NAN, 0.0])),
        Some(affect([0.4, 0.2])),
    ];
    let series = Series::new(numbered(1..=3), values).unwrap();
    let found = points(&series, &filling());
    assert_near(&found, &[[0.2, 0.2], [0.3, 0.2], [0.4, 0.2]], 1e-6, "gap");
}

#[test]
fn thresholds_are_reached_by_equal_probabilities() {
    let mut thresholds = [0.5; 12];
    thresholds[9] = 0.47;
    let mut probabilities = [0.4999_f32; 12];
    probabilities[9] = 0.47;
    let active = Thresholds::new(thresholds)
        .unwrap()
        .decide(&probabilities.map(Some));
    assert_eq!(active.iter().filter(|active| **active == Some(true)).count(), 1);
    assert_eq!(active[9], Some(true));
    assert_eq!(Thresholds::new([f64::NAN; 12]), None);
}

#[test]
fn label_frames_that_a_series_lacks_become_gaps() {
    let series = Series::new(
        numbered([2, 4, 8]),
        [0.1, 0.3, 0.5].map(|v| Some(affect([v, 0.0]))).to_vec(),
    )
    .unwrap()
    .with_cuts(&numbered([8]))
    .with_gaps_at(numbered([9, 3, 4, 7, 1, 3]));
    assert_eq!(series.frames(), numbered([1, 2, 3, 4, 7, 8, 9]));
    assert_eq!(series.shots().collect::<Vec<_>>(), [0..5, 5..7]);
    let found: Vec<f64> = points(&series, &filling()).iter().map(|row| row[0]).collect();
    let expected = [0.1, 0.1, 0.2, 0.3, 0.3, 0.5, 0.5];
    assert!(
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
        "{found:?}"
    );
}

#[test]
fn a_blend_weighs_members_task_by_task() {
    let a = affect([0.2, 0.0]);
    let b = Affect {
        action_units: [Some(0.25); 12],
        ..affect([0.8, 0.4])
    };
    let weights = |valence_arousal, action_units| PerTask {
        valence_arousal,
        action_units,
        expression: 1.0,
    };
    let blend = |members: &[(Affect, PerTask<f64>)]| {
        blend_affects(members.iter().map(|(affect, weights)| (affect, *weights)))
    };
    let mixed = blend(&[(a.clone(), weights(1.0, 1.0)), (b.clone(), weights(2.0, 0.5))]);
    assert!((mixed.valence_arousal.unwrap().valence - 0.6).abs() < 1e-6);
    assert_eq!(mixed.action_units, [Some(0.25); 12]);
    assert_eq!(mixed.expression, None);
    assert_eq!(blend(&[(a.clone(), weights(0.5, 1.0))]), a);
    assert_eq!(blend(&[]), Affect::default());

    // A member that is not a number somewhere has no say there.
    let broken = affect([f64::NAN, 0.0]);
    assert_eq!(
        blend(&[(a.clone(), weights(1.0, 1.0)), (broken, weights(1.0, 1.0))]),
        a
    );

    // Individual models: one has all the say in a task.
    let parts = blend(&[(a.clone(), weights(1.0, 0.0)), (b, weights(0.0, 1.0))]);
    assert_eq!(parts.valence_arousal, a.valence_arousal);
    assert_eq!(parts.action_units, [Some(0.25); 12]);
}

/// A tenth of the frames are gaps in all tasks.
#[test]
fn each_frame_of_many_videos_has_smoothed_probabilities() {
    let mut random = fastrand::Rng::with_seed(1);
    let step = Postprocess {
        smoothing: PerTask {
            valence_arousal: Kernel::Box {
                half_width: Window::Frames(50),
            },
            expression: Kernel::Box {
                half_width: Window::Frames(50),
            },
            action_units: Kernel::Gaussian {
                sigma: Window::Frames(2),
                radius: Window::Frames(6),
            },
        },
        ..filling()
    };
    for _ in 0..10 {
        let values = (0..3334)
            .map(|_| {
                let raw: [f32; 8] = std::array::from_fn(|_| random.f32());
                let sum: f32 = raw.iter().sum();
                (random.f32() > 0.1).then(|| Affect {
                    expression: Some(raw.map(|p| p / sum)),
                    action_units: std::array::from_fn(|_| Some(random.f32())),
                    ..affect([random.f64(), random.f64()])
                })
            })
            .collect();
        let series = Series::new(numbered(1..=3334), values).unwrap();
        let rows = step.apply(&series).unwrap();
        assert_eq!(rows.len(), 3334);
        for row in rows {
            let sum: f32 = row.affect.expression.unwrap().iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }
}
