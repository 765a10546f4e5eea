//! Stopping on TERM and Ctrl-C: unfinished work is dropped, published files stay.

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

/// Time for threads to return. A read from a dead network disk never returns.
const GRACE: Duration = Duration::from_millis(2500);

/// A flag that asks all threads to stop; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that the signals TERM and INT set. After the first signal the process has 2.5 seconds to return from its
    /// work; then it is ended with [`EXIT_STOPPED`]. A second signal ends it at once.
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

    /// True after [`Stop::ask`] or a signal.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
