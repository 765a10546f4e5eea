//! Seconds of work spent on a video, by stage, counted from many threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::run_folder::Stage;
use crate::table::StageSeconds;

/// Adds up the time of each stage.
#[derive(Debug, Default)]
pub struct StageClock {
    nanoseconds: [AtomicU64; Stage::ALL.len()],
}

impl StageClock {
    /// Runs `work` and counts its time to `stage`.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    /// Counts time to `stage` that was spent elsewhere.
    pub fn add(&self, stage: Stage, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[stage as usize].fetch_add(spent, Ordering::Relaxed);
    }

    /// The sums so far, in seconds to the microsecond, of the stages that took any time. Writing is none
    /// of them yet when a table's footer is made.
    pub fn seconds(&self) -> StageSeconds {
        Stage::ALL
            .into_iter()
            .map(|stage| (stage, self.nanoseconds[stage as usize].load(Ordering::Relaxed)))
            .filter(|(_, spent)| *spent > 0)
            .map(|(stage, spent)| (stage.name().to_owned(), (spent / 1000) as f64 / 1e6))
            .collect()
    }
}
