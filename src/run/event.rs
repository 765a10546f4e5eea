//! Events of a run, for progress bars and logs.

use super::folder::Failure;
use super::input::VideoId;
use super::stage::Stage;
use crate::table::{Counts, StageSeconds};

/// Numbers of frames and faces that are queued for the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLengths {
    /// Frames before detection.
    pub frames: usize,
    /// Faces before inference.
    pub faces: usize,
}

/// An event of a run, sent in the order in which it happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// Work on a video begins.
    Started {
        /// The video.
        id: VideoId,
        /// The number of frames that the container gives, if any.
        expected_frames: Option<u64>,
    },
    /// Frames have passed detection, or crops have been read.
    Frames {
        /// Their video.
        id: VideoId,
        /// How many.
        count: u64,
        /// What is queued at this moment.
        waiting: QueueLengths,
    },
    /// A forward pass of a network over a batch has ended.
    Pass {
        /// `Detect` or `Infer`.
        stage: Stage,
    },
    /// A GPU's networks are made ready, which takes some seconds.
    DeviceStarts {
        /// The number of the CUDA device, 0-based.
        device: usize,
    },
    /// A thread that runs networks has ended.
    NetworksEnded {
        /// Where its time went.
        times: NetworkTimes,
    },
    /// The device was out of memory: from now on batches are half as large.
    BatchHalved {
        /// `Detect` or `Infer`.
        stage: Stage,
        /// The number of items in a batch from now on.
        batch: usize,
    },
    /// The table of a video is written.
    Done {
        /// The video.
        id: VideoId,
        /// Sizes of the table.
        counts: Counts,
        /// Seconds of work by stage.
        seconds: StageSeconds,
        /// A sentence about damage in the file, if any.
        damage: Option<String>,
        /// A sentence about something else that the user should know, if any.
        note: Option<String>,
    },
    /// The table of a video existed already.
    Skipped {
        /// The video.
        id: VideoId,
    },
    /// A video failed.
    Failed {
        /// The video.
        id: VideoId,
        /// Why.
        failure: Failure,
    },
}

/// Where the time of threads that run networks went, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NetworkTimes {
    /// Waiting for something to do.
    pub idle: f64,
    /// Making the networks ready.
    pub start: f64,
    /// Giving passes to the device; on a CPU, computing them.
    pub submit: f64,
    /// Waiting for the device.
    pub wait: f64,
    /// Everything else: handing results on, and on a CPU the other steps.
    pub other: f64,
}

impl NetworkTimes {
    /// Adds the times of another thread.
    pub fn add(&mut self, other: &NetworkTimes) {
        self.idle += other.idle;
        self.start += other.start;
        self.submit += other.submit;
        self.wait += other.wait;
        self.other += other.other;
    }
}

/// Numbers of inputs by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputTotals {
    /// Inputs whose table was written.
    pub done: u64,
    /// Inputs whose table existed already.
    pub skipped: u64,
    /// Inputs that failed.
    pub failed: u64,
}

impl InputTotals {
    /// Counts an event, if it ends the work on an input.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Done { .. } => self.done += 1,
            Event::Skipped { .. } => self.skipped += 1,
            Event::Failed { .. } => self.failed += 1,
            Event::Started { .. }
            | Event::Frames { .. }
            | Event::Pass { .. }
            | Event::DeviceStarts { .. }
            | Event::NetworksEnded { .. }
            | Event::BatchHalved { .. } => {}
        }
    }

    /// All inputs counted.
    pub fn total(&self) -> u64 {
        self.done + self.skipped + self.failed
    }
}
