//! What can go wrong with the face detector.

use std::path::PathBuf;

use tch::TchError;

use super::weights::WeightsError;
use crate::cuda::CudaError;
use crate::face::FaceError;

/// Why the face detector does not run.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The weight file is missing or no safetensors file.
    #[error("cannot read the face detector's weights")]
    Unreadable(#[source] WeightsError),
    /// The weight file holds something else than RetinaFace mobilenet0.25.
    #[error("{} does not hold a RetinaFace mobilenet0.25: {problem}", path.display())]
    Misfit {
        /// The weight file.
        path: PathBuf,
        /// The first tensor that is missing or has the wrong shape.
        problem: String,
    },
    /// A setting out of its range.
    #[error(transparent)]
    Setting(#[from] FaceError),
    /// libtorch failed: out of memory, no such device.
    #[error("the face detector failed")]
    Torch(#[from] TchError),
    /// CUDA's runtime failed.
    #[error("the face detector failed")]
    Cuda(#[from] CudaError),
}
