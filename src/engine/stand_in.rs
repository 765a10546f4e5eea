//! A stand-in for a GPU, to hold the engine's speed where there is none: a pass takes as long as it would on a device
//! and gives the CPU's real outputs, which are computed once.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::face::Candidate;
use crate::model::FaceOutputs;

/// How long passes take on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassTimes {
    /// Each pass.
    pub launch: Duration,
    /// Each picture before the detector, beside the launch.
    pub picture: Duration,
    /// Each face before the affect networks, beside the launch.
    pub face: Duration,
}

/// A device that is not there. A clone has the same outputs and a time of its own.
#[derive(Debug, Clone)]
pub struct StandIn {
    times: PassTimes,
    /// When the passes given so far have ended.
    busy_until: Cell<Instant>,
    detections: Known<Vec<Candidate>>,
    affects: Known<FaceOutputs>,
}

/// Outputs by the fingerprint of their picture or face: which share a batch differs from run to run.
type Known<R> = Arc<Mutex<HashMap<u64, R>>>;

impl StandIn {
    /// A stand-in that has seen nothing.
    pub fn new(times: PassTimes) -> Self {
        Self {
            times,
            busy_until: Cell::new(Instant::now()),
            detections: Known::default(),
            affects: Known::default(),
        }
    }

    /// The outputs for a batch of pictures of these fingerprints, and when they are there.
    pub(super) fn detect<E>(
        &self,
        pictures: &[u64],
        compute: impl FnOnce() -> Result<Vec<Vec<Candidate>>, E>,
    ) -> Result<(Vec<Vec<Candidate>>, Instant), E> {
        let outputs = known(&self.detections, pictures, compute)?;
        Ok((outputs, self.end_of_pass(self.times.picture, pictures.len())))
    }

    /// The outputs for a batch of faces of these fingerprints, and when they are there.
    pub(super) fn infer<E>(
        &self,
        faces: &[u64],
        compute: impl FnOnce() -> Result<Vec<FaceOutputs>, E>,
    ) -> Result<(Vec<FaceOutputs>, Instant), E> {
        let outputs = known(&self.affects, faces, compute)?;
        Ok((outputs, self.end_of_pass(self.times.face, faces.len())))
    }

    /// A pass begins when the ones before have ended.
    fn end_of_pass(&self, item: Duration, items: usize) -> Instant {
        let spent = self.times.launch + item.mul_f64(items as f64);
        let end = self.busy_until.get().max(Instant::now()) + spent;
        self.busy_until.set(end);
        end
    }
}

fn known<R: Clone, E>(
    outputs: &Mutex<HashMap<u64, R>>,
    items: &[u64],
    compute: impl FnOnce() -> Result<Vec<R>, E>,
) -> Result<Vec<R>, E> {
    let lock = || outputs.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Option<Vec<R>> = {
        let known = lock();
        items.iter().map(|item| known.get(item).cloned()).collect()
    };
    if let Some(all) = all {
        return Ok(all);
    }
    let computed = compute()?;
    lock().extend(items.iter().copied().zip(computed.iter().cloned()));
    Ok(computed)
}
