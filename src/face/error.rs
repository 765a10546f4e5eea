//! What can go wrong with faces.

use std::path::PathBuf;

use tch::TchError;

/// Why no faces could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The weight file is missing or no safetensors file.
    #[error("cannot read the detector's weights {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: TchError },
    /// The weight file holds something else than RetinaFace mobilenet0.25.
    #[error("{} does not hold a RetinaFace mobilenet0.25: {problem}", path.display())]
    Misfit { path: PathBuf, problem: String },
    /// A setting out of its range.
    #[error("the setting `{name}` must be {range}")]
    Setting { name: &'static str, range: &'static str },
    /// libtorch failed: out of memory, no such device.
    #[error("the face detector failed: {0}")]
    Torch(#[from] TchError),
}

impl FaceError {
    /// Refuses the first of these settings that does not hold.
    pub(super) fn unless(
        holds: impl Fn(f64) -> bool,
        range: &'static str,
        settings: &[(&'static str, f64)],
    ) -> Result<(), FaceError> {
        match settings.iter().find(|(_, value)| !holds(*value)) {
            Some(&(name, _)) => Err(FaceError::Setting { name, range }),
            None => Ok(()),
        }
    }
}
