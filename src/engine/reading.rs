//! Reads an input on a thread of its own, so that a read that the system never answers (a dead network mount) costs this
//! input and not the run.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::Builder;
use std::time::Duration;

use super::context::caught;
use super::source::{Source, SourceFrame, SourceReport};
use crate::config::Pipeline;
use crate::error_chain::sentence;
use crate::face::CropForm;
use crate::run::{FileState, PlannedInput, StageClock};

/// Seconds beyond the reader's own time limit, which gives up slow reads with a better reason.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes a second of the slowest copy to a scratch folder that is waited for.
const SLOWEST_COPY: u64 = 1 << 20;

/// An input that is being read. At most one frame is read ahead of the caller: the one that was asked for.
pub struct Reading {
    /// Frames a second; `None` for crops.
    pub frame_rate: Option<f64>,
    /// The number of frames by the container's own count.
    pub expected_frames: Option<u64>,
    /// The file as it was when it was opened.
    pub state: FileState,
    requests: Option<SyncSender<Request>>,
    answers: Receiver<Answer>,
    limit: Duration,
}

enum Request {
    Next,
    Report,
}

enum Answer {
    Opened(Result<Opened, String>),
    Frame(Result<Option<SourceFrame>, String>),
    Report(Result<SourceReport, String>),
}

struct Opened {
    frame_rate: Option<f64>,
    expected_frames: Option<u64>,
    state: FileState,
}

impl Reading {
    /// Opens an input. `crop_forms`: those of the networks beside DDAMFN's. `scratch`, `decode_threads`: see [`VideoSettings`](crate::video::VideoSettings). `clock` counts the
    /// time that its frames take.
    ///
    /// # Errors
    /// Why it cannot be read, as a sentence.
    pub fn open(
        input: &PlannedInput,
        pipeline: &Arc<Pipeline>,
        crop_forms: &Arc<[CropForm]>,
        scratch: Option<PathBuf>,
        decode_threads: NonZeroU32,
        clock: &Arc<StageClock>,
    ) -> Result<Self, String> {
        let stall = Duration::from_secs(pipeline.video.stall_seconds.get().into());
        let copying = scratch.as_ref().map_or(0, |_| input.bytes / SLOWEST_COPY);
        let (requests, requested) = mpsc::sync_channel(0);
        let (answer, answers) = mpsc::channel();
        let mut reading = Self {
            frame_rate: None,
            expected_frames: None,
            state: FileState::default(),
            requests: Some(requests),
            answers,
            limit: stall + GRACE + Duration::from_secs(copying),
        };
        let (input, pipeline, clock) = (input.clone(), Arc::clone(pipeline), Arc::clone(clock));
        let crop_forms = Arc::clone(crop_forms);
        let serve = move || {
            let state = FileState::of(&input.path, input.kind).unwrap_or_default();
            let source = caught(|| {
                Source::open(&input, &pipeline, &crop_forms, scratch, decode_threads)
                    .map_err(|error| sentence(&error))
            });
            serve(source.flatten(), state, &input, &clock, &requested, &answer);
        };
        let name = "source".to_owned();
        Builder::new()
            .name(name)
            .spawn(serve)
            .map_err(|error| error.to_string())?;
        let Answer::Opened(opened) = reading.answer()? else {
            return Err("a bug in this program, please report it: no answer to opening".to_owned());
        };
        let opened = opened?;
        reading.limit = stall + GRACE;
        reading.frame_rate = opened.frame_rate;
        reading.expected_frames = opened.expected_frames;
        reading.state = opened.state;
        Ok(reading)
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Why reading cannot go on, as a sentence.
    pub fn next(&mut self) -> Result<Option<SourceFrame>, String> {
        match self.ask(Request::Next)? {
            Answer::Frame(frame) => frame,
            _ => Ok(None),
        }
    }

    /// What the source reports of itself at its end.
    ///
    /// # Errors
    /// A folder of which not one image could be read; a file that changed while it was read.
    pub fn report(mut self) -> Result<SourceReport, String> {
        match self.ask(Request::Report)? {
            Answer::Report(report) => report,
            _ => Ok(SourceReport::default()),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Answer, String> {
        let sent = self.requests.as_ref().map(|requests| requests.send(request));
        match sent {
            Some(Ok(())) => self.answer(),
            _ => Err("reading has ended".to_owned()),
        }
    }

    fn answer(&mut self) -> Result<Answer, String> {
        self.answers.recv_timeout(self.limit).map_err(|reason| {
            // The thread is left to its read.
            self.requests = None;
            match reason {
                RecvTimeoutError::Timeout => format!(
                    "the file system gave no answer within {} seconds; is its network mount dead?",
                    self.limit.as_secs()
                ),
                RecvTimeoutError::Disconnected => "reading has ended".to_owned(),
            }
        })
    }
}

impl Drop for Reading {
    /// Waits until the file is closed, unless its reads were given up.
    fn drop(&mut self) {
        if self.requests.take().is_some() {
            let _ = self.answers.recv_timeout(self.limit);
        }
    }
}

/// Answers requests until nobody asks any more.
fn serve(
    source: Result<Source, String>,
    state: FileState,
    input: &PlannedInput,
    clock: &StageClock,
    requests: &Receiver<Request>,
    answers: &Sender<Answer>,
) {
    let opened = source.as_ref().map_err(Clone::clone).map(|source| Opened {
        frame_rate: source.frame_rate(),
        expected_frames: source.expected_frames(),
        state,
    });
    let is_open = answers.send(Answer::Opened(opened)).is_ok();
    let Ok(mut source) = source else { return };
    while let (true, Ok(request)) = (is_open, requests.recv()) {
        let answer = match request {
            Request::Next => {
                let next = caught(|| source.next(clock).map_err(|error| sentence(&error)));
                Answer::Frame(next.flatten())
            }
            Request::Report => {
                let report = caught(|| source.report().map_err(|error| sentence(&error)));
                let report = report
                    .flatten()
                    .and_then(|report| unchanged(report, state, input));
                let _ = answers.send(Answer::Report(report));
                return;
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// The report, unless the file is no longer the one that was opened.
fn unchanged(report: SourceReport, state: FileState, input: &PlannedInput) -> Result<SourceReport, String> {
    match FileState::of(&input.path, input.kind) {
        Some(now) if now != state => {
            Err("the file changed while it was read; annotate it again once it is complete".to_owned())
        }
        _ => Ok(report),
    }
}
