//! How the learning rate changes over the steps of a phase.

use serde::{Deserialize, Serialize};

/// A schedule: a factor on the optimiser's learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// A factor of 1.
    Constant {
        /// Epochs over which it rises from 0, linearly.
        #[serde(default)]
        warm_up: f64,
    },
    /// `decay ^ epoch`, a step an epoch, as DDAMFN++ was trained.
    Exponential {
        /// Above 0, at most 1.
        decay: f64,
        /// Epochs over which it rises from 0, linearly.
        #[serde(default)]
        warm_up: f64,
    },
    /// Half a cosine from 1 down to `last` (arXiv 1608.03983).
    Cosine {
        /// The factor at the end.
        #[serde(default)]
        last: f64,
        /// Epochs over which it rises from 0, linearly.
        #[serde(default)]
        warm_up: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Constant { warm_up: 0.0 }
    }
}

impl Schedule {
    /// The factor at a step (0-based) of a phase of `epochs` epochs with `steps_an_epoch` steps each.
    pub fn factor(&self, step: usize, steps_an_epoch: usize, epochs: usize) -> f64 {
        let epoch = step as f64 / steps_an_epoch as f64;
        let warm_up = match *self {
            Schedule::Constant { warm_up }
            | Schedule::Exponential { warm_up, .. }
            | Schedule::Cosine { warm_up, .. } => warm_up,
        };
        // The first step learns too.
        let rise = if epoch < warm_up {
            (epoch + 1.0 / steps_an_epoch as f64) / warm_up
        } else {
            1.0
        };
        let fall = match *self {
            Schedule::Constant { .. } => 1.0,
            Schedule::Exponential { decay, .. } => decay.powi((step / steps_an_epoch) as i32),
            Schedule::Cosine { last, .. } => {
                let through = ((epoch - warm_up) / (epochs as f64 - warm_up)).clamp(0.0, 1.0);
                last + (1.0 - last) * 0.5 * (1.0 + (std::f64::consts::PI * through).cos())
            }
        };
        rise.min(1.0) * fall
    }

    /// Refuses values that are out of range; the error names the limits.
    pub(super) fn check(&self) -> Result<(), String> {
        let (warm_up, sound) = match *self {
            Schedule::Constant { warm_up } => (warm_up, true),
            Schedule::Exponential { decay, warm_up } => (warm_up, decay > 0.0 && decay <= 1.0),
            Schedule::Cosine { last, warm_up } => (warm_up, (0.0..=1.0).contains(&last)),
        };
        match sound && warm_up >= 0.0 && warm_up.is_finite() {
            true => Ok(()),
            false => Err(
                "[[phase]] schedule: decay must be above 0 and at most 1, last between 0 and 1, warm_up at least 0"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn an_exponential_steps_down_once_an_epoch() {
        let schedule = Schedule::Exponential {
            decay: 0.98,
            warm_up: 0.0,
        };
        close(schedule.factor(9, 10, 5), 1.0);
        close(schedule.factor(10, 10, 5), 0.98);
        close(schedule.factor(29, 10, 5), 0.98 * 0.98);
    }

    #[test]
    fn a_cosine_rises_first_and_ends_at_the_last() {
        let schedule = Schedule::Cosine {
            last: 0.1,
            warm_up: 1.0,
        };
        close(schedule.factor(0, 10, 5), 0.1);
        close(schedule.factor(9, 10, 5), 1.0);
        close(schedule.factor(10, 10, 5), 1.0);
        close(schedule.factor(30, 10, 5), 0.55);
        close(schedule.factor(50, 10, 5), 0.1);
    }
}
