//! Gap filling: frames without a prediction take one from their neighbours.

use crate::frame::FrameIndex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// The longest gap between two sightings that is filled. In settings: seconds, or `"all"`.
///
/// ```
/// use abaw::postprocess::FillGap;
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     fill_gap_s: FillGap,
/// }
/// let settings = |text| toml::from_str::<Settings>(text).map(|settings| settings.fill_gap_s);
/// assert_eq!(settings("fill_gap_s = 0.5"), Ok(FillGap::UpTo(0.5)));
/// assert_eq!(settings("fill_gap_s = \"all\""), Ok(FillGap::All));
/// assert!(settings("fill_gap_s = -1").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenGap", into = "WrittenGap")]
pub enum FillGap {
    /// A gap of at most so many seconds, from one sighting of a person to the next in the same shot. Other frames
    /// without a face have no final values.
    UpTo(f64),
    /// Every gap, over cuts and from person to person, and what lies before the first sighting and after the last.
    All,
}

impl Default for FillGap {
    fn default() -> Self {
        FillGap::UpTo(1.0)
    }
}

impl fmt::Display for FillGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FillGap::UpTo(seconds) => write!(f, "{seconds} s"),
            FillGap::All => f.write_str(ALL),
        }
    }
}

const ALL: &str = "all";

/// As it is written in a pipeline file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenGap {
    Seconds(f64),
    Word(String),
}

impl TryFrom<WrittenGap> for FillGap {
    type Error = String;

    fn try_from(written: WrittenGap) -> Result<Self, String> {
        match written {
            WrittenGap::Seconds(seconds) if seconds.is_finite() && seconds >= 0.0 => {
                Ok(FillGap::UpTo(seconds))
            }
            WrittenGap::Word(word) if word == ALL => Ok(FillGap::All),
            WrittenGap::Seconds(other) => {
                Err(format!("fill_gap_s must be at least 0 or \"{ALL}\", not {other}"))
            }
            WrittenGap::Word(other) => Err(format!(
                "fill_gap_s must be seconds or \"{ALL}\", not \"{other}\""
            )),
        }
    }
}

impl From<FillGap> for WrittenGap {
    fn from(gap: FillGap) -> Self {
        match gap {
            FillGap::UpTo(seconds) => WrittenGap::Seconds(seconds),
            FillGap::All => WrittenGap::Word(ALL.to_owned()),
        }
    }
}

/// Fills the gaps of a series; `None` if no row is given.
///
/// Before the first given row of a shot that row is repeated, and so is the last one after it. Rows between two given
/// ones are interpolated linearly in the frame number, which keeps probabilities of sum 1 at sum 1. A shot without any
/// given row is interpolated between its neighbours. `shots`: ranges of entries, in order.
pub fn fill_gaps<const N: usize>(
    frames: &[FrameIndex],
    given: &[Option<[f64; N]>],
    shots: impl Iterator<Item = Range<usize>>,
) -> Option<Vec<[f64; N]>> {
    let first = given.iter().find_map(|row| *row)?;
    let mut filled: Vec<[f64; N]> = given.iter().map(|row| row.unwrap_or(first)).collect();

    // The last given entry so far, and the end of its shot.
    let mut before: Option<(usize, usize)> = None;
    for shot in shots {
        for at in shot.clone().filter(|&at| given[at].is_some()) {
            if let Some((last, shot_end)) = before {
                let (a, b) = (filled[last], filled[at]);
                let (begin, end) = (frames[last].number(), frames[at].number());
                let cut = last < shot.start;
                for gap in last + 1..at {
                    filled[gap] = if cut && gap < shot_end {
                        a
                    } else if cut && gap >= shot.start {
                        b
                    } else {
                        let passed = f64::from(frames[gap].number() - begin);
                        between(&a, &b, passed / f64::from(end - begin))
                    };
                }
            }
            before = Some((at, shot.end));
        }
    }
    if let Some((last, _)) = before {
        let row = filled[last];
        filled[last + 1..].fill(row);
    }
    Some(filled)
}

/// The point at `share` (0 to 1) of the way from `a` to `b`.
pub(super) fn between<const N: usize>(a: &[f64; N], b: &[f64; N], share: f64) -> [f64; N] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ends` are the ends of the shots.
    fn fill(numbers: &[u32], given: &[Option<f64>], ends: &[usize]) -> Vec<f64> {
        let frames: Vec<_> = numbers.iter().map(|&n| FrameIndex::new(n).unwrap()).collect();
        let given: Vec<_> = given.iter().map(|value| value.map(|v| [v])).collect();
        let starts = std::iter::once(&0).chain(ends);
        let shots = starts.zip(ends).map(|(&start, &end)| start..end);
        let filled = fill_gaps(&frames, &given, shots).unwrap();
        filled.into_iter().map(|[v]| v).collect()
    }

    #[test]
    fn a_gap_lies_on_the_line_in_the_frame_number() {
        let given = [None, Some(1.0), None, None, Some(3.0), None];
        assert_eq!(
            fill(&[1, 2, 3, 9, 10, 11], &given, &[6]),
            [1.0, 1.0, 1.25, 2.75, 3.0, 3.0]
        );
    }

    #[test]
    fn a_gap_at_a_cut_takes_its_own_shots_value() {
        let given = [Some(0.0), None, None, Some(3.0)];
        assert_eq!(fill(&[1, 2, 3, 4], &given, &[2, 4]), [0.0, 0.0, 3.0, 3.0]);
    }

    #[test]
    fn a_shot_without_any_prediction_lies_between_its_neighbours() {
        let given = [Some(0.0), None, None, None, None, Some(5.0)];
        assert_eq!(
            fill(&[1, 2, 3, 4, 5, 6], &given, &[2, 4, 6]),
            [0.0, 0.0, 2.0, 3.0, 5.0, 5.0]
        );
    }

    #[test]
    fn nothing_comes_from_nothing() {
        assert_eq!(
            fill_gaps::<1>(&[FrameIndex::FIRST], &[None], std::iter::once(0..1)),
            None
        );
    }
}
