//! What the page needs to keep marks apart and to save them as `export` reads them.

use serde::Serialize;

use crate::export::{MARKS_FORMAT, MARKS_VERSION};
use crate::run::{RunReader, VideoId};

/// Whose marks the page keeps, as a part of its data script.
#[derive(Serialize)]
pub struct Marking<'a> {
    format: &'static str,
    version: u32,
    /// The name under which the browser keeps the marks: of one video in one run, and the same after another report or
    /// other post-processing.
    key: String,
    /// The name of the run's folder.
    run: String,
    settings_hash: &'a str,
    video: &'a str,
    /// The page's name without extension, which the names of saved files begin with.
    slug: &'a str,
}

impl<'a> Marking<'a> {
    /// That of a video.
    pub fn of(run: &'a RunReader, id: &'a VideoId, slug: &'a str) -> Self {
        let root = run.folder().root();
        // `abaw report .` has a name, too.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = root
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let plan = run.plan();
        Self {
            format: MARKS_FORMAT,
            version: MARKS_VERSION,
            key: format!("{MARKS_FORMAT}/{name}/{}/{id}", plan.raw_settings_hash),
            run: name,
            settings_hash: &plan.settings_hash,
            video: id.as_str(),
            slug,
        }
    }
}
