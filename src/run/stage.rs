//! The stages of the work on a video, and the seconds spent in each, summed over threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::table::StageSeconds;

/// A part of the work on a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Decoding frames, or reading crops.
    Decode,
    /// Face detection.
    Detect,
    /// Tracking and alignment.
    Track,
    /// The networks that annotate.
    Infer,
    /// Final columns.
    Postprocess,
    /// Writing the table.
    Write,
}

impl Stage {
    /// All stages in the order in which a frame passes them.
    pub const ALL: [Stage; 6] = [
        Stage::Decode,
        Stage::Detect,
        Stage::Track,
        Stage::Infer,
        Stage::Postprocess,
        Stage::Write,
    ];

    /// The name in `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Detect => "detect",
            Stage::Track => "track",
            Stage::Infer => "infer",
            Stage::Postprocess => "postprocess",
            Stage::Write => "write",
        }
    }
}

/// The time spent in each stage. Any number of threads may add to it at once.
#[derive(Debug, Default)]
pub struct StageClock {
    nanoseconds: [AtomicU64; Stage::ALL.len()],
}

impl StageClock {
    /// Runs `work` and adds its time to `stage`.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    /// Adds time to `stage` that was measured elsewhere.
    pub fn add(&self, stage: Stage, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[stage as usize].fetch_add(spent, Ordering::Relaxed);
    }

    /// The sums so far, in seconds rounded down to microseconds, of the stages that took any time. The footer of a table
    /// is made before it is written, so it has no time for that stage.
    pub fn seconds(&self) -> StageSeconds {
        Stage::ALL
            .into_iter()
            .map(|stage| (stage, self.nanoseconds[stage as usize].load(Ordering::Relaxed)))
            .filter(|(_, spent)| *spent > 0)
            .map(|(stage, spent)| (stage.name().to_owned(), (spent / 1000) as f64 / 1e6))
            .collect()
    }
}
