//! Confidence intervals of scores: the bootstrap over videos.
//!
//! Frames of one video are alike, so whole videos are drawn, with replacement; an interval over frames
//! would be several times too narrow.

use super::{Scores, Tally};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// A 95 % interval: the 2.5th and the 97.5th percentile. Written as `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.low, interval.high]
    }
}

/// The interval of any statistic of a set of videos. `statistic` gets the indices of one draw (as many
/// as there are videos, some twice, some not at all); draws where it is undefined are left out. `None`
/// if none is left, and for one video, of which every draw is the same: that tells nothing about other videos. The same seed gives the same interval.
pub fn interval(
    videos: usize,
    draws: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    percentiles(
        draw(videos, draws, seed)
            .filter_map(|drawn| statistic(&drawn))
            .collect(),
    )
}

/// The intervals of scores, as in [`Scores`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Intervals {
    /// CCC of valence.
    pub ccc_valence: Option<Interval>,
    /// CCC of arousal.
    pub ccc_arousal: Option<Interval>,
    /// The mean of both.
    pub va: Option<Interval>,
    /// Mean F1 of the expressions.
    pub expression: Option<Interval>,
    /// Mean F1 of the action units.
    pub au: Option<Interval>,
    /// P.
    pub p: Option<Interval>,
}

/// The intervals of both masks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReportIntervals {
    /// With one mask for each task.
    pub per_task: Intervals,
    /// On frames annotated for all three tasks.
    pub strict: Intervals,
}

/// The intervals of all scores; `videos`: one tally for each video. The same seed gives the same intervals, on every
/// machine and for one version of `rand`: the random numbers are those of ChaCha8.
pub fn intervals(videos: &[Tally], draws: usize, seed: u64) -> ReportIntervals {
    let drawn: Vec<Tally> = draw(videos.len(), draws, seed)
        .map(|drawn| Tally::merged(drawn.iter().map(|&video| &videos[video])))
        .collect();
    let scores = |mask: fn(&Tally) -> Scores| {
        let scores: Vec<Scores> = drawn.iter().map(mask).collect();
        let of = |score: fn(&Scores) -> Option<f64>| percentiles(scores.iter().filter_map(score).collect());
        Intervals {
            ccc_valence: of(|scores| scores.ccc_valence),
            ccc_arousal: of(|scores| scores.ccc_arousal),
            va: of(|scores| scores.va),
            expression: of(|scores| scores.expression),
            au: of(|scores| scores.au),
            p: of(|scores| scores.p),
        }
    };
    ReportIntervals {
        per_task: scores(|tally| tally.per_task.scores()),
        strict: scores(|tally| tally.strict.scores()),
    }
}

fn draw(videos: usize, draws: usize, seed: u64) -> impl Iterator<Item = Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let draws = if videos < 2 { 0 } else { draws };
    (0..draws).map(move |_| (0..videos).map(|_| random.random_range(0..videos)).collect())
}

/// Percentiles, linear between the two nearest values as numpy computes them by default.
fn percentiles(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Some(Interval {
        low: at(0.025),
        high: at(0.975),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [2.5, 97.5])
        let found = percentiles(vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]).unwrap();
        assert!((found.low - 1.0).abs() < 1e-12 && (found.high - 8.475).abs() < 1e-12);
    }

    #[test]
    fn the_interval_of_a_mean_is_the_textbooks() {
        // 400 coins: the standard error of their mean is 0.025, so the interval is about 0.098 wide.
        let coins: Vec<f64> = (0..400).map(|coin| f64::from(coin % 2)).collect();
        let mean = |drawn: &[usize]| Some(drawn.iter().map(|&i| coins[i]).sum::<f64>() / 400.0);
        let found = interval(400, 2000, 7, mean).unwrap();
        assert!((found.low - 0.451).abs() < 0.006, "{found:?}");
        assert!((found.high - 0.549).abs() < 0.006, "{found:?}");
        assert_eq!(interval(400, 2000, 7, mean), Some(found));
        assert_ne!(interval(400, 2000, 8, mean), Some(found));
    }

    #[test]
    fn no_video_and_one_video_have_no_interval() {
        assert_eq!(interval(0, 10, 1, |_| None), None);
        assert_eq!(interval(1, 10, 1, |_| Some(0.7)), None);
        assert!(interval(2, 10, 1, |_| Some(0.7)).is_some());
        assert_eq!(intervals(&[], 10, 1).per_task.va, None);
    }
}
