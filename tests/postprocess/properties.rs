//! The whole step: what must hold for any series.

use abaw::frame::FrameIndex;
use abaw::labels::{Affect, Expression, FinalAffect, PerTask, ValenceArousal};
use abaw::postprocess::{FillGap, Kernel, Postprocess, Series, Window};
use proptest::prelude::*;

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<FrameIndex> {
    numbers.into_iter().map(|n| FrameIndex::new(n).unwrap()).collect()
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![
        Just(Kernel::None {}),
        (0u32..60).prop_map(|d| Kernel::Box {
            half_width: Window::Frames(d)
        }),
        (0u32..10, 0u32..30).prop_map(|(sigma, radius)| Kernel::Gaussian {
            sigma: Window::Frames(sigma),
            radius: Window::Frames(radius),
        }),
        (0.0..1e5f64, 0u32..20).prop_map(|(sigma, entries)| Kernel::FrameDistance { sigma, entries }),
    ]
}

/// Frame numbers with jumps, a prediction or a gap for each, and cuts.
fn series() -> impl Strategy<Value = Series> {
    let entry = (
        1u32..30,
        proptest::option::weighted(0.7, (-1.0..1.0f32, -1.0..1.0f32, any::<[u8; 8]>())),
        prop::bool::weighted(0.1),
    );
    prop::collection::vec(entry, 1..60).prop_map(|entries| {
        let mut number = 0;
        let mut frames = Vec::new();
        let mut values = Vec::new();
        let mut cuts = Vec::new();
        for (step, value, cut) in entries {
            number += step;
            let frame = FrameIndex::new(number).unwrap();
            frames.push(frame);
            cuts.extend(cut.then_some(frame));
            values.push(value.map(|(valence, arousal, scores)| {
                let scores = scores.map(|score| f32::from(score) + 1.0);
                let sum: f32 = scores.iter().sum();
                Affect {
                    expression: Some(scores.map(|score| score / sum)),
                    action_units: std::array::from_fn(|i| Some(scores[i % 8] / 256.0)),
                    valence_arousal: Some(ValenceArousal { valence, arousal }),
                    extra_units: Box::default(),
                }
            }));
        }
        Series::new(frames, values).unwrap().with_cuts(&cuts)
    })
}

fn gaps() -> impl Strategy<Value = FillGap> {
    prop_oneof![Just(FillGap::All), (0.0..4.0f64).prop_map(FillGap::UpTo)]
}

fn everywhere(kernel: Kernel, fill_gap_s: FillGap) -> Postprocess {
    Postprocess {
        smoothing: PerTask::all(kernel),
        fill_gap_s,
        ..Postprocess::default()
    }
}

/// Every gap filled, nothing smoothed.
fn filled() -> Postprocess {
    everywhere(Kernel::None {}, FillGap::All)
}

/// All numbers of one final row.
fn numbers(last: &FinalAffect) -> Vec<f32> {
    let mut all = Vec::new();
    all.extend(
        last.affect
            .valence_arousal
            .iter()
            .flat_map(|point| [point.valence, point.arousal]),
    );
    all.extend(last.affect.expression.iter().flatten());
    all.extend(last.affect.action_units.iter().flatten());
    all
}

proptest! {
    #[test]
    fn expressions_sum_to_one_and_all_numbers_stay_in_range(series in series(), kernel in kernels(), gap in gaps()) {
        for last in everywhere(kernel, gap).apply(&series).unwrap() {
            if let Some(probabilities) = last.affect.expression {
                let sum: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
                prop_assert!((sum - 1.0).abs() <= 1e-6, "{sum}");
                prop_assert_eq!(last.expression, Some(Expression::most_probable(&probabilities)));
            }
            prop_assert!(numbers(&last).iter().all(|number| (-1.0..=1.0).contains(number)));
        }
    }

    #[test]
    fn without_smoothing_given_values_are_kept_to_the_bit(series in series()) {
        let finals = filled().apply(&series).unwrap();
        let any = series.values().iter().any(Option::is_some);
        for (last, value) in finals.iter().zip(series.values()) {
            if let Some(value) = value {
                prop_assert_eq!(&last.affect, value);
            }
            prop_assert_eq!(last.affect.valence_arousal.is_some(), any);
        }
    }

    #[test]
    fn a_constant_stays_constant(series in series(), kernel in kernels(), gap in gaps()) {
        let constant = series.values().iter().flatten().next().cloned();
        let same = series.with_values(series.values().iter().map(|v| v.as_ref().and(constant.clone())).collect()).unwrap();
        let expected = everywhere(Kernel::None {}, gap).apply(&same).unwrap();
        for (last, expected) in everywhere(kernel, gap).apply(&same).unwrap().iter().zip(&expected) {
            for (a, b) in numbers(last).iter().zip(numbers(expected)) {
                prop_assert!((a - b).abs() <= 1e-6);
            }
        }
    }

    #[test]
    fn smoothing_commutes_with_reversal(series in series(), kernel in kernels(), gap in gaps()) {
        let end = series.frames()[series.frames().len() - 1].number() + 1;
        let frames = numbered(series.frames().iter().rev().map(|frame| end - frame.number()));
        // A shot's first entry becomes its last, so the next shot starts after it.
        let cuts: Vec<_> = series.shots().map(|shot| shot.start).filter(|start| *start > 0)
            .map(|start| frames[frames.len() - start]).collect();
        let values = series.values().iter().rev().cloned().collect();
        let reversed = Series::new(frames, values).unwrap().with_cuts(&cuts);
        let step = everywhere(kernel, gap);
        let forward = step.apply(&series).unwrap();
        let backward = step.apply(&reversed).unwrap();
        for (a, b) in forward.iter().zip(backward.iter().rev()) {
            for (a, b) in numbers(a).iter().zip(numbers(b)) {
                prop_assert!((a - b).abs() <= 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_shot_does_not_feel_what_lies_beyond_its_end(series in series(), kernel in kernels(), gap in gaps()) {
        let step = everywhere(kernel, gap);
        let whole = step.apply(&series).unwrap();
        for shot in series.shots() {
            let part = Series::new(series.frames()[shot.clone()].to_vec(), series.values()[shot.clone()].to_vec());
            let part = step.apply(&part.unwrap()).unwrap();
            if series.values()[shot.clone()].iter().any(Option::is_some) {
                prop_assert_eq!(&whole[shot], &part[..]);
            }
        }
    }

    #[test]
    fn only_short_gaps_within_a_shot_have_values(series in series(), kernel in kernels(), seconds in 0.0..4.0f64) {
        const RATE: f64 = 10.0;
        let series = series.with_frame_rate(RATE);
        let finals = everywhere(kernel, FillGap::UpTo(seconds)).apply(&series).unwrap();
        let number = |at: usize| f64::from(series.frames()[at].number());
        for shot in series.shots() {
            for at in shot.clone() {
                let given = |at: &usize| series.values()[*at].is_some();
                let before = (shot.start..=at).rev().find(given);
                let after = (at..shot.end).find(given);
                let near = before.zip(after).is_some_and(|(before, after)| {
                    (number(after) - number(before)) / RATE <= seconds + 1e-6
                });
                prop_assert_eq!(finals[at].affect.valence_arousal.is_some(), given(&at) || near);
                prop_assert_eq!(finals[at].expression.is_some(), given(&at) || near);
                prop_assert_eq!(finals[at].all_action_units().is_some(), given(&at) || near);
            }
        }
    }

    #[test]
    fn nothing_is_smoothed_across_a_gap_that_is_not_filled(
        before in prop::collection::vec(-1.0..1.0f32, 1..20), after in prop::collection::vec(-1.0..1.0f32, 1..20),
        kernel in kernels(),
    ) {
        let face = |valence: &f32| Some(Affect {
            valence_arousal: Some(ValenceArousal { valence: *valence, arousal: 0.0 }),
            ..Affect::default()
        });
        let nobody = std::iter::repeat_n(None, 30);
        let values: Vec<_> = before.iter().map(face).chain(nobody).chain(after.iter().map(face)).collect();
        let frames = numbered(1..=values.len() as u32);
        let step = everywhere(kernel, FillGap::UpTo(1.0));
        let whole = step.apply(&Series::new(frames.clone(), values.clone()).unwrap().with_frame_rate(25.0)).unwrap();
        let alone = Series::new(frames[..before.len()].to_vec(), values[..before.len()].to_vec()).unwrap();
        let alone = step.apply(&alone.with_frame_rate(25.0)).unwrap();
        prop_assert_eq!(&whole[..before.len()], &alone[..]);
        prop_assert!(whole[before.len()..before.len() + 30].iter().all(|row| *row == FinalAffect::default()));
    }

    #[test]
    fn windows_are_read_as_they_are_written(frames in any::<u32>(), seconds in 0.0..1e6f64) {
        for window in [Window::Frames(frames), Window::Seconds(seconds)] {
            prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
        }
    }
}
