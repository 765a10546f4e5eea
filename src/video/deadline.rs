//! The time by which the next frame must have come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time by which the next frame must have come. Clones share it: libav asks one from its
/// interrupt callback, the reader moves the other on.
///
/// libav asks before each read and between packets while probing, the reader asks between
/// packets. What a deadline cannot catch: one read that the operating system never answers (a dead
/// network mount) and one packet that a decoder never finishes.
#[derive(Debug, Clone)]
pub struct Deadline {
    patience: Duration,
    at: Arc<Mutex<Instant>>,
}

impl Deadline {
    /// A deadline `patience` from now.
    pub fn start(patience: Duration) -> Self {
        Self {
            patience,
            at: Arc::new(Mutex::new(Instant::now() + patience)),
        }
    }

    /// Moves the deadline to its full patience from now.
    pub fn restart(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.patience;
    }

    /// Whether the time is up.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
