//! What can go wrong with faces.

/// A setting of detection, shots, tracking or alignment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// A setting out of its range.
    #[error("the setting `{name}` must be {range}")]
    Setting {
        /// The key in the pipeline file.
        name: &'static str,
        /// What it must be.
        range: &'static str,
    },
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
