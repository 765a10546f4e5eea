//! A stand-in for a GPU, to hold the engine's speed where there is none: a pass takes as long as it would on a device
//! and gives the CPU's real outputs, which are computed once.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::Hash;
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
    detections: Known<Vec<Vec<Candidate>>>,
    affects: Known<Vec<FaceOutputs>>,
}

/// Outputs by the fingerprint of their batch.
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

    /// The outputs for a batch of pictures, and when they are there.
    pub(super) fn detect<E>(
        &self,
        fingerprint: u64,
        pictures: usize,
        compute: impl FnOnce() -> Result<Vec<Vec<Candidate>>, E>,
    ) -> Result<(Vec<Vec<Candidate>>, Instant), E> {
        let outputs = known(&self.detections, fingerprint, compute)?;
        Ok((outputs, self.end_of_pass(self.times.picture, pictures)))
    }

    /// The outputs for a batch of faces, and when they are there.
    pub(super) fn infer<E>(
        &self,
        fingerprint: u64,
        faces: usize,
        compute: impl FnOnce() -> Result<Vec<FaceOutputs>, E>,
    ) -> Result<(Vec<FaceOutputs>, Instant), E> {
        let outputs = known(&self.affects, fingerprint, compute)?;
        Ok((outputs, self.end_of_pass(self.times.face, faces)))
    }

    /// A pass begins when the ones before have ended.
    fn end_of_pass(&self, item: Duration, items: usize) -> Instant {
        let spent = self.times.launch + item.mul_f64(items as f64);
        let end = self.busy_until.get().max(Instant::now()) + spent;
        self.busy_until.set(end);
        end
    }
}

fn known<K: Hash + Eq + Copy, R: Clone, E>(
    outputs: &Mutex<HashMap<K, R>>,
    key: K,
    compute: impl FnOnce() -> Result<R, E>,
) -> Result<R, E> {
    let lock = || outputs.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(&key) {
        return Ok(known.clone());
    }
    let computed = compute()?;
    lock().insert(key, computed.clone());
    Ok(computed)
}
