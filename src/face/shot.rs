//! Shots: where one ends and another begins.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::FaceError;
use super::dissolve::DissolveDetector;
pub use super::signature::Signature;

/// When a cut is seen. A difference is one minus a correlation: 0 for the same picture,
/// about 1 for two that have nothing in common, whatever their brightness and contrast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShotSettings {
    /// No difference below this is a cut, in [0, 1].
    pub possible: f32,
    /// A difference above this is a cut in any case, in [0, 1].
    pub certain: f32,
    /// In between, a cut is this many times the usual difference from frame to frame.
    pub prominence: f32,
    /// Number of frames that a new one is compared with: a flash shorter than this is no cut.
    pub memory: NonZeroUsize,
    /// Longest dissolve that ends a shot, in frames; 0: dissolves are not looked for.
    pub dissolve_frames: usize,
}

impl Default for ShotSettings {
    fn default() -> Self {
        Self {
            possible: 0.25,
            certain: 0.6,
            prominence: 4.0,
            memory: NonZeroUsize::MIN.saturating_add(2),
            dissolve_frames: 52,
        }
    }
}

impl ShotSettings {
    /// Refuses numbers that make no sense.
    pub fn check(&self) -> Result<(), FaceError> {
        let not_below_zero = |value: f64| value.is_finite() && value >= 0.0;
        let settings = [
            ("possible", self.possible.into()),
            ("certain", self.certain.into()),
            ("prominence", self.prominence.into()),
        ];
        FaceError::unless(not_below_zero, "0 or above", &settings)
    }
}

/// Weight of a new frame in the usual difference.
const USUAL_WEIGHT: f32 = 0.2;

/// Tells frame by frame whether a new shot begins. Its memory is a few signatures.
///
/// A frame begins a shot if it is like none of the last few, brightness, contrast and a turn of the
/// camera aside, and the difference stands out from the usual. A frame that shows nothing (black,
/// white) is passed over; the next one that does is compared with the last that did. A dissolve ends a shot where its
/// second picture is nearly there.
#[derive(Debug, Clone)]
pub struct ShotDetector {
    settings: ShotSettings,
    /// The last frames of this shot that showed something, the newest first.
    recent: VecDeque<Signature>,
    dissolves: DissolveDetector,
    /// Running mean of the difference from frame to frame. A cut counts too: where one seems to
    /// follow another they are more likely a wild motion.
    usual: f32,
}

impl ShotDetector {
    /// A detector for one video.
    pub fn new(settings: ShotSettings) -> Self {
        Self {
            settings,
            recent: VecDeque::new(),
            dissolves: DissolveDetector::new(settings.dissolve_frames),
            usual: 0.0,
        }
    }

    /// Takes the next frame in order: does a new shot begin with it? Never with the first frame.
    /// A change of the picture's size is a cut.
    pub fn is_cut(&mut self, frame: &Signature) -> bool {
        let last = self.recent.front();
        let resized = last.is_some_and(|last| last.is_resized(frame));
        if !resized && !frame.shows_something() {
            return false;
        }
        let difference = self.difference(frame);
        let is_hard = resized || difference.is_some_and(|difference| difference > self.least_cut(frame));
        let cut = if is_hard {
            self.dissolves.begin(frame);
            true
        } else {
            self.dissolves.is_end(frame)
        };
        if cut {
            self.recent.clear();
        }
        if let Some(difference) = difference {
            self.usual += USUAL_WEIGHT * (difference - self.usual);
        }
        self.recent.truncate(self.settings.memory.get() - 1);
        self.recent.push_front(frame.clone());
        cut
    }

    /// The difference from the most similar of the last frames; `None` at the video's beginning.
    fn difference(&self, frame: &Signature) -> Option<f32> {
        let possible = self.settings.possible;
        let mut least: Option<f32> = None;
        for known in &self.recent {
            let difference = frame.difference(known, possible);
            least = Some(least.map_or(difference, |least| least.min(difference)));
            if difference < possible {
                break;
            }
        }
        least
    }

    /// The difference from which this frame is a cut.
    fn least_cut(&self, frame: &Signature) -> f32 {
        let ShotSettings {
            possible,
            certain,
            prominence,
            ..
        } = self.settings;
        if self
            .recent
            .front()
            .is_some_and(|last| frame.is_flash_beside(last))
        {
            certain
        } else {
            (prominence * self.usual).min(certain).max(possible)
        }
    }
}
