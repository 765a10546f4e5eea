//! What the threads of a run share.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::prepared::{PreparedFaces, PreparedFrames};
use super::publication::Publication;
use super::queue::{self, Step};
use super::slice::Slice;
use super::video::{Face, FrameInWork, VideoOutcome, VideoState};
use crate::config::Pipeline;
use crate::face::{Candidate, CropForm};
use crate::model::{Feed, IdentityNetwork};
use crate::run::{Event, Stage};

/// What a run is to do beside its plan. None of it changes a number.
#[derive(Debug, Clone, Default)]
pub struct AnnotateOptions {
    /// Frames after this one are left out; part of the plan's settings.
    pub limit_frames: Option<u32>,
    /// A folder on a disk of this machine, to which each video is copied before it is decoded.
    pub scratch: Option<PathBuf>,
}

/// Width and height in which frames of a batch must be equal: see [`Feed::key`].
pub type BatchKey = (u32, u32);

/// The queue between the threads of a run.
pub type Queue = queue::Queue<BatchKey, FrameInWork, Face, Task>;
/// A reader's end of the queue.
pub type Producer = queue::Producer<BatchKey, FrameInWork, Face, Task>;
/// What a worker does next.
pub type Work = queue::Work<BatchKey, FrameInWork, Face, Task>;

/// A task of a step that has no batches to fill.
pub enum Task {
    /// A frame that is looked at around faces.
    LookNear(FrameInWork),
    Detect(PreparedFrames),
    /// Frames of one video; what the detector found in each, `None` if it did not run.
    Track(Slice<(FrameInWork, Option<Vec<Candidate>>)>),
    Infer(PreparedFaces),
    Publish(Arc<VideoState>, Box<VideoOutcome>),
}

/// What the threads of a run share.
pub struct Context<'run> {
    pub pipeline: Arc<Pipeline>,
    /// In which forms faces are cut out for the networks beside DDAMFN's.
    pub crop_forms: Arc<[CropForm]>,
    /// What tells people apart, if tracks of one person are to be joined.
    pub identity: Option<Arc<IdentityNetwork>>,
    /// Makes the batches.
    pub feed: Arc<Feed>,
    pub options: AnnotateOptions,
    /// Threads that decode each video.
    pub decode_threads: NonZeroU32,
    pub publication: &'run Publication,
    pub queue: Arc<Queue>,
    pub events: Sender<Event>,
}

impl Context<'_> {
    /// Reports an event.
    pub fn send(&self, event: Event) {
        // Fails only when the run is over.
        let _ = self.events.send(event);
    }

    /// Runs a piece of work so that its failure, even a panic, costs one video and not the run.
    pub fn guard<T>(
        &self,
        video: &Arc<VideoState>,
        stage: Stage,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        match caught(work).flatten() {
            Ok(done) => Some(done),
            Err(reason) => {
                video.fail(stage, reason);
                None
            }
        }
    }

    /// Hands the video to be published if this was its last piece of work.
    pub fn publish_if_complete(&self, video: &Arc<VideoState>) {
        if let Some(outcome) = video.take_outcome() {
            let task = Task::Publish(Arc::clone(video), Box::new(outcome));
            self.queue.put_task(Step::Publish, task);
        }
    }
}

/// Runs `work`; a panic becomes a sentence.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        format!("a bug in this program, please report it: {text}")
    })
}
