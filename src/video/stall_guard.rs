//! Detects stalled and failed reads, which libav does not report.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::VideoFault;
use super::settings::VideoSettings;

/// The time limit for the next frame, and the first error of the operating system while reading. libav may report either
/// as the end of the stream. Clones share both.
///
/// libav checks the time before each read and while it probes, the reader between packets. This cannot detect a read that
/// the operating system never answers (a dead network mount), or a packet that a decoder never finishes.
#[derive(Debug, Clone)]
pub struct StallGuard {
    stall_seconds: u32,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    deadline: Instant,
    failure: Option<io::Error>,
}

impl StallGuard {
    /// Starts the time limit for the first frame.
    pub fn start(settings: &VideoSettings) -> Self {
        let stall_seconds = settings.stall_seconds.get();
        let deadline = Instant::now() + Duration::from_secs(stall_seconds.into());
        Self {
            stall_seconds,
            state: Arc::new(Mutex::new(State {
                deadline,
                failure: None,
            })),
        }
    }

    /// Restarts the time limit, for the next frame.
    pub fn restart(&self) {
        self.state().deadline = Instant::now() + Duration::from_secs(self.stall_seconds.into());
    }

    /// Returns whether the time limit is over.
    pub fn has_stalled(&self) -> bool {
        Instant::now() >= self.state().deadline
    }

    /// Returns an error if reading failed or the time limit is over.
    pub fn check(&self) -> Result<(), VideoFault> {
        if let Some(failure) = self.state().failure.take() {
            return Err(VideoFault::ReadFailed(failure));
        }
        if self.has_stalled() {
            return Err(VideoFault::Stalled(self.stall_seconds));
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that reports its errors to a [`StallGuard`].
pub struct GuardedStream<R> {
    /// The stream.
    pub stream: R,
    /// Receives the errors.
    pub stall_guard: StallGuard,
}

impl<R: Read> Read for GuardedStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).map_err(|failure| {
            let for_libav = io::Error::from(failure.kind());
            if failure.kind() != io::ErrorKind::Interrupted {
                self.stall_guard.state().failure.get_or_insert(failure);
            }
            for_libav
        })
    }
}

impl<R: Seek> Seek for GuardedStream<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.stream.seek(to)
    }
}
