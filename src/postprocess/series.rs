//! A series: the predictions for one face over the frames of one video.

use super::PostprocessError;
use crate::frame::{FALLBACK_FRAME_RATE, FrameIndex};
use crate::labels::Affect;
use crate::table::Timing;
use std::ops::Range;

/// A frame with its prediction and its time.
type Entry = (FrameIndex, (Option<Affect>, Option<f64>));

/// Times closer than this are the same, seconds.
const SAME_TIME_S: f64 = 1e-6;

/// Predictions over time: the subject of one video, or the track of another person in it.
///
/// Frames may jump (a sparse list of crops). Cuts split the series into shots; nothing is smoothed
/// over a shot's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    frames: Vec<FrameIndex>,
    values: Vec<Option<Affect>>,
    /// Seconds, of those frames whose time is known.
    times: Vec<Option<f64>>,
    shots: Vec<Range<usize>>,
    frame_rate: Option<f64>,
}

impl Series {
    /// A series of one shot. `values[i]` is the prediction in `frames[i]`, `None` where there is none
    /// (no face).
    ///
    /// # Errors
    /// Lengths that differ; frame numbers that do not increase.
    pub fn new(frames: Vec<FrameIndex>, values: Vec<Option<Affect>>) -> Result<Self, PostprocessError> {
        if frames.len() != values.len() {
            return Err(PostprocessError::LengthsDiffer {
                frames: frames.len(),
                values: values.len(),
            });
        }
        if let Some(pair) = frames.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(PostprocessError::FramesNotIncreasing {
                frame: pair[0],
                next: pair[1],
            });
        }
        let mut series = Self {
            times: vec![None; frames.len()],
            frames,
            values,
            shots: Vec::new(),
            frame_rate: None,
        };
        series.cut(&[]);
        Ok(series)
    }

    /// The same series, split before each of these frames (the first frames of new shots, in any order).
    pub fn with_cuts(mut self, cuts: &[FrameIndex]) -> Self {
        self.cut(cuts);
        self
    }

    /// The same series with its frame rate, frames a second, which windows in seconds need. A rate
    /// that is not a positive number counts as not known.
    pub fn with_frame_rate(mut self, frame_rate: f64) -> Self {
        self.frame_rate = Some(frame_rate).filter(|rate| rate.is_finite() && *rate > 0.0);
        self
    }

    /// The same series with the times of its frames in seconds, where they are known.
    ///
    /// # Errors
    /// A number of times that is not the number of frames.
    pub fn with_times(mut self, times: Vec<Option<f64>>) -> Result<Self, PostprocessError> {
        if times.len() != self.frames.len() {
            return Err(PostprocessError::LengthsDiffer {
                frames: self.frames.len(),
                values: times.len(),
            });
        }
        self.times = times;
        Ok(self)
    }

    /// The same series with the frame rate of a video, and split at its cuts if `stop_at_cuts`.
    pub fn with_timing(self, timing: &Timing, stop_at_cuts: bool) -> Self {
        let series = match stop_at_cuts {
            true => self.with_cuts(&timing.cuts),
            false => self,
        };
        match timing.frame_rate {
            Some(rate) => series.with_frame_rate(rate),
            None => series,
        }
    }

    /// The same series with an entry for each of these frames (in any order, duplicates allowed):
    /// those it lacks are gaps, which are filled like all others.
    pub fn with_gaps_at(self, frames: impl IntoIterator<Item = FrameIndex>) -> Self {
        let cuts: Vec<FrameIndex> = self
            .shots
            .iter()
            .skip(1)
            .map(|shot| self.frames[shot.start])
            .collect();
        let mut entries: Vec<Entry> = self
            .frames
            .into_iter()
            .zip(self.values.into_iter().zip(self.times))
            .collect();
        entries.extend(frames.into_iter().map(|frame| (frame, (None, None))));
        // The sort is stable, so an entry of the series stays before a gap of the same number.
        entries.sort_by_key(|(frame, _)| *frame);
        entries.dedup_by_key(|(frame, _)| *frame);
        let (frames, (values, times)) = entries.into_iter().unzip();
        let mut series = Self {
            frames,
            values,
            times,
            shots: Vec::new(),
            frame_rate: self.frame_rate,
        };
        series.cut(&cuts);
        series
    }

    /// The same frames, shots and frame rate with other predictions.
    ///
    /// # Errors
    /// A number of predictions that is not the number of frames.
    pub fn with_values(&self, values: Vec<Option<Affect>>) -> Result<Self, PostprocessError> {
        if values.len() != self.frames.len() {
            return Err(PostprocessError::LengthsDiffer {
                frames: self.frames.len(),
                values: values.len(),
            });
        }
        Ok(Self {
            frames: self.frames.clone(),
            values,
            times: self.times.clone(),
            shots: self.shots.clone(),
            frame_rate: self.frame_rate,
        })
    }

    /// The frame numbers, increasing.
    pub fn frames(&self) -> &[FrameIndex] {
        &self.frames
    }

    /// The predictions, one a frame.
    pub fn values(&self) -> &[Option<Affect>] {
        &self.values
    }

    /// The shots as ranges of entries: in order, none empty, together all entries.
    pub fn shots(&self) -> impl Iterator<Item = Range<usize>> {
        self.shots.iter().cloned()
    }

    /// The ranges from one given entry to another of a shot between which no gap is longer than `seconds`. Entries
    /// outside of them are in no such gap.
    pub(super) fn stretches<T>(&self, given: &[Option<T>], seconds: f64) -> Vec<Range<usize>> {
        let mut stretches: Vec<Range<usize>> = Vec::new();
        for shot in self.shots() {
            let mut before: Option<usize> = None;
            for at in shot.filter(|&at| given[at].is_some()) {
                match stretches.last_mut() {
                    // Entries side by side have no gap, however far apart their frames are in time.
                    Some(stretch)
                        if before.is_some_and(|before| {
                            at == before + 1 || self.seconds_between(before, at) <= seconds + SAME_TIME_S
                        }) =>
                    {
                        stretch.end = at + 1;
                    }
                    _ => stretches.push(at..at + 1),
                }
                before = Some(at);
            }
        }
        stretches
    }

    /// By the clock if it tells and goes forward, or else by the frame rate.
    fn seconds_between(&self, before: usize, after: usize) -> f64 {
        let by_clock = self.times[after].zip(self.times[before]).map(|(a, b)| a - b);
        by_clock.filter(|&seconds| seconds > 0.0).unwrap_or_else(|| {
            let frames = self.frames[after].number() - self.frames[before].number();
            f64::from(frames) / self.frame_rate.unwrap_or(FALLBACK_FRAME_RATE)
        })
    }

    /// Frames a second, if known.
    pub fn frame_rate(&self) -> Option<f64> {
        self.frame_rate
    }

    /// The entry of a frame.
    pub fn position(&self, frame: FrameIndex) -> Option<usize> {
        self.frames.binary_search(&frame).ok()
    }

    fn cut(&mut self, cuts: &[FrameIndex]) {
        let mut starts: Vec<usize> = cuts
            .iter()
            .map(|cut| self.frames.partition_point(|frame| frame < cut))
            .chain([0, self.frames.len()])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        self.shots = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    }
}
