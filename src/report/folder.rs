//! The folder of a report: its files and their names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use askama::Template;
use sha2::{Digest, Sha256};

use super::error::ReportError;
use crate::hash::hexadecimal;
use crate::path_error::PathError;
use crate::publish::publish;
use crate::run::{REPORT_MARK, RunFolder, VideoId};

/// Most characters of an id in a file name.
const LONGEST: usize = 80;

/// Styles and scripts of all pages.
const ASSETS: [(&str, &str); 12] = [
    ("style.css", include_str!("assets/style.css")),
    ("overview.js", include_str!("assets/overview.js")),
    ("data.js", include_str!("assets/data.js")),
    ("bands.js", include_str!("assets/bands.js")),
    ("reading.js", include_str!("assets/reading.js")),
    ("plot_file.js", include_str!("assets/plot_file.js")),
    ("timeline.js", include_str!("assets/timeline.js")),
    ("marks.css", include_str!("assets/marks.css")),
    ("marks.js", include_str!("assets/marks.js")),
    ("uPlot.iife.min.js", include_str!("assets/uPlot.iife.min.js")),
    ("uPlot.min.css", include_str!("assets/uPlot.min.css")),
    ("uPlot.LICENSE", include_str!("assets/uPlot.LICENSE")),
];

/// A folder that contains a report and nothing else.
pub struct ReportFolder {
    root: PathBuf,
}

impl ReportFolder {
    /// Creates the folder, or uses one that is empty or contains a report, and writes the assets.
    ///
    /// # Errors
    /// [`ReportError::OtherFiles`], so that no other file is ever replaced; the file system's.
    pub fn prepare(root: &Path) -> Result<Self, ReportError> {
        fs::create_dir_all(root).map_err(PathError::at(root))?;
        // Written before the first page.
        let mark = root.join(REPORT_MARK);
        if !mark.exists() {
            if let Some(other) = fs::read_dir(root).map_err(PathError::at(root))?.next() {
                let name = other.map_err(PathError::at(root))?.file_name();
                return Err(ReportError::OtherFiles {
                    folder: root.to_owned(),
                    found: name.to_string_lossy().into_owned(),
                });
            }
            fs::write(&mark, "").map_err(PathError::at(&mark))?;
        }
        let folder = Self {
            root: root.to_owned(),
        };
        for (name, content) in ASSETS {
            folder.write(&root.join("assets").join(name), content)?;
        }
        Ok(folder)
    }

    /// Writes `index.html`, the last file of a report.
    pub fn write_overview(&self, page: &impl Template) -> Result<(), ReportError> {
        let path = self.root.join("index.html");
        let text = page.render()?;
        publish(&path, |file| file.write_all(text.as_bytes())).map_err(PathError::at(&path))?;
        Ok(())
    }

    /// Writes a video's page.
    pub fn write_page(&self, slug: &str, page: &impl Template) -> Result<(), ReportError> {
        self.write(&self.videos().join(format!("{slug}.html")), &page.render()?)
    }

    /// Writes a video's data script.
    pub fn write_data(&self, slug: &str, script: &str) -> Result<(), ReportError> {
        self.write(&self.videos().join(format!("{slug}.js")), script)
    }

    /// Returns the folder of a video's pictures and overlay, which need not exist.
    pub fn files_of(&self, slug: &str) -> PathBuf {
        self.videos().join(format!("{slug}.files"))
    }

    /// Returns the path of a video's overlay in the run, which need not exist.
    pub fn overlay_path(&self, run: &RunFolder, id: &VideoId) -> PathBuf {
        run.root().join("overlay").join(format!("{id}.mp4"))
    }

    /// Links or copies the overlay of a video into the report. Returns false if there is none.
    pub fn take_overlay(&self, run: &RunFolder, id: &VideoId, slug: &str) -> Result<bool, ReportError> {
        let rendered = self.overlay_path(run, id);
        if !rendered.is_file() {
            return Ok(false);
        }
        let folder = self.files_of(slug);
        fs::create_dir_all(&folder).map_err(PathError::at(&folder))?;
        let ours = folder.join("overlay.mp4");
        match fs::remove_file(&ours) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PathError::at(ours)(error).into());
            }
            _ => {}
        }
        // A link takes no space; it fails on another file system.
        fs::hard_link(&rendered, &ours)
            .or_else(|_| fs::copy(&rendered, &ours).map(drop))
            .map_err(PathError::at(&ours))?;
        Ok(true)
    }

    fn videos(&self) -> PathBuf {
        self.root.join("videos")
    }

    fn write(&self, path: &Path, content: &str) -> Result<(), ReportError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(PathError::at(folder))?;
        }
        Ok(fs::write(path, content).map_err(PathError::at(path))?)
    }
}

/// Returns an id as a file name that is safe on any file system. ASCII letters, digits, `-`, `_` and `.` are kept. If
/// another character was replaced, the name ends in `~` and the first 8 digits of the id's sha256, so that no two ids
/// share a name.
pub fn slug(id: &VideoId) -> String {
    let id = id.as_str();
    let plain: String = id
        .chars()
        .take(LONGEST)
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => letter,
            _ => '-',
        })
        .collect();
    match plain == id && !id.starts_with('.') {
        true => plain,
        false => format!(
            "{}~{}",
            plain.trim_start_matches('.'),
            &hexadecimal(&Sha256::digest(id))[..8]
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slug_of(id: &str) -> String {
        slug(&VideoId::try_from(id.to_owned()).unwrap())
    }

    #[test]
    fn plain_ids_keep_their_names() {
        assert_eq!(slug_of("2-30-640x360_left"), "2-30-640x360_left");
        assert!(slug_of("batch1/v").starts_with("batch1-v~"));
        assert!(slug_of(".hidden").starts_with("hidden~"));
    }

    proptest! {
        #[test]
        fn any_id_becomes_a_safe_name_of_its_own(one in "\\PC{1,300}", other in "\\PC{1,300}") {
            let ids = [one, other].map(VideoId::try_from);
            if let [Ok(one), Ok(other)] = ids {
                for name in [slug(&one), slug(&other)] {
                    prop_assert!(name.len() < 100 && !name.starts_with('.'), "{}", name);
                    prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)));
                }
                prop_assert_eq!(one == other, slug(&one) == slug(&other));
            }
        }
    }

    #[test]
    fn a_folder_with_other_files_is_refused_and_a_report_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("mine");
        ReportFolder::prepare(&mine).unwrap();
        ReportFolder::prepare(&mine).unwrap();
        let refused = ReportFolder::prepare(folder.path()).err().unwrap();
        assert!(matches!(refused, ReportError::OtherFiles { .. }), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
