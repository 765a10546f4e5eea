//! Training images that are missing or cannot be read: a list for the user, and a limit.

use std::collections::BTreeMap;
use std::path::Path;

use super::dataset::Dataset;
use super::error::TrainingError;
use super::write::write;

/// Lists missing and unreadable training images in the file `list`, if there are any. `unreadable`: the names and the
/// reasons. `most`: the share of all images that may be missing or unreadable.
///
/// # Errors
/// More than `most` of the images, or a list that cannot be written.
pub fn list_unreadable(
    data: &Dataset,
    unreadable: &BTreeMap<String, String>,
    most: f64,
    list: &Path,
) -> Result<(), TrainingError> {
    let missing = data.missing();
    let bad = missing.len() + unreadable.len();
    let missing = missing.iter().map(|name| (name.as_str(), "no such image"));
    let unreadable = unreadable.iter();
    let lines: Vec<String> = missing
        .chain(unreadable.map(|(name, reason)| (name.as_str(), reason.as_str())))
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect();
    let Some(first) = lines.first() else {
        return Ok(());
    };
    write(list, (lines.join("\n") + "\n").as_bytes())?;
    let images = data.samples().len() + data.missing().len();
    match bad as f64 > most * images as f64 {
        false => Ok(()),
        true => Err(TrainingError::TooManyUnreadable {
            bad,
            images,
            first: first.clone(),
            list: list.to_owned(),
        }),
    }
}
