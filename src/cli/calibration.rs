//! Reads the calibration files that `abaw tune` writes.

use std::error::Error;
use std::path::Path;

use abaw::error_chain::sentence;
use abaw::postprocess::{PostprocessSettings, Preset};
use abaw::tuning::Calibration;

/// Returns the text of a calibration file, and the settings in it.
pub fn read(path: &Path) -> Result<(String, Preset), String> {
    let text = std::fs::read_to_string(path).map_err(|error| of_file(path, &error))?;
    let preset = Calibration::preset_of(&text).map_err(|error| of_file(path, &error))?;
    Ok((text, preset))
}

/// Reads a calibration file for a run, and warns of what the run's own settings override.
pub fn read_for(path: &Path, settings: &PostprocessSettings) -> Result<Preset, String> {
    let (_, preset) = read(path)?;
    let overruled = settings
        .overruled(&preset)
        .map_err(|error| of_file(path, &error))?;
    if !overruled.is_empty() {
        tracing::warn!(
            "the pipeline file sets {} itself; these settings of the calibration are not used",
            overruled.join(", ")
        );
    }
    Ok(preset)
}

fn of_file(path: &Path, error: &dyn Error) -> String {
    format!("calibration {}: {}", path.display(), sentence(error))
}
