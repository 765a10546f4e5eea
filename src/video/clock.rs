//! One sequence of times from a file's clock, which may leave frames out, jump, or start again.

use ffmpeg_next as ffmpeg;

use ffmpeg::{ffi, frame};

use super::damage::ClockJump;

/// A clock that goes back by more seconds than this has started again. That is the ffmpeg tool's limit.
const LEAST_RETURN_S: f64 = 0.1;
/// A step of more seconds is no pause but a jump where a container's clock may start again, as in MPEG streams. That is the
/// ffmpeg tool's limit.
const LONGEST_PAUSE_S: f64 = 10.0;
/// The same in any other container: mpv's limit.
const LONGEST_PAUSE_ELSEWHERE_S: f64 = 10_000.0;
/// After a jump, a time this near to the clock before it shows that a single time was wrong.
const NEAR_S: f64 = 0.5;
/// A clock in so many pieces is of no use: from there on frames follow one another at the frame rate.
const MOST_SEGMENTS: usize = 1000;
/// Seconds of a frame if neither it nor its stream has a duration.
const ASSUMED_FRAME_S: f64 = 0.04;

/// A stretch of a file in which its clock runs on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockSegment {
    /// The first time on the file's clock.
    pub start_s: f64,
    /// The last time so far on the file's clock.
    pub end_s: f64,
    /// What is added to the file's clock.
    pub offset_s: f64,
}

/// Makes the times of frames. An undisturbed clock is passed on as it is. After a jump, the next frame follows the one before
/// at the frame's length, as players show it, and the clock runs on from there.
#[derive(Debug)]
pub struct Clock {
    tick_s: f64,
    /// Seconds of a frame by the stream's rate.
    frame_s: Option<f64>,
    longest_pause_s: f64,
    segments: Vec<ClockSegment>,
    /// The time of the newest frame, and when the next is due.
    newest: Option<(f64, f64)>,
    jumps: u64,
    first_jump: Option<ClockJump>,
    estimated: u64,
}

impl Clock {
    /// Before the first frame. `restarts`: whether the container's clock may start again.
    pub fn new(tick_s: f64, fps: Option<f64>, restarts: bool) -> Self {
        Self {
            tick_s,
            frame_s: fps.filter(|&fps| fps > 0.0).map(|fps| 1.0 / fps),
            longest_pause_s: match restarts {
                true => LONGEST_PAUSE_S,
                false => LONGEST_PAUSE_ELSEWHERE_S,
            },
            segments: Vec::new(),
            newest: None,
            jumps: 0,
            first_jump: None,
            estimated: 0,
        }
    }

    /// Returns a frame's time on the file's clock: what the decoder thinks best where the frame has none of its own.
    pub fn file_time_s(&self, frame: &frame::Video) -> Option<f64> {
        frame.timestamp().map(|ticks| ticks as f64 * self.tick_s)
    }

    /// Returns the time of the next frame; `None` as long as no frame had one. `number`: the frame's.
    pub fn show(&mut self, frame: &frame::Video, number: u32) -> Option<f64> {
        let length_s = self.length_s(frame);
        self.advance(self.file_time_s(frame), frame.pts().is_some(), length_s, number)
    }

    fn advance(&mut self, file_s: Option<f64>, is_stated: bool, length_s: f64, number: u32) -> Option<f64> {
        let Some((newest_s, due_s)) = self.newest else {
            let first_s = file_s?;
            self.segments.push(ClockSegment {
                start_s: first_s,
                end_s: first_s,
                offset_s: 0.0,
            });
            self.estimated += u64::from(!is_stated);
            self.newest = Some((first_s, first_s + length_s));
            return Some(first_s);
        };
        let shown_s = file_s.and_then(|file_s| self.on_from(file_s, newest_s, due_s, number));
        self.estimated += u64::from(!is_stated || shown_s.is_none());
        let shown_s = shown_s.unwrap_or(due_s);
        self.newest = Some((shown_s, shown_s + length_s));
        Some(shown_s)
    }

    /// Brings a time of the file's clock to the sequence; `None` if it does not come after the newest.
    fn on_from(&mut self, file_s: f64, newest_s: f64, due_s: f64, number: u32) -> Option<f64> {
        if self.segments.len() >= MOST_SEGMENTS {
            return None;
        }
        let shown_in = |segment: &ClockSegment| file_s + segment.offset_s;
        let is_near = |segment: &ClockSegment| (shown_in(segment) - due_s).abs() < NEAR_S;
        let now = *self.segments.last()?;
        let before = self.segments.iter().rev().nth(1).copied();
        let returned = before.filter(|before| is_near(before) && !is_near(&now));
        let step_s = shown_in(&now) - newest_s;
        let jumps = step_s < -LEAST_RETURN_S || step_s > self.longest_pause_s;
        if let Some(offset_s) = returned
            .map(|before| before.offset_s)
            .or_else(|| jumps.then_some(due_s - file_s))
        {
            if returned.is_none() {
                self.jumps += 1;
                self.first_jump.get_or_insert(ClockJump {
                    frame: number,
                    from_s: now.end_s,
                    to_s: file_s,
                });
            }
            self.segments.push(ClockSegment {
                start_s: file_s,
                end_s: file_s,
                offset_s,
            });
        }
        let now = self.segments.last_mut()?;
        now.end_s = now.end_s.max(file_s);
        let shown_s = file_s + now.offset_s;
        (shown_s > newest_s).then_some(shown_s)
    }

    /// Seconds that a frame is shown.
    fn length_s(&self, frame: &frame::Video) -> f64 {
        let stated_s = Some(frame.packet().duration as f64 * self.tick_s);
        stated_s
            .filter(|&length_s| length_s > 0.0 && length_s < LONGEST_PAUSE_S)
            .or(self.frame_s)
            .unwrap_or(ASSUMED_FRAME_S)
    }

    /// Returns the stretches in which the file's clock ran on, in the order of the file.
    pub fn segments(&self) -> &[ClockSegment] {
        &self.segments
    }

    /// Returns how often the clock jumped, and the first time.
    pub fn jumps(&self) -> (u64, Option<ClockJump>) {
        (self.jumps, self.first_jump)
    }

    /// Returns how many frames have a time that the file does not state.
    pub fn estimated(&self) -> u64 {
        self.estimated
    }
}

/// Returns whether a container's clock may start again, as libav states it.
pub(super) fn may_restart(input: &ffmpeg::format::context::Input) -> bool {
    // SAFETY: the input is open, and its format is a constant of libavformat.
    let flags = unsafe { (*(*input.as_ptr()).iformat).flags };
    flags & ffi::AVFMT_TS_DISCONT != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The times of frames of 0.1 s whose file has these.
    fn times(file: &[Option<f64>], restarts: bool) -> (Vec<Option<f64>>, Clock) {
        let mut clock = Clock::new(1.0, Some(10.0), restarts);
        let numbered = file.iter().zip(1..);
        let shown = numbered.map(|(&file_s, number)| clock.advance(file_s, file_s.is_some(), 0.1, number));
        let rounded = shown
            .map(|time_s| time_s.map(|time_s| (time_s * 1000.0).round() / 1000.0))
            .collect();
        (rounded, clock)
    }

    #[test]
    fn a_clock_that_starts_again_or_leaps_runs_on() {
        let (shown, clock) = times(&[5.0, 5.1, 0.0, 0.1, 0.2, 90_000.0, 90_000.1].map(Some), true);
        assert_eq!(shown, [5.0, 5.1, 5.2, 5.3, 5.4, 5.5, 5.6].map(Some));
        let first = ClockJump {
            frame: 3,
            from_s: 5.1,
            to_s: 0.0,
        };
        assert_eq!((clock.jumps(), clock.estimated()), ((2, Some(first)), 0));
        assert_eq!(clock.segments().len(), 3);
    }

    #[test]
    fn a_pause_is_no_jump() {
        let (shown, clock) = times(&[0.0, 9.0, 9.1].map(Some), true);
        assert_eq!((shown, clock.jumps().0), ([0.0, 9.0, 9.1].map(Some).to_vec(), 0));
        let (shown, clock) = times(&[0.0, 3600.0].map(Some), false);
        assert_eq!((shown, clock.jumps().0), ([0.0, 3600.0].map(Some).to_vec(), 0));
    }

    #[test]
    fn one_wrong_time_moves_no_other() {
        for wrong in [0.0, 70.0] {
            let (shown, clock) = times(&[5.0, 5.1, wrong, 5.3, 5.4, 5.5].map(Some), true);
            assert_eq!(shown, [5.0, 5.1, 5.2, 5.3, 5.4, 5.5].map(Some), "{wrong}");
            assert_eq!(clock.jumps().0, 1, "{wrong}");
        }
    }

    #[test]
    fn absent_and_repeated_times_are_estimated() {
        let file = [
            None,
            Some(1.0),
            None,
            Some(1.2),
            Some(1.2),
            Some(1.25),
            Some(1.5),
            None,
        ];
        let (shown, clock) = times(&file, false);
        let expected = [
            None,
            Some(1.0),
            Some(1.1),
            Some(1.2),
            Some(1.3),
            Some(1.4),
            Some(1.5),
            Some(1.6),
        ];
        assert_eq!(shown, expected);
        assert_eq!((clock.estimated(), clock.jumps().0), (4, 0));
    }

    proptest! {
        #[test]
        fn times_ascend_whatever_the_file_states(
            file in proptest::collection::vec(proptest::option::of(-1e6f64..1e6), 0..200),
            restarts: bool,
        ) {
            let mut clock = Clock::new(1.0, None, restarts);
            let shown: Vec<f64> = file
                .iter()
                .zip(1..)
                .filter_map(|(&file_s, number)| clock.advance(file_s, true, 0.04, number))
                .collect();
            prop_assert!(shown.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(shown.len() + 1 >= file.iter().skip_while(|time| time.is_none()).count());
        }

        #[test]
        fn an_undisturbed_clock_is_passed_on(
            start_s in -100f64..1e5,
            steps in proptest::collection::vec(1e-3f64..9.9, 0..100),
            restarts: bool,
        ) {
            let mut now_s = start_s;
            let mut clock = Clock::new(1.0, Some(25.0), restarts);
            for (step_s, number) in steps.iter().zip(1..) {
                now_s += step_s;
                prop_assert_eq!(clock.advance(Some(now_s), true, 0.04, number), Some(now_s));
            }
            prop_assert_eq!((clock.estimated(), clock.jumps().0), (0, 0));
        }
    }
}
