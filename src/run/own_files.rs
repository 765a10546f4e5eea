//! Folders and files that this program wrote, which are never an input.

use std::path::Path;

use crate::video::is_own_film;

/// The file that marks a folder as a report.
pub const REPORT_MARK: &str = ".abaw-report";

/// The folders that runs have inside.
const RUN_FOLDERS: [&str; 5] = ["frames", "failures", "overlay", "features", "submissions"];

/// Whether a folder is a run or a report.
pub fn is_own_folder(folder: &Path) -> bool {
    is_run(folder) || folder.join(REPORT_MARK).exists()
}

/// Whether a path is that of a folder in a run that the program fills. Videos may lie beside them, where the run's folder
/// is that of its videos.
pub fn is_part_of_run(path: &Path) -> bool {
    let is_named_so = path
        .file_name()
        .is_some_and(|name| RUN_FOLDERS.iter().any(|known| name == *known));
    is_named_so && path.parent().is_some_and(is_run)
}

/// Whether a file is one that the program wrote.
pub fn is_own_file(file: &Path) -> bool {
    is_own_film(file)
}

fn is_run(folder: &Path) -> bool {
    folder.join("plan.json").is_file() && folder.join("frames").is_dir()
}
