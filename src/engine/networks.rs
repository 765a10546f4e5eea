//! The networks of one thread, and their passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::stand_in::StandIn;
use crate::cuda;
use crate::error_chain::sentence;
use crate::face::Candidate;
use crate::model::{
    Detector, Ensemble, FaceBatch, FaceOutputs, FrameBatch, IdentityNetwork, PendingDetections,
    PendingInference,
};

/// The networks of one thread. A clone is for another thread; it shares the weights.
#[derive(Debug, Clone)]
pub struct Networks {
    /// Finds faces.
    pub detector: Detector,
    /// Annotate faces.
    pub affect: Ensemble,
    /// Tells people apart, if tracks of one person are to be joined. It runs on the CPU, and all threads share it.
    pub identity: Option<Arc<IdentityNetwork>>,
    /// Present if the affect networks may use TF32; the detector computes in f32 in any case. Locked while a pass is
    /// given to a device, since libtorch's switch is one for the process, with a thread for each device.
    pub tf32: Option<Arc<Mutex<()>>>,
    /// A device to take the time of passes from, in place of their own.
    pub stand_in: Option<StandIn>,
}

/// A pass that may still run, or whose outputs a stand-in has until then.
pub enum Pass<P, R> {
    Given(P),
    StandIn(Vec<R>, Instant),
}

/// A pass of the detector.
pub type DetectorPass = Pass<PendingDetections, Vec<Candidate>>;
/// A pass of the affect networks.
pub type AffectPass = Pass<PendingInference, FaceOutputs>;

impl Networks {
    /// Gives the device a pass of the detector. The error is a sentence.
    pub fn submit_frames(&self, batch: FrameBatch) -> Result<DetectorPass, String> {
        let Some(stand_in) = &self.stand_in else {
            let _tf32_is_off = self.tf32.as_deref().map(lock);
            return Ok(Pass::Given(
                self.detector.submit(batch).map_err(|error| sentence(&error))?,
            ));
        };
        let (outputs, end) = stand_in.detect(&batch.fingerprints(), || {
            let pass = self
                .detector
                .submit(batch)
                .and_then(|pass| self.detector.finish(pass));
            pass.map_err(|error| sentence(&error))
        })?;
        Ok(Pass::StandIn(outputs, end))
    }

    /// Waits for a pass of the detector: the candidates of each picture. The error is a sentence.
    pub fn finish_frames(&self, pass: DetectorPass) -> Result<Vec<Vec<Candidate>>, String> {
        match pass {
            Pass::Given(pass) => self.detector.finish(pass).map_err(|error| sentence(&error)),
            Pass::StandIn(outputs, end) => Ok(wait(outputs, end)),
        }
    }

    /// Gives the device a pass of the affect networks. The error is a sentence.
    pub fn submit_faces(&self, batch: FaceBatch) -> Result<AffectPass, String> {
        let Some(stand_in) = &self.stand_in else {
            return self.with_tf32(|| {
                Ok(Pass::Given(
                    self.affect.submit(batch).map_err(|error| sentence(&error))?,
                ))
            });
        };
        let (outputs, end) = stand_in.infer(&batch.fingerprints(), || {
            let pass = self
                .affect
                .submit(batch)
                .and_then(|pass| self.affect.finish(pass));
            pass.map_err(|error| sentence(&error))
        })?;
        Ok(Pass::StandIn(outputs, end))
    }

    /// Waits for a pass of the affect networks: the outputs for each face. The error is a sentence.
    pub fn finish_faces(&self, pass: AffectPass) -> Result<Vec<FaceOutputs>, String> {
        match pass {
            Pass::Given(pass) => self.affect.finish(pass).map_err(|error| sentence(&error)),
            Pass::StandIn(outputs, end) => Ok(wait(outputs, end)),
        }
    }

    fn with_tf32<T>(&self, submit: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let Some(switch) = self.tf32.as_deref() else {
            return submit();
        };
        let _locked = lock(switch);
        cuda::allow_tf32(true).map_err(|error| sentence(&error))?;
        let submitted = submit();
        cuda::allow_tf32(false).map_err(|error| sentence(&error))?;
        submitted
    }
}

fn lock(switch: &Mutex<()>) -> MutexGuard<'_, ()> {
    switch.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<R>(outputs: Vec<R>, end: Instant) -> Vec<R> {
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    outputs
}
