//! Folders of per-video label files, the tasks put together.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::error::Error;
use super::label_file::read_video_labels;
use super::lines::read_file;
use super::{Challenge, FrameLabel};

/// What the folder of a task may be called, as the first word of its name in lower case.
const TASK_NAMES: [(Challenge, &[&str]); 3] = [
    (Challenge::Va, &["va", "valence", "valencearousal"]),
    (
        Challenge::Expr,
        &["expr", "exp", "expression", "expressions", "emotion", "emotions"],
    ),
    (
        Challenge::Au,
        &["au", "aus", "action", "actionunit", "actionunits"],
    ),
];

/// Folders of a task's sets; they are no part of a video's name.
const SETS: [&str; 3] = ["Train_Set", "Validation_Set", "Test_Set"];

/// The labels below a folder.
pub(super) struct FolderLabels {
    /// The videos in order of name, and the labels of each from the first frame on.
    pub videos: Vec<(String, Vec<FrameLabel>)>,
    /// Folders that hold `.txt` files but are not named like a task, so that they were not read.
    pub left_out: Vec<PathBuf>,
}

/// Reads the label files of `root`: of its folders `VA_*`, `EXPR_*`, `AU_*` (or `Expression_*`, ...), or its own if it has
/// none of these.
///
/// # Errors
/// What cannot be read; a folder without label files; a video labelled twice for one task.
pub(super) fn read_label_folder(root: &Path) -> Result<FolderLabels, Error> {
    let mut videos: HashMap<String, Video> = HashMap::new();
    let TaskFolders { tasks, others } = task_folders(root)?;
    for (folder, challenges) in tasks {
        for path in text_files(&folder)? {
            let name = video_name(&folder, &path)?;
            let (challenge, frames) = read_video_labels(&path, &read_file(&path)?, &challenges)?;
            videos
                .entry(name.clone())
                .or_default()
                .add(&name, challenge, path, &frames)?;
        }
    }
    if videos.is_empty() {
        return Err(Error::NoLabels {
            path: root.to_owned(),
        });
    }
    let mut videos: Vec<_> = videos
        .into_iter()
        .map(|(name, video)| (name, video.frames))
        .collect();
    videos.sort_by(|(a, _), (b, _)| a.cmp(b));
    let has_text = |folder: &PathBuf| text_files(folder).is_ok_and(|files| !files.is_empty());
    Ok(FolderLabels {
        videos,
        left_out: others.into_iter().filter(has_text).collect(),
    })
}

/// The labels of a video so far, and the files they are from.
#[derive(Default)]
struct Video {
    frames: Vec<FrameLabel>,
    files: Vec<(Challenge, PathBuf)>,
}

impl Video {
    fn add(
        &mut self,
        name: &str,
        challenge: Challenge,
        file: PathBuf,
        frames: &[FrameLabel],
    ) -> Result<(), Error> {
        if let Some((_, first)) = self.files.iter().find(|(known, _)| *known == challenge) {
            return Err(Error::LabelledTwice {
                video: name.to_owned(),
                first: first.clone(),
                second: file,
            });
        }
        self.files.push((challenge, file));
        if self.frames.len() < frames.len() {
            self.frames.resize(frames.len(), FrameLabel::default());
        }
        for (label, other) in self.frames.iter_mut().zip(frames) {
            label.add(other);
        }
        Ok(())
    }
}

/// The folders below a root.
struct TaskFolders {
    /// Those to read, and what their files may hold.
    tasks: Vec<(PathBuf, Vec<Challenge>)>,
    /// Those beside them.
    others: Vec<PathBuf>,
}

fn task_folders(root: &Path) -> Result<TaskFolders, Error> {
    let (mut tasks, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(root).map_err(Error::reading(root))? {
        let path = entry.map_err(Error::reading(root))?.path();
        match task_of_folder(&path) {
            _ if !path.is_dir() || is_of_an_archive(&path) => {}
            Some(challenge) => tasks.push((path, vec![challenge])),
            None => others.push(path),
        }
    }
    tasks.sort();
    others.sort();
    if tasks.is_empty() {
        let challenges =
            task_of_folder(root).map_or(Challenge::LABELLED_BY_VIDEO.to_vec(), |task| vec![task]);
        tasks.push((root.to_owned(), challenges));
        others.clear();
    }
    Ok(TaskFolders { tasks, others })
}

/// The task in the folder's name: `VA_Estimation_Challenge`, `EXPR_Set`, `Expression_Set`, ...
fn task_of_folder(path: &Path) -> Option<Challenge> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let word = name
        .split(|character: char| !character.is_alphanumeric())
        .next()?;
    TASK_NAMES
        .into_iter()
        .find(|(_, names)| names.contains(&word))
        .map(|(challenge, _)| challenge)
}

/// Hidden files, and what macOS leaves in archives.
fn is_of_an_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "__MACOSX"
}

/// The `.txt` files at any depth, in order of their names, without what macOS leaves in archives.
fn text_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_wanted = |entry: &walkdir::DirEntry| entry.depth() == 0 || !is_of_an_archive(entry.path());
    let mut files = Vec::new();
    for entry in WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_wanted)
    {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            Error::Read {
                path,
                source: error.into(),
            }
        })?;
        if entry.file_type().is_file()
            && entry
                .path()
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("txt"))
        {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// The path below the task's folder, without the sets' folders and the extension.
fn video_name(folder: &Path, path: &Path) -> Result<String, Error> {
    let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let parts: Option<Vec<&str>> = below
        .components()
        .map(Component::as_os_str)
        .filter(|part| !SETS.iter().any(|set| part.eq_ignore_ascii_case(set)))
        .map(|part| part.to_str())
        .collect();
    match parts {
        Some(parts) => Ok(parts.join("/")),
        None => Err(Error::FileName {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{Expression, ValenceArousal};

    const VA: &str = "valence,arousal\n0.1,0.2\n0.3,0.4\n0.5,0.6\n";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn tasks_of_a_video_are_put_together() {
        let expressions = format!("{}\n4\n-1\n", Challenge::Expr.columns());
        let root = tree(&[
            ("VA_Estimation_Challenge/Train_Set/b.txt", VA),
            ("EXPR_Recognition_Challenge/Validation_Set/b.txt", &expressions),
            ("EXPR_Recognition_Challenge/Validation_Set/a.txt", &expressions),
            ("EXPR_Recognition_Challenge/Validation_Set/._a.txt", "\0"),
            ("__MACOSX/VA_Estimation_Challenge/x.txt", "\0"),
            ("readme.txt", "anything"),
        ]);
        let videos = read_label_folder(root.path()).unwrap().videos;
        assert_eq!(
            videos.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!((videos[0].1.len(), videos[1].1.len()), (2, 3));
        let b = &videos[1].1;
        assert_eq!(
            b[0].valence_arousal,
            Some(ValenceArousal {
                valence: 0.1,
                arousal: 0.2
            })
        );
        assert_eq!(b[0].expression, Some(Expression::Happiness));
        assert_eq!((b[1].expression, b[2].expression), (None, None));
        assert!(b[2].valence_arousal.is_some());
    }

    #[test]
    fn one_tasks_folder_or_set_will_do_and_folders_below_are_part_of_the_name() {
        let root = tree(&[
            ("VA_Set/Train_Set/batch1/v.txt", VA),
            ("VA_Set/Validation_Set/w.TXT", VA),
        ]);
        let names = |path: &str| {
            let videos = read_label_folder(&root.path().join(path)).unwrap().videos;
            videos.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["batch1/v", "w"]);
        assert_eq!(names("VA_Set"), ["batch1/v", "w"]);
        assert_eq!(names("VA_Set/Validation_Set"), ["w"]);
    }

    #[test]
    fn folders_of_other_names_are_read_or_named() {
        let expressions = format!("{}\n4\n", Challenge::Expr.columns());
        let units = format!("{}\n0,0,0,0,0,0,0,0,0,0,0,1\n", Challenge::Au.columns());
        let root = tree(&[
            ("VA/v.txt", VA),
            ("Expression_Set/v.txt", &expressions),
            ("AU/v.txt", &units),
            ("arousal again/v.txt", VA),
            ("pictures/v.jpg", ""),
        ]);
        let found = read_label_folder(root.path()).unwrap();
        assert_eq!(found.left_out, [root.path().join("arousal again")]);
        let [(name, frames)] = &found.videos[..] else {
            panic!("one video")
        };
        assert_eq!(name, "v");
        assert!(frames[0].valence_arousal.is_some() && frames[0].expression.is_some());
        assert!(frames[0].all_action_units().is_some());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = |files: &[(&str, &str)]| read_label_folder(tree(files).path()).err().unwrap().to_string();
        let wrong_task = error(&[("EXPR_Set/v.txt", VA)]);
        assert!(
            wrong_task.contains("EXPR_Set/v.txt:1: found `valence,arousal`, expected the header `Neutral,")
        );
        let mtl = error(&[("list.txt", "image,valence,arousal,expression,aus\n")]);
        assert!(
            mtl.ends_with("expected a label file of one video: pass an MTL list by itself"),
            "{mtl}"
        );
        let twice = error(&[
            ("VA_Set/Train_Set/v.txt", VA),
            ("VA_Set/Validation_Set/v.txt", VA),
        ]);
        assert!(twice.starts_with("v: labelled twice, by "), "{twice}");
        assert!(error(&[("notes.md", "")]).contains("no label files here"));
        assert!(error(&[("VA_Set/v.txt", "valence,arousal\n0,0\n0\n")]).contains("v.txt:3: found 1 value"));
    }
}
