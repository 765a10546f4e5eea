//! Work that may never end, such as a look at a file on a network mount that no longer answers.

use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

/// Runs `work` on a thread of its own and returns its result; `None` if there is none within `limit`, or no thread could
/// be started. Work that never ends keeps its thread until the process ends.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (result, received) = mpsc::sync_channel(1);
    let run = move || {
        // Fails if nobody waits any more.
        let _ = result.send(work());
    };
    Builder::new().name("limited".to_owned()).spawn(run).ok()?;
    received.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_given_up() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let slow = || std::thread::sleep(Duration::from_secs(60));
        assert_eq!(within(Duration::from_millis(20), slow), None);
    }
}
