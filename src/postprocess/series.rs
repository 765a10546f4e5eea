//! A series: the predictions for one face over the frames of one video.

use super::PostprocessError;
use crate::frame::FrameIndex;
use crate::labels::Affect;
use crate::table::Timing;
use std::ops::Range;

/// Predictions over time: the subject of one video, or the track of another person in it.
///
/// Frames may jump (a sparse list of crops). Cuts split the series into shots; nothing is smoothed
/// over a shot's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    frames: Vec<FrameIndex>,
    values: Vec<Option<Affect>>,
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
        let mut entries: Vec<(FrameIndex, Option<Affect>)> =
            self.frames.into_iter().zip(self.values).collect();
        entries.extend(frames.into_iter().map(|frame| (frame, None)));
        // The sort is stable, so an entry of the series stays before a gap of the same number.
        entries.sort_by_key(|(frame, _)| *frame);
        entries.dedup_by_key(|(frame, _)| *frame);
        let (frames, values) = entries.into_iter().unzip();
        let mut series = Self {
            frames,
            values,
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
