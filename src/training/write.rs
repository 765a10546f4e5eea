//! Files of a training folder appear whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use super::error::TrainingError;
use crate::path_error::PathError;
use crate::publish::publish;

/// Writes a file, replacing one of the same name.
///
/// # Errors
/// The file system's.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    publish::<io::Error>(path, |file| file.write_all(bytes)).map_err(PathError::at(path))?;
    Ok(())
}
