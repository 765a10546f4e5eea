//! Searches the arguments of a run for its inputs.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::Builder;
use std::time::Duration;

use walkdir::{DirEntry, WalkDir};

use super::file_state::FileState;
use super::ids::{Candidate, assign_ids};
use super::input::{Input, InputError, InputKind, absence};
use super::own_files::{is_own_file, is_own_folder, is_part_of_run};
use super::plan::PlannedInput;
use crate::crops::is_image_name;
use crate::photograph::is_animated_webp;
use crate::video::{VideoSettings, is_video_name};

/// How the arguments of a run are searched.
///
/// ```
/// use abaw::run::{InputKind, Search};
///
/// let found = Search::of(InputKind::Video).collect(&["sample_data/astronaut.mp4".into()])?;
/// assert_eq!(found.inputs[0].id.as_str(), "astronaut");
/// # Ok::<(), abaw::run::InputError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Search<'plan> {
    /// What is searched for.
    pub kind: InputKind,
    /// The inputs that the run has so far: these keep their ids.
    pub earlier: &'plan [PlannedInput],
    /// The time after which a file system that does not answer is given up.
    pub stall: Duration,
}

/// What the arguments of a run lead to.
#[derive(Debug, Default)]
pub struct Found {
    /// The inputs, in the order of the arguments; those of a folder in the order of their names.
    pub inputs: Vec<Input>,
    /// Sentences about what could not be searched, or has another name than one would expect.
    pub warnings: Vec<String>,
    /// What else was found and left out, counted by kind: extensions such as `.txt`, and other things in words.
    pub left_out: BTreeMap<String, u64>,
}

/// A step of a search.
enum Step {
    Candidate(Candidate),
    Warning(String),
    LeftOut(String),
    /// The argument leads to nothing that could be read.
    Nothing(String),
}

impl Search<'_> {
    /// A search for the inputs of a new run.
    pub fn of(kind: InputKind) -> Self {
        Self {
            kind,
            earlier: &[],
            stall: Duration::from_secs(VideoSettings::default().stall_seconds.get().into()),
        }
    }

    /// Lists the inputs that arguments lead to: files, and folders that are searched. A file that is found twice is listed
    /// once.
    ///
    /// A file that does not exist, a link to nothing that is named like a video, a folder without videos and an empty
    /// folder of crops stay in the list, where each fails alone, unless the list has no other input.
    ///
    /// # Errors
    /// [`InputError::NothingToDo`] if no argument leads to a file; [`InputError::SameId`] if inputs would publish to one
    /// name.
    pub fn collect(&self, arguments: &[PathBuf]) -> Result<Found, InputError> {
        let mut found = Found::default();
        let mut candidates = Vec::new();
        let mut reasons = Vec::new();
        for argument in arguments {
            self.search(argument, |step| match step {
                Step::Candidate(candidate) => candidates.push(candidate),
                Step::Warning(warning) => found.warnings.push(warning),
                Step::LeftOut(kind) => *found.left_out.entry(kind).or_default() += 1,
                Step::Nothing(reason) => reasons.push(reason),
            });
        }
        if !candidates.iter().any(|candidate| candidate.is_there) {
            return Err(InputError::NothingToDo { reasons });
        }
        let mut places = HashSet::new();
        candidates.retain(|candidate| places.insert(candidate.place.clone()));
        let (ids, hints) = assign_ids(&candidates, self.earlier, self.stall)?;
        found.warnings.extend(hints);
        let inputs = candidates.into_iter().zip(ids).map(|(candidate, id)| Input {
            id,
            path: candidate.path,
            kind: candidate.kind,
            bytes: candidate.state.bytes,
            modified: candidate.state.modified,
        });
        found.inputs = inputs.collect();
        Ok(found)
    }

    /// Searches one argument on a thread of its own, since a dead network mount may never answer.
    fn search(&self, argument: &Path, mut take: impl FnMut(Step)) {
        let (steps, received) = mpsc::channel();
        let (kind, path) = (self.kind, argument.to_owned());
        let searching = move || search_argument(&path, kind, &steps);
        if let Err(error) = Builder::new().name("search".to_owned()).spawn(searching) {
            return take(Step::Warning(format!("{}: {error}", argument.display())));
        }
        loop {
            match received.recv_timeout(self.stall) {
                Ok(step) => take(step),
                Err(RecvTimeoutError::Disconnected) => return,
                // Its reader meets the same silence, and records it as the failure of this input.
                Err(RecvTimeoutError::Timeout) => return take(Step::Candidate(unanswered(argument, kind))),
            }
        }
    }
}

/// An argument whose file system does not answer.
fn unanswered(argument: &Path, kind: InputKind) -> Candidate {
    let name = PathBuf::from(argument.file_name().unwrap_or(OsStr::new("folder")));
    Candidate {
        path: argument.to_owned(),
        kind,
        stem: name.with_extension(""),
        below: name,
        place: argument.to_owned(),
        state: FileState::default(),
        is_there: true,
    }
}

/// Sends what an argument leads to. Stops when nobody listens any more.
fn search_argument(argument: &Path, kind: InputKind, steps: &Sender<Step>) {
    let found = match kind {
        InputKind::Video | InputKind::Image => search_files(argument, kind, steps),
        InputKind::Crops => search_crops(argument, steps),
    };
    if let Ok(Some(reason)) = found {
        let _ = steps.send(Step::Nothing(reason));
    }
}

/// Nobody listens any more.
struct Unheard;

impl<T> From<mpsc::SendError<T>> for Unheard {
    fn from(_: mpsc::SendError<T>) -> Self {
        Self
    }
}

/// Searches for videos, or for images. Returns why there is none, if there is none.
fn search_files(argument: &Path, wanted: InputKind, steps: &Sender<Step>) -> Result<Option<String>, Unheard> {
    let own_name = PathBuf::from(argument.file_name().unwrap_or(OsStr::new("folder")));
    if !argument.is_dir() {
        if is_own_file(argument) {
            let warning = format!("{}: a film that `abaw render` made, no input", argument.display());
            steps.send(Step::Warning(warning.clone()))?;
            return Ok(Some(warning));
        }
        let kind = if is_image_name(argument) {
            InputKind::Image
        } else {
            wanted
        };
        let file = candidate(argument, kind, own_name.with_extension(""), own_name);
        let is_there = file.is_there;
        steps.send(Step::Candidate(file))?;
        return Ok((!is_there).then(|| absence(argument, wanted)));
    }
    let kind_wanted = |path: &Path| match wanted {
        InputKind::Image => is_image_name(path).then_some(InputKind::Image),
        // Pictures that move are videos; photographs beside videos are not meant.
        _ if is_animated_webp(path) => Some(InputKind::Image),
        _ => is_video_name(path).then_some(InputKind::Video),
    };
    let (mut listed, mut is_there) = (false, false);
    walk(argument, wanted, steps, |path, is_folder| {
        if is_folder {
            return Ok(());
        }
        let Some(kind) = kind_wanted(path) else {
            return Ok(steps.send(Step::LeftOut(kind_of(path)))?);
        };
        if is_own_file(path) {
            return Ok(steps.send(Step::LeftOut("films of abaw".to_owned()))?);
        }
        let below = path.strip_prefix(argument).unwrap_or(path);
        let file = candidate(path, kind, below.with_extension(""), below.to_owned());
        (listed, is_there) = (true, is_there | file.is_there);
        Ok(steps.send(Step::Candidate(file))?)
    })?;
    if !listed {
        let mut nothing = candidate(argument, wanted, own_name.clone(), own_name);
        nothing.is_there = false;
        steps.send(Step::Candidate(nothing))?;
    }
    Ok((!is_there).then(|| absence(argument, wanted)))
}

/// Returns why there is no image, if there is none.
fn search_crops(argument: &Path, steps: &Sender<Step>) -> Result<Option<String>, Unheard> {
    let mut folders: BTreeMap<PathBuf, u64> = BTreeMap::new();
    if argument.is_dir() {
        walk(argument, InputKind::Crops, steps, |path, is_folder| {
            if is_folder {
                // The empty folder of a video whose crops are missing is reported as a failed input.
                if path.read_dir().is_ok_and(|mut entries| entries.next().is_none()) {
                    folders.entry(path.to_owned()).or_default();
                }
                return Ok(());
            }
            match path.parent().filter(|_| is_image_name(path)) {
                Some(folder) => *folders.entry(folder.to_owned()).or_default() += 1,
                None => steps.send(Step::LeftOut(kind_of(path)))?,
            }
            Ok(())
        })?;
    }
    if folders.is_empty() {
        folders.insert(argument.to_owned(), 0);
    }
    let own_name = PathBuf::from(argument.file_name().unwrap_or(OsStr::new("crops")));
    let mut is_there = false;
    for (path, images) in folders {
        let below = path.strip_prefix(argument).unwrap_or(Path::new(""));
        let name = match below.as_os_str().is_empty() {
            true => own_name.clone(),
            false => below.to_owned(),
        };
        let mut folder = candidate(&path, InputKind::Crops, name.clone(), name);
        folder.state.bytes = images;
        folder.is_there = images > 0;
        is_there |= folder.is_there;
        steps.send(Step::Candidate(folder))?;
    }
    Ok((!is_there).then(|| absence(argument, InputKind::Crops)))
}

fn candidate(path: &Path, kind: InputKind, stem: PathBuf, below: PathBuf) -> Candidate {
    let state = match kind {
        InputKind::Video | InputKind::Image => FileState::of(path, kind),
        InputKind::Crops => None,
    };
    Candidate {
        place: place(path).unwrap_or_else(|_| path.to_owned()),
        is_there: state.is_some() && !path.is_dir(),
        state: state.unwrap_or_default(),
        path: path.to_owned(),
        kind,
        stem,
        below,
    }
}

/// The path with all folders resolved. A link to a file stays a file of its own: its name may be meant.
fn place(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => Ok(path),
    }
}

/// The extension of a file, in lower case and with its dot.
fn kind_of(path: &Path) -> String {
    match path.extension() {
        Some(extension) => format!(".{}", extension.to_string_lossy().to_lowercase()),
        None => "files without extension".to_owned(),
    }
}

/// Visits files and folders below a folder that are not hidden and not the program's own, in the order of names; links are
/// followed. `visit` gets a path and whether it is a folder. What cannot be visited is a warning each, but for names that
/// `visit` takes for a file: a link to nothing that is named like a video is meant as one.
fn walk(
    folder: &Path,
    wanted: InputKind,
    steps: &Sender<Step>,
    mut visit: impl FnMut(&Path, bool) -> Result<(), Unheard>,
) -> Result<(), Unheard> {
    let walking = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .min_depth(1);
    let mut entries = walking.into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if is_hidden(entry.path()) => skip(&entry, &mut entries),
            Ok(entry) if entry.file_type().is_dir() => {
                let path = entry.path();
                if entry.path_is_symlink() && leads_above(path, folder) {
                    steps.send(Step::Warning(looped(path)))?;
                    entries.skip_current_dir();
                } else if is_own_folder(path) || is_part_of_run(path) {
                    steps.send(Step::LeftOut("folders of abaw".to_owned()))?;
                    entries.skip_current_dir();
                } else {
                    visit(path, true)?;
                }
            }
            Ok(entry) => visit(entry.path(), false)?,
            Err(error) => match error.path() {
                Some(path) if is_hidden(path) => {}
                Some(path) if is_named_input(path, wanted) && error.loop_ancestor().is_none() => {
                    visit(path, false)?
                }
                _ => steps.send(Step::Warning(why_not_visited(&error)))?,
            },
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_named_input(path: &Path, wanted: InputKind) -> bool {
    match wanted {
        InputKind::Video => is_video_name(path),
        InputKind::Crops | InputKind::Image => is_image_name(path),
    }
}

fn skip(entry: &DirEntry, entries: &mut walkdir::IntoIter) {
    if entry.file_type().is_dir() {
        entries.skip_current_dir();
    }
}

/// Whether a link leads to a folder that contains the one that is searched.
fn leads_above(link: &Path, folder: &Path) -> bool {
    let targets = link.canonicalize().ok().zip(folder.canonicalize().ok());
    targets.is_some_and(|(target, folder)| folder.starts_with(target))
}

fn looped(link: &Path) -> String {
    format!(
        "{}: a link to a folder above it, which is not searched",
        link.display()
    )
}

fn why_not_visited(error: &walkdir::Error) -> String {
    let path = error.path().unwrap_or(Path::new("?"));
    if error.loop_ancestor().is_some() {
        return looped(path);
    }
    let path = path.display();
    match error.io_error() {
        Some(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{path}: a link to nothing, left out")
        }
        Some(error) => format!("{path}: left out: {error}"),
        None => format!("{path}: left out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn touch(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn collect(arguments: &[PathBuf], kind: InputKind) -> Result<Vec<Input>, InputError> {
        Search::of(kind).collect(arguments).map(|found| found.inputs)
    }

    fn ids(inputs: &[Input]) -> Vec<&str> {
        inputs.iter().map(|input| input.id.as_str()).collect()
    }

    #[test]
    fn a_folder_gives_its_videos_by_path_below_it() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("batch2/a.b.MP4"));
        touch(folder.path().join("batch1/z.avi"));
        touch(folder.path().join("batch1/notes.txt"));
        touch(folder.path().join(".cache/x.mp4"));
        let found = Search::of(InputKind::Video)
            .collect(&[folder.path().to_owned()])
            .unwrap();
        assert_eq!(ids(&found.inputs), ["batch1/z", "batch2/a.b"]);
        assert_eq!(found.left_out, BTreeMap::from([(".txt".to_owned(), 1)]));
    }

    #[test]
    fn what_is_missing_fails_alone_beside_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there.mp4");
        let missing = folder.path().join("missing.mp4");
        touch(there.clone());
        assert_eq!(
            ids(&collect(&[missing.clone(), there], InputKind::Video).unwrap()),
            ["missing", "there"]
        );
        assert!(matches!(
            collect(&[missing], InputKind::Video),
            Err(InputError::NothingToDo { .. })
        ));
    }

    #[test]
    fn what_cannot_be_visited_is_one_warning_and_names_of_videos_stay() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("good.mp4"));
        symlink("nowhere.mp4", folder.path().join("missing.mp4")).unwrap();
        symlink("nowhere.txt", folder.path().join("note.txt")).unwrap();
        symlink("..", folder.path().join("up")).unwrap();
        symlink(".", folder.path().join("self")).unwrap();
        let found = Search::of(InputKind::Video)
            .collect(&[folder.path().to_owned()])
            .unwrap();
        assert_eq!(ids(&found.inputs), ["good", "missing"]);
        assert_eq!(found.warnings.len(), 3, "{:#?}", found.warnings);
    }

    #[test]
    fn one_file_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("day/a.mp4"));
        symlink("day", folder.path().join("newest")).unwrap();
        let file = folder.path().join("day/../day/a.mp4");
        let inputs = collect(&[file.clone(), folder.path().to_owned(), file], InputKind::Video).unwrap();
        assert_eq!(ids(&inputs), ["a"]);
    }

    #[test]
    fn a_folder_of_crops_and_a_folder_of_such_folders() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path().join("341/00001.jpg"));
        touch(folder.path().join("341/00007.png"));
        touch(folder.path().join("left/9/00001.jpg"));
        touch(folder.path().join("notes/readme.txt"));
        fs::create_dir(folder.path().join("empty")).unwrap();
        let all = collect(&[folder.path().to_owned()], InputKind::Crops).unwrap();
        assert_eq!(ids(&all), ["341", "empty", "left/9"]);
        assert_eq!(all[0].bytes, 2);
        assert_eq!(
            ids(&collect(&[folder.path().join("341")], InputKind::Crops).unwrap()),
            ["341"]
        );
    }
}
