//! Intervals of frames with one label, as annotation tools show them.

use std::ops::RangeInclusive;

/// Consecutive frames with the same label. Frames are positions in the video, 0-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval<L> {
    /// From the first frame to the last.
    pub frames: RangeInclusive<usize>,
    /// The label of these frames.
    pub label: L,
}

/// How gaps are bridged and short intervals merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalRules {
    /// Least number of frames of an interval. A shorter one is merged into the longer of its neighbours, or left out if
    /// it has none. 1 keeps all.
    pub min_length: usize,
    /// Most frames without a label that are bridged between two intervals of the same label. 0 bridges none.
    pub max_gap: usize,
}

impl Default for IntervalRules {
    /// Intervals exactly as the frames are labelled.
    fn default() -> Self {
        Self {
            min_length: 1,
            max_gap: 0,
        }
    }
}

/// Returns the intervals of one label for each frame, in order and without overlap. First gaps are bridged, then short
/// intervals merged, the shortest first.
pub fn intervals<L: Copy + PartialEq>(frames: &[Option<L>], rules: IntervalRules) -> Vec<Interval<L>> {
    let mut found: Vec<Interval<L>> = Vec::new();
    for (at, label) in frames.iter().enumerate() {
        let Some(label) = *label else { continue };
        match found.last_mut() {
            Some(last) if last.label == label && at - last.frames.end() <= rules.max_gap + 1 => {
                last.frames = *last.frames.start()..=at;
            }
            _ => found.push(Interval {
                frames: at..=at,
                label,
            }),
        }
    }
    while let Some(short) = shortest(&found).filter(|&at| length(&found[at]) < rules.min_length) {
        merge_into_neighbour(&mut found, short);
    }
    found
}

fn length<L>(interval: &Interval<L>) -> usize {
    interval.frames.end() + 1 - interval.frames.start()
}

fn shortest<L>(intervals: &[Interval<L>]) -> Option<usize> {
    (0..intervals.len()).min_by_key(|&at| length(&intervals[at]))
}

/// Merges an interval into the longer of those that touch it, or the earlier of two that are equally long.
fn merge_into_neighbour<L: Copy + PartialEq>(intervals: &mut Vec<Interval<L>>, at: usize) {
    let given = intervals.remove(at);
    let before = at
        .checked_sub(1)
        .filter(|&before| intervals[before].frames.end() + 1 == *given.frames.start());
    let after =
        (at < intervals.len() && given.frames.end() + 1 == *intervals[at].frames.start()).then_some(at);
    let taker = match (before, after) {
        (Some(before), Some(after)) if length(&intervals[after]) > length(&intervals[before]) => after,
        (Some(before), _) => before,
        (None, Some(after)) => after,
        (None, None) => return,
    };
    let taken = &mut intervals[taker];
    let (start, end) = (*taken.frames.start(), *taken.frames.end());
    taken.frames = start.min(*given.frames.start())..=end.max(*given.frames.end());
    // Its neighbours may now touch and have the same label.
    let next = before.map_or(0, |before| before + 1);
    if let (Some(before), true) = (before, next < intervals.len()) {
        let touch = intervals[before].frames.end() + 1 == *intervals[next].frames.start();
        if touch && intervals[before].label == intervals[next].label {
            let joined = *intervals[before].frames.start()..=*intervals[next].frames.end();
            intervals[before].frames = joined;
            intervals.remove(next);
        }
    }
}

/// The times of frames as a player shows them, to convert the times of a tool to frames and back.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameTimes {
    /// Seconds from the start of the file, ascending: the start of each frame, then the end of the last.
    starts_s: Vec<f64>,
    /// What the clock of the given times shows at the start of the file.
    file_start_s: Option<f64>,
}

impl FrameTimes {
    /// Makes them from presentation times. Frames without one, or with one that is not later than that before, follow at the
    /// frame rate. `file_start_s`: the start of the file on the same clock, earlier than the first frame where the video
    /// begins after the sound; `None`: the first frame.
    pub fn new(times_s: impl Iterator<Item = Option<f64>>, rate: f64, file_start_s: Option<f64>) -> Self {
        let times_s: Vec<Option<f64>> = times_s.collect();
        let known = times_s
            .iter()
            .enumerate()
            .find_map(|(at, time_s)| Some((at, (*time_s)?)));
        let delay_s = match (known, file_start_s) {
            (Some((at, time_s)), Some(file_start_s)) => (time_s - file_start_s - at as f64 / rate).max(0.0),
            _ => 0.0,
        };
        let mut starts_s: Vec<f64> = Vec::with_capacity(times_s.len() + 1);
        let mut zero = None;
        for time_s in times_s {
            let next = starts_s.last().map_or(delay_s, |last| last + 1.0 / rate);
            let start_s = match time_s {
                Some(time_s) => time_s - *zero.get_or_insert(time_s - next),
                None => next,
            };
            let ascends = starts_s.last().is_none_or(|&last| start_s > last);
            starts_s.push(if ascends { start_s } else { next });
        }
        starts_s.push(starts_s.last().map_or(0.0, |last| last + 1.0 / rate));
        Self {
            starts_s,
            file_start_s: zero,
        }
    }

    /// What the clock of the table's times shows at the start of the file; `None` if no frame has a time.
    pub fn file_start_s(&self) -> Option<f64> {
        self.file_start_s
    }

    /// How many frames there are.
    pub fn count(&self) -> usize {
        self.starts_s.len() - 1
    }

    /// Seconds from the start of the file to this frame, or to the end.
    pub fn start_s(&self, at: usize) -> f64 {
        self.starts_s[at.min(self.count())]
    }

    /// Begin and end of an interval in whole milliseconds.
    pub fn milliseconds(&self, frames: &RangeInclusive<usize>) -> (u64, u64) {
        let whole = |at: usize| (1000.0 * self.start_s(at)).round() as u64;
        (whole(*frames.start()), whole(frames.end() + 1))
    }

    /// The frames of a stretch of time, whose ends are moved to the nearest beginning of a frame; `None` if there is
    /// none left.
    pub fn frames(&self, begin_s: f64, end_s: f64) -> Option<RangeInclusive<usize>> {
        let (first, after) = (self.nearest(begin_s), self.nearest(end_s));
        (first < after).then(|| first..=after - 1)
    }

    /// The frame that begins nearest to a moment; the number of frames for the end.
    pub fn nearest(&self, time_s: f64) -> usize {
        let after = self.starts_s.partition_point(|&start_s| start_s < time_s);
        match after.checked_sub(1) {
            Some(before)
                if after > self.count()
                    || time_s - self.starts_s[before] <= self.starts_s[after] - time_s =>
            {
                before
            }
            _ => after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, rules: IntervalRules) -> Vec<(usize, usize, char)> {
        let frames: Vec<Option<char>> = text.chars().map(|c| (c != '.').then_some(c)).collect();
        let found = intervals(&frames, rules).into_iter();
        found
            .map(|interval| (*interval.frames.start(), *interval.frames.end(), interval.label))
            .collect()
    }

    #[test]
    fn gaps_are_bridged_and_short_intervals_given_away() {
        let rules = |min_length, max_gap| IntervalRules { min_length, max_gap };
        assert_eq!(of("aab.b", rules(1, 0)), [(0, 1, 'a'), (2, 2, 'b'), (4, 4, 'b')]);
        assert_eq!(of("aab.b", rules(1, 1)), [(0, 1, 'a'), (2, 4, 'b')]);
        assert_eq!(of("aaabaaaa", rules(2, 0)), [(0, 7, 'a')]);
        assert_eq!(of("aabccc", rules(2, 0)), [(0, 1, 'a'), (2, 5, 'c')]);
        assert_eq!(of("aab..ccc", rules(2, 0)), [(0, 2, 'a'), (5, 7, 'c')]);
        assert_eq!(of(".a..bb.", rules(2, 0)), [(4, 5, 'b')]);
        assert_eq!(of("abcd", rules(9, 0)), []);
        assert_eq!(of("", rules(1, 0)), []);
    }

    proptest! {
        #[test]
        fn without_rules_intervals_say_exactly_what_the_frames_said(
            frames in proptest::collection::vec(proptest::option::of(0u8..3), 0..60),
        ) {
            let mut back = vec![None; frames.len()];
            for interval in intervals(&frames, IntervalRules::default()) {
                back[interval.frames].fill(Some(interval.label));
            }
            prop_assert_eq!(back, frames);
        }

        #[test]
        fn intervals_are_long_apart_and_in_order(
            frames in proptest::collection::vec(proptest::option::of(0u8..3), 0..60),
            min_length in 1usize..6,
            max_gap in 0usize..5,
        ) {
            let found = intervals(&frames, IntervalRules { min_length, max_gap });
            for interval in &found {
                prop_assert!(length(interval) >= min_length);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[0].frames.end() < pair[1].frames.start());
                let touch = pair[0].frames.end() + 1 == *pair[1].frames.start();
                prop_assert!(!(touch && pair[0].label == pair[1].label));
            }
        }

        #[test]
        fn milliseconds_lead_back_to_the_frames(
            steps in proptest::collection::vec(2u32..200, 1..80),
            start_s in -5f64..5000.0,
            positions in (0usize..80, 0usize..80),
        ) {
            let mut clock = start_s;
            let times: Vec<f64> = steps.iter().map(|&step| { clock += f64::from(step) / 1000.0; clock }).collect();
            let times = FrameTimes::new(times.into_iter().map(Some), 25.0, None);
            let (one, other) = (positions.0 % times.count(), positions.1 % times.count());
            let frames = one.min(other)..=one.max(other);
            let (begin, end) = times.milliseconds(&frames);
            prop_assert_eq!(times.frames(begin as f64 / 1000.0, end as f64 / 1000.0), Some(frames));
        }

        #[test]
        fn ends_moved_by_less_than_half_a_frame_mean_the_same_frames(
            count in 2usize..50, first in 0usize..50, moved in (-0.49f64..0.49, -0.49f64..0.49),
        ) {
            let times = FrameTimes::new((0..count).map(|_| None), 30.0, None);
            let first = first % count;
            let begin_s = times.start_s(first) + moved.0 / 30.0;
            let end_s = times.start_s(count) + moved.1 / 30.0;
            prop_assert_eq!(times.frames(begin_s, end_s), Some(first..=count - 1));
        }
    }

    #[test]
    fn a_video_that_begins_after_its_sound_keeps_the_delay() {
        let times = [Some(2.0), Some(2.04), Some(2.08)];
        let delayed = FrameTimes::new(times.into_iter(), 25.0, Some(1.5));
        assert_eq!(delayed.milliseconds(&(0..=1)), (500, 580));
        assert_eq!(delayed.frames(0.5, 0.58), Some(0..=1));
        let late = FrameTimes::new([None, Some(2.04)].into_iter(), 25.0, Some(1.5));
        assert_eq!(late.milliseconds(&(0..=1)), (500, 580));
        assert_eq!(
            FrameTimes::new(times.into_iter(), 25.0, Some(3.0)).start_s(0),
            0.0
        );
    }

    #[test]
    fn frames_without_times_follow_at_the_rate_and_clocks_that_stand_still_go_on() {
        let times = FrameTimes::new([Some(10.0), None, Some(10.2), Some(10.2)].into_iter(), 10.0, None);
        let starts: Vec<f64> = (0..=4)
            .map(|at| (times.start_s(at) * 10.0).round() / 10.0)
            .collect();
        assert_eq!(starts, [0.0, 0.1, 0.2, 0.3, 0.4]);
        assert_eq!(times.frames(0.5, 0.9), None);
        assert_eq!(times.frames(-3.0, 99.0), Some(0..=3));
    }
}
