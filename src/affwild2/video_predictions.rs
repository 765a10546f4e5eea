//! A run's predictions of one video, and answers for the frames that it lacks.

use super::Error;
use crate::frame::FrameIndex;
use crate::labels::{ACTION_UNITS, EXPRESSIONS, Expression, ValenceArousal};

/// The final predictions of one frame. A task without prediction is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FramePrediction {
    /// The frame, 1-based.
    pub frame: FrameIndex,
    /// In [-1, 1].
    pub valence_arousal: Option<ValenceArousal>,
    /// Probabilities in class order.
    pub expression: Option<[f32; EXPRESSIONS]>,
    /// Decisions, after thresholds.
    pub action_units: Option<[bool; ACTION_UNITS]>,
    /// The values are those of other frames: nobody was seen in this one.
    pub filled: bool,
    /// A face was seen in this frame, and the look at it was usable.
    pub usable: bool,
}

/// A run's predictions of one video, one row a frame (the rows of the video's subject).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VideoPredictions {
    pub(super) valence_arousal: Answers<ValenceArousal>,
    pub(super) expression: Answers<[f32; EXPRESSIONS]>,
    pub(super) action_units: Answers<[bool; ACTION_UNITS]>,
    /// Frames whose values were filled, ascending.
    filled: Vec<FrameIndex>,
    /// Frames with a usable look, ascending.
    usable: Vec<FrameIndex>,
    first: Option<FrameIndex>,
    last: Option<FrameIndex>,
}

impl VideoPredictions {
    /// Takes rows of ascending frames; gaps are allowed.
    ///
    /// # Errors
    /// Frames that do not ascend; values that are infinite or not a number.
    pub fn new(rows: impl IntoIterator<Item = FramePrediction>) -> Result<Self, Error> {
        let mut predictions = VideoPredictions::default();
        for FramePrediction {
            frame,
            valence_arousal,
            expression,
            action_units,
            filled,
            usable,
        } in rows
        {
            if let Some(previous) = predictions.last.filter(|last| *last >= frame) {
                return Err(Error::FrameOrder { previous, frame });
            }
            predictions.first.get_or_insert(frame);
            predictions.last = Some(frame);
            let coordinates = valence_arousal
                .iter()
                .flat_map(|point| [point.valence, point.arousal]);
            if !coordinates
                .chain(expression.into_iter().flatten())
                .all(f32::is_finite)
            {
                return Err(Error::NotFinite { frame });
            }
            predictions.valence_arousal.push(frame, valence_arousal);
            predictions.expression.push(frame, expression);
            predictions.action_units.push(frame, action_units);
            if filled {
                predictions.filled.push(frame);
            }
            if usable {
                predictions.usable.push(frame);
            }
        }
        Ok(predictions)
    }

    /// The answer of a submission for a frame. A task without any prediction in the video is `None`: a submission
    /// contains the neutral answer there.
    pub fn answer(&self, frame: FrameIndex) -> FrameAnswer {
        let (point, point_from) = self.valence_arousal.interpolated(frame);
        let (probabilities, expression_from) = self.expression.nearest(frame, NEUTRAL);
        let (action_units, action_units_from) = self.action_units.nearest(frame, [false; ACTION_UNITS]);
        let known = |origin| origin != Origin::Neutral;
        FrameAnswer {
            valence_arousal: known(point_from).then(|| in_square(point)),
            expression: known(expression_from).then(|| Expression::most_probable(&probabilities)),
            action_units: known(action_units_from).then_some(action_units),
            filled: self.is_filled(frame)
                || [point_from, expression_from, action_units_from].contains(&Origin::Filled),
            usable: self.usable.binary_search(&frame).is_ok(),
        }
    }

    /// Whether the run itself has filled the values of a frame.
    pub(super) fn is_filled(&self, frame: FrameIndex) -> bool {
        self.filled.binary_search(&frame).is_ok()
    }

    /// Whether the run has a frame 0, as folders of crops may.
    pub(super) fn has_frame_0(&self) -> bool {
        self.first.is_some_and(|first| first.number() == 0)
    }

    /// The last frame of the run, predicted or not.
    pub(super) fn last(&self) -> Option<FrameIndex> {
        self.last
    }
}

/// The answer for one frame, from the run or filled from other frames.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FrameAnswer {
    /// In [-1, 1].
    pub valence_arousal: Option<ValenceArousal>,
    /// The most probable expression.
    pub expression: Option<Expression>,
    /// Which units are active, in ABAW order.
    pub action_units: Option<[bool; ACTION_UNITS]>,
    /// At least one value comes from other frames.
    pub filled: bool,
    /// The look at the face in this frame was usable.
    pub usable: bool,
}

/// The probabilities that stand for no prediction.
pub(super) const NEUTRAL: [f32; EXPRESSIONS] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Clamped to [-1, 1]; adding 0 turns -0 into 0, which would print a sign.
pub(super) fn in_square(point: ValenceArousal) -> ValenceArousal {
    ValenceArousal {
        valence: point.valence.clamp(-1.0, 1.0) + 0.0,
        arousal: point.arousal.clamp(-1.0, 1.0) + 0.0,
    }
}

/// Where a value of a submission comes from. A line is as its worst value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Predicted for this frame.
    Run,
    /// From other frames of the video.
    Filled,
    /// The video has no prediction at all.
    Neutral,
}

/// The known values of a task in a video, by ascending frame, and what a submission answers for frames between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers<T> {
    frames: Vec<FrameIndex>,
    values: Vec<T>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Answers {
            frames: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T: Copy> Answers<T> {
    /// Adds a frame behind all others; without a value it is not known.
    pub fn push(&mut self, frame: FrameIndex, value: Option<T>) {
        if let Some(value) = value {
            self.frames.push(frame);
            self.values.push(value);
        }
    }

    /// The value at `frame`: the known one; inside a gap what `between` makes of the values before
    /// and after it and the place from 0 to 1 between these; the first before the first, the last
    /// after the last; `neutral` if none is known.
    fn at(&self, frame: FrameIndex, neutral: T, between: impl FnOnce(T, T, f64) -> T) -> (T, Origin) {
        let after = self.frames.partition_point(|known| *known < frame);
        if self.frames.get(after) == Some(&frame) {
            return (self.values[after], Origin::Run);
        }
        match (after.checked_sub(1), self.values.get(after)) {
            (None, None) => (neutral, Origin::Neutral),
            (None, Some(&first)) => (first, Origin::Filled),
            (Some(last), None) => (self.values[last], Origin::Filled),
            (Some(before), Some(&next)) => {
                let number = |frame: FrameIndex| f64::from(frame.number());
                let (start, end) = (number(self.frames[before]), number(self.frames[after]));
                let place = (number(frame) - start) / (end - start);
                (between(self.values[before], next, place), Origin::Filled)
            }
        }
    }

    /// As [`Answers::at`], with the value nearest in time inside a gap; the earlier of equals.
    pub fn nearest(&self, frame: FrameIndex, neutral: T) -> (T, Origin) {
        self.at(
            frame,
            neutral,
            |before, after, place| if place <= 0.5 { before } else { after },
        )
    }
}

impl Answers<ValenceArousal> {
    /// The value at `frame`, linear in frame number inside a gap, the origin of the plane if no
    /// frame is known.
    pub fn interpolated(&self, frame: FrameIndex) -> (ValenceArousal, Origin) {
        self.at(frame, ValenceArousal::default(), |before, after, place| {
            let mix = |a: f32, b: f32| (f64::from(a) + (f64::from(b) - f64::from(a)) * place) as f32;
            ValenceArousal {
                valence: mix(before.valence, after.valence),
                arousal: mix(before.arousal, after.arousal),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u32) -> FrameIndex {
        FrameIndex::new(number).unwrap()
    }

    fn row(number: u32, valence: Option<f32>) -> FramePrediction {
        FramePrediction {
            frame: frame(number),
            valence_arousal: valence.map(|valence| ValenceArousal {
                valence,
                arousal: -valence,
            }),
            expression: None,
            action_units: valence.map(|valence| [valence > 0.5; 12]),
            filled: false,
            usable: true,
        }
    }

    #[test]
    fn gaps_are_filled_as_participants_do() {
        let rows = [
            row(3, Some(0.0)),
            row(4, None),
            row(7, Some(0.8)),
            row(8, Some(1.0)),
            row(9, None),
        ];
        let video = VideoPredictions::new(rows).unwrap();
        let valence = |number| {
            let (point, origin) = video.valence_arousal.interpolated(frame(number));
            assert_eq!(point.arousal, -point.valence);
            (point.valence, origin)
        };
        assert_eq!(valence(1), (0.0, Origin::Filled));
        assert_eq!(valence(3), (0.0, Origin::Run));
        assert_eq!(valence(4), (0.2, Origin::Filled));
        assert_eq!(valence(6), (0.6, Origin::Filled));
        assert_eq!(valence(7), (0.8, Origin::Run));
        assert_eq!(valence(500), (1.0, Origin::Filled));

        let unit = |number| video.action_units.nearest(frame(number), [false; 12]).0[0];
        assert_eq!(
            [1, 4, 5, 6, 7].map(unit),
            [false, false, false, true, true],
            "a tie goes to the earlier"
        );
        assert_eq!(
            video.expression.nearest(frame(1), [0.5; 8]),
            ([0.5; 8], Origin::Neutral)
        );
        assert_eq!(video.last(), Some(frame(9)));
    }

    #[test]
    fn disorder_and_nan_are_refused() {
        let error = |rows: &[FramePrediction]| {
            VideoPredictions::new(rows.iter().copied())
                .unwrap_err()
                .to_string()
        };
        let twice = error(&[row(2, None), row(2, None)]);
        assert_eq!(
            twice,
            "frame 2 comes after frame 2: expected ascending frames, each once"
        );
        assert!(error(&[row(1, None), row(2, Some(f32::NAN))]).starts_with("frame 2: "));
    }
}
