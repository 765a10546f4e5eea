//! A folder with small clips, the program, and what it leaves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::table;
use serde_json::Value;

use super::{Contents, abaw, sample};

/// A folder for one test; it goes with it.
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    pub fn new() -> Self {
        let workspace = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        workspace.pipeline("[detector]\nlong_side = 96\n");
        workspace
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the pipeline file that all commands of this workspace name.
    pub fn pipeline(&self, toml: &str) {
        std::fs::write(self.path("pipeline.toml"), toml).unwrap();
    }

    /// A clip of a moving picture without faces.
    pub fn clip(&self, name: impl AsRef<Path>, frames: u32) -> PathBuf {
        self.ffmpeg("-f lavfi -i testsrc2=size=96x64:rate=25", frames, name.as_ref())
    }

    /// A clip of the astronaut, small, repeated as needed.
    pub fn face_clip(&self, name: impl AsRef<Path>, frames: u32) -> PathBuf {
        let astronaut = sample("astronaut.mp4");
        let arguments = format!("-stream_loop -1 -i {} -vf scale=128:96", astronaut.display());
        self.ffmpeg(&arguments, frames, name.as_ref())
    }

    /// A clip that the ffmpeg tool makes; `arguments` are split at spaces.
    pub fn ffmpeg(&self, arguments: &str, frames: u32, name: &Path) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Through a plain name: ffmpeg reads `%03d` and `:` in its own way.
        let plain = self.path("being_made.mkv");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-nostdin"])
            .args(arguments.split(' '))
            .args(["-frames:v", &frames.to_string()])
            .args("-an -pix_fmt yuv420p -c:v libx264 -preset ultrafast".split(' '))
            .arg(&plain)
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::rename(plain, &path).unwrap();
        path
    }

    /// `abaw annotate INPUTS --out RUN`, not started yet.
    pub fn annotate(&self, inputs: &[impl AsRef<OsStr>], run: &Path) -> Command {
        self.annotate_with(&[] as &[&str], inputs, run)
    }

    /// The same with more options.
    pub fn annotate_with(
        &self,
        options: &[impl AsRef<OsStr>],
        inputs: &[impl AsRef<OsStr>],
        run: &Path,
    ) -> Command {
        let mut command = abaw();
        command
            .arg("annotate")
            .args(options)
            .args(["--device", "cpu", "--pipeline"]);
        command.arg(self.path("pipeline.toml"));
        command.arg("--out").arg(run).arg("--").args(inputs);
        command
    }
}

/// All tables of a run by their path below `frames/`, in order.
pub fn tables(run: &Path) -> Vec<(PathBuf, Contents)> {
    let folder = run.join("frames");
    let tables = files(&folder).into_iter().filter(|path| !is_unfinished(path));
    tables
        .map(|path| {
            let contents = table::read(&path).unwrap_or_else(|error| panic!("half a table: {error}"));
            (path.strip_prefix(&folder).unwrap().to_owned(), contents)
        })
        .collect()
}

/// The columns of all tables of a run, byte for byte as they are on the disk: everything but the Parquet
/// metadata, whose own words are compared by [`tables`].
pub fn columns(run: &Path) -> Vec<Vec<u8>> {
    let tables = files(&run.join("frames")).into_iter();
    let columns = tables.filter(|path| !is_unfinished(path)).map(|path| {
        let mut bytes = std::fs::read(path).unwrap();
        // The file ends in the metadata, its length and `PAR1`.
        let length: [u8; 4] = bytes[bytes.len() - 8..][..4].try_into().unwrap();
        bytes.truncate(bytes.len() - 8 - u32::from_le_bytes(length) as usize);
        bytes
    });
    columns.collect()
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

pub fn is_unfinished(path: &Path) -> bool {
    path.file_name()
        .unwrap()
        .as_encoded_bytes()
        .starts_with(b".unfinished-")
}

/// Asserts that a run's folder holds whole files only, and none that was given up.
#[track_caller]
pub fn assert_tidy(run: &Path) {
    for path in files(run) {
        assert!(!is_unfinished(&path), "{}", path.display());
        match path.extension().and_then(OsStr::to_str) {
            Some("parquet") => drop(table::read(&path).unwrap()),
            _ => drop(serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap()),
        }
    }
}
