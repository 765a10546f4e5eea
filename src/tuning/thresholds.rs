//! The search for the threshold of each action unit.
//!
//! Frames are counted by how far up the grid their probability reaches. The counts of videos can be
//! added, and every threshold of the grid can be scored on them, so that a search over any set of
//! videos never reads a frame again.

use crate::labels::ACTION_UNITS;
use crate::metrics::{ActionUnitTally, F1Counts};
use crate::postprocess::Thresholds;

/// Number of thresholds on the grid: 0.10, 0.11, ... 0.90.
pub const STEPS: usize = 81;

/// A step of the grid (0-based) for each action unit.
pub type GridSteps = [usize; ACTION_UNITS];

/// The grid's 0.5 for all.
pub const HALF: GridSteps = [40; ACTION_UNITS];

/// The threshold of a step of the grid.
pub fn threshold_at(step: usize) -> f64 {
    (step + 10) as f64 / 100.0
}

/// The thresholds of these steps, all in [0, 1].
pub fn thresholds_at(steps: &GridSteps) -> Thresholds {
    Thresholds::new(steps.map(threshold_at)).unwrap_or_default()
}

/// Frames counted by how many thresholds of the grid their probability reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdCounts {
    /// `[unit][number of thresholds reached]`, frames in which the unit is active.
    active: [[u32; STEPS + 1]; ACTION_UNITS],
    /// The same for those in which it is not.
    inactive: [[u32; STEPS + 1]; ACTION_UNITS],
    frames: u64,
    unanswered: u64,
}

impl Default for ThresholdCounts {
    fn default() -> Self {
        Self {
            active: [[0; STEPS + 1]; ACTION_UNITS],
            inactive: [[0; STEPS + 1]; ACTION_UNITS],
            frames: 0,
            unanswered: 0,
        }
    }
}

impl ThresholdCounts {
    /// Counts one annotated frame; no prediction reaches no threshold.
    pub fn add(&mut self, label: [bool; ACTION_UNITS], probabilities: Option<[f32; ACTION_UNITS]>) {
        self.frames += 1;
        self.unanswered += u64::from(probabilities.is_none());
        for unit in 0..ACTION_UNITS {
            let reached = probabilities.map_or(0, |probabilities| thresholds_reached(probabilities[unit]));
            let counts = if label[unit] {
                &mut self.active
            } else {
                &mut self.inactive
            };
            counts[unit][reached] += 1;
        }
    }

    /// Adds the frames of another.
    pub fn merge(&mut self, other: &Self) {
        for (counts, more) in [
            (&mut self.active, &other.active),
            (&mut self.inactive, &other.inactive),
        ] {
            for (count, more) in counts.as_flattened_mut().iter_mut().zip(more.as_flattened()) {
                *count += more;
            }
        }
        self.frames += other.frames;
        self.unanswered += other.unanswered;
    }

    /// Positive-class F1 of one unit at every threshold of the grid, 0 where undefined.
    pub fn f1_curve(&self, unit: usize) -> [f64; STEPS] {
        let mut curve = [0.0; STEPS];
        // From the highest threshold down: each step adds the frames that reach it but no more.
        let (mut found, mut wrong) = (0, 0);
        let active: u64 = self.active[unit].iter().copied().map(u64::from).sum();
        for step in (0..STEPS).rev() {
            found += u64::from(self.active[unit][step + 1]);
            wrong += u64::from(self.inactive[unit][step + 1]);
            curve[step] = F1Counts {
                true_positives: found,
                false_positives: wrong,
                false_negatives: active - found,
            }
            .f1()
            .unwrap_or(0.0);
        }
        curve
    }

    /// The best threshold of each unit: the middle of the longest stretch of the grid with the best F1.
    pub fn best(&self) -> GridSteps {
        std::array::from_fn(|unit| middle_of_best_plateau(&self.f1_curve(unit)))
    }

    /// The tally at these thresholds.
    pub fn tally(&self, steps: &GridSteps) -> ActionUnitTally {
        let sum = |counts: &[u32]| counts.iter().copied().map(u64::from).sum();
        let units = std::array::from_fn(|unit| {
            let (missed, found) = self.active[unit].split_at(steps[unit] + 1);
            F1Counts {
                true_positives: sum(found),
                false_positives: sum(&self.inactive[unit][steps[unit] + 1..]),
                false_negatives: sum(missed),
            }
        });
        ActionUnitTally::from_counts(units, self.frames, self.unanswered)
    }
}

/// How many thresholds of the grid a probability reaches, in single precision as [`Thresholds::decide`].
fn thresholds_reached(probability: f32) -> usize {
    // Starts where rounding cannot have gone too far; comparisons settle the rest.
    let mut reached = ((probability * 100.0) as usize).saturating_sub(10).min(STEPS - 1);
    while reached < STEPS && probability >= threshold_at(reached) as f32 {
        reached += 1;
    }
    reached
}

/// The middle (the lower of two) of the longest run of places with the highest value; of runs equally
/// long the first.
fn middle_of_best_plateau(curve: &[f64]) -> usize {
    let best = curve.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut start, mut length) = (0, 0);
    let mut run = 0;
    for (place, value) in curve.iter().enumerate() {
        run = if *value == best { run + 1 } else { 0 };
        if run > length {
            (start, length) = (place + 1 - run, run);
        }
    }
    start + length.saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plateau_is_the_longest_and_its_middle_is_taken() {
        assert_eq!(middle_of_best_plateau(&[1.0]), 0);
        assert_eq!(middle_of_best_plateau(&[0.0, 2.0, 2.0, 1.0]), 1);
        assert_eq!(middle_of_best_plateau(&[2.0, 1.0, 2.0, 2.0, 2.0, 0.0, 2.0]), 3);
        assert_eq!(middle_of_best_plateau(&[0.0; STEPS]), HALF[0]);
    }

    #[test]
    fn a_probability_reaches_the_thresholds_that_decide_lets_it_pass() {
        let near = (0..=1000).map(|thousandth| thousandth as f32 / 1000.0);
        for probability in near.flat_map(|p| [p.next_down(), p, p.next_up()]) {
            let passed = (0..STEPS)
                .filter(|&step| probability >= threshold_at(step) as f32)
                .count();
            assert_eq!(thresholds_reached(probability), passed, "{probability}");
        }
    }
}
