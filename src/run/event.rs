//! What happens during a run, for whoever watches.

use super::folder::Failure;
use super::input::VideoId;
use super::stage::Stage;
use crate::table::{Counts, StageSeconds};

/// Frames and faces that wait for the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLengths {
    pub frames: usize,
    pub faces: usize,
}

/// News from the engine, in the order in which it happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// Work on a video begins; the container's own count of frames, if it has one.
    Started {
        id: VideoId,
        expected_frames: Option<u64>,
    },
    /// Frames have passed detection, or crops have been read; how much waits for workers.
    Frames { count: u64, waiting: QueueLengths },
    /// A network has looked at a batch.
    Pass { stage: Stage },
    /// The table of a video is there.
    Done {
        id: VideoId,
        counts: Counts,
        seconds: StageSeconds,
        /// Sentence on damage in the file, if any.
        damage: Option<String>,
    },
    /// The table was there already.
    Skipped { id: VideoId },
    /// A video was given up.
    Failed { id: VideoId, failure: Failure },
}

/// What a shard's work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputTotals {
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl InputTotals {
    /// Counts an event.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Done { .. } => self.done += 1,
            Event::Skipped { .. } => self.skipped += 1,
            Event::Failed { .. } => self.failed += 1,
            Event::Started { .. } | Event::Frames { .. } | Event::Pass { .. } => {}
        }
    }

    /// Inputs dealt with.
    pub fn total(&self) -> u64 {
        self.done + self.skipped + self.failed
    }
}
