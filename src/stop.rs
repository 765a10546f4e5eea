//! TERM and Ctrl-C: work in hand is dropped, what is published stays.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
// Ends the process at once: threads still compute, and must not see libtorch's globals destroyed.
use signal_hook::low_level::exit;

/// The exit code of a stopped run: "temporary failure, try again" (sysexits.h).
pub const EXIT_STOPPED: i32 = 75;

/// How long threads may take to notice. A read from a dead network disk never does.
const GRACE: Duration = Duration::from_millis(2500);

/// A wish to stop, seen by all threads.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A stop that TERM and INT ask for. From the first of them the process has 2.5 seconds to
    /// return from its work; then it is ended with [`EXIT_STOPPED`]. A second one ends it at once.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be watched.
    pub fn on_signals() -> io::Result<Self> {
        Self::on_signals_within(GRACE)
    }

    /// As [`on_signals`](Self::on_signals), with another time to return.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be watched.
    pub fn on_signals_within(grace: Duration) -> io::Result<Self> {
        let stop = Self::default();
        let asked = stop.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut arrivals = signals.forever();
                arrivals.next();
                asked.ask();
                std::thread::spawn(move || {
                    std::thread::sleep(grace);
                    exit(EXIT_STOPPED);
                });
                arrivals.next();
                exit(EXIT_STOPPED);
            })?;
        Ok(stop)
    }

    /// Asks all threads to stop.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
