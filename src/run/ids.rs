//! Gives inputs their ids, apart from each other and from those that a run has already.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file_state::FileState;
use super::input::{InputError, InputKind, VideoId};
use super::path::absolute;
use super::plan::PlannedInput;

/// Names in a hint.
const NAMED: usize = 4;

/// A file or folder that is to be an input.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The path as it was found.
    pub path: PathBuf,
    /// Video or crops.
    pub kind: InputKind,
    /// Its path below the argument without the extension of a video.
    pub stem: PathBuf,
    /// Its path below the argument.
    pub below: PathBuf,
    /// Its path with all folders resolved, the same for one file that is found twice.
    pub place: PathBuf,
    /// Its size and time.
    pub state: FileState,
    /// Whether there is something to read.
    pub is_there: bool,
}

/// The forms of a name, each longer than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Without the extension.
    Stem,
    /// With the extension: several containers have one stem, in equal or different case.
    Whole,
    /// The same, with bytes that are not UTF-8 as `%E9`.
    Escaped,
}

/// The id of each candidate, and sentences about those that are not the path without its extension.
///
/// An input of the run so far keeps its id, also when its file has moved. Where stems meet, in equal or different case,
/// the extension is kept.
pub(super) fn assign_ids(
    candidates: &[Candidate],
    earlier: &[PlannedInput],
    stall: Duration,
) -> Result<(Vec<VideoId>, Vec<String>), InputError> {
    let mut names = Names::new(candidates, earlier, stall);
    names.keep_extensions();
    names.escape_bytes();
    let ids = names.ids()?;
    let clashes = names.clashes(&ids);
    if !clashes.is_empty() {
        return Err(InputError::SameId { clashes });
    }
    let hints = names.hints(&ids);
    Ok((ids, hints))
}

struct Names<'a> {
    candidates: &'a [Candidate],
    /// The form of each candidate's name; `None` if it has the id in `kept`.
    forms: Vec<Option<Form>>,
    kept: Vec<Option<VideoId>>,
    /// Inputs of the run that no candidate stands for.
    others: Vec<&'a PlannedInput>,
}

impl<'a> Names<'a> {
    fn new(candidates: &'a [Candidate], earlier: &'a [PlannedInput], stall: Duration) -> Self {
        let paths: Vec<PathBuf> = candidates
            .iter()
            .map(|candidate| absolute(&candidate.path))
            .collect();
        let by_path: HashMap<&Path, &PlannedInput> = earlier
            .iter()
            .map(|input| (input.path.as_path(), input))
            .collect();
        let mut kept: Vec<Option<VideoId>> = paths
            .iter()
            .map(|path| by_path.get(path.as_path()).map(|input| input.id.clone()))
            .collect();
        let asked: HashSet<&VideoId> = kept.iter().flatten().collect();
        let mut others: BTreeMap<&VideoId, &PlannedInput> = earlier
            .iter()
            .filter(|input| !asked.contains(&input.id))
            .map(|input| (&input.id, input))
            .collect();
        for (kept, candidate) in kept.iter_mut().zip(candidates) {
            if kept.is_some() {
                continue;
            }
            // A file that has moved: its id is known, and nothing is left at the old path.
            let moved = [Form::Stem, Form::Whole].into_iter().find_map(|form| {
                let id = VideoId::try_from(name(candidate, form)).ok()?;
                let known = others.get(&id)?;
                FileState::within(stall, &known.path, known.kind)
                    .is_none()
                    .then_some(id)
            });
            if let Some(id) = moved {
                others.remove(&id);
                *kept = Some(id);
            }
        }
        Self {
            candidates,
            forms: kept
                .iter()
                .map(|kept| kept.is_none().then_some(Form::Stem))
                .collect(),
            kept,
            others: others.into_values().collect(),
        }
    }

    fn name(&self, at: usize) -> String {
        match (&self.kept[at], self.forms[at]) {
            (Some(id), _) => id.as_str().to_owned(),
            (None, form) => name(&self.candidates[at], form.unwrap_or(Form::Stem)),
        }
    }

    /// Keeps the extensions of stems that are equal but for their case, where that tells them apart.
    fn keep_extensions(&mut self) {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in 0..self.candidates.len() {
            groups.entry(self.name(at).to_lowercase()).or_default().push(at);
        }
        let others: HashSet<String> = self
            .others
            .iter()
            .map(|input| input.id.as_str().to_lowercase())
            .collect();
        for (name_of_group, group) in groups {
            if group.len() == 1 && !others.contains(&name_of_group) {
                continue;
            }
            let movable: Vec<usize> = group.into_iter().filter(|&at| self.forms[at].is_some()).collect();
            let whole: HashSet<String> = movable
                .iter()
                .map(|&at| name(&self.candidates[at], Form::Whole).to_lowercase())
                .collect();
            if whole.len() == movable.len() {
                movable
                    .into_iter()
                    .for_each(|at| self.forms[at] = Some(Form::Whole));
            }
        }
    }

    /// Escapes names that are equal as text.
    fn escape_bytes(&mut self) {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in 0..self.candidates.len() {
            groups.entry(self.name(at)).or_default().push(at);
        }
        for at in groups.into_values().filter(|group| group.len() > 1).flatten() {
            let is_text = self.candidates[at].below.to_str().is_some();
            if let (Some(form), false) = (&mut self.forms[at], is_text) {
                *form = Form::Escaped;
            }
        }
    }

    fn ids(&self) -> Result<Vec<VideoId>, InputError> {
        (0..self.candidates.len())
            .map(|at| VideoId::try_from(self.name(at)))
            .collect()
    }

    /// Each id that several inputs would have, with their paths.
    fn clashes(&self, ids: &[VideoId]) -> Vec<String> {
        let mut paths: BTreeMap<&VideoId, Vec<&Path>> = BTreeMap::new();
        for (id, candidate) in ids.iter().zip(self.candidates) {
            paths.entry(id).or_default().push(&candidate.path);
        }
        for input in &self.others {
            if let Some(paths) = paths.get_mut(&input.id) {
                paths.push(&input.path);
            }
        }
        let clashing = paths.into_iter().filter(|(_, paths)| paths.len() > 1);
        let texts = clashing.map(|(id, paths)| {
            let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
            format!("`{id}`: {}", paths.join(", "))
        });
        texts.collect()
    }

    fn hints(&self, ids: &[VideoId]) -> Vec<String> {
        let mut hints = Vec::new();
        let with_extension: Vec<&str> = (0..ids.len())
            .filter(|&at| self.forms[at] == Some(Form::Whole))
            .map(|at| ids[at].as_str())
            .collect();
        if !with_extension.is_empty() {
            let more = if with_extension.len() > NAMED { ", ..." } else { "" };
            hints.push(format!(
                "the extension is part of the name of {} inputs, whose names are others' but for it: {}{more}",
                with_extension.len(),
                with_extension[..with_extension.len().min(NAMED)].join(", ")
            ));
        }
        for (id, candidate) in ids.iter().zip(self.candidates) {
            if candidate.below.to_str().is_none() {
                hints.push(format!(
                    "{:?}: the name is not UTF-8; the run calls it `{id}`",
                    candidate.path
                ));
            }
        }
        hints
    }
}

fn name(candidate: &Candidate, form: Form) -> String {
    match form {
        Form::Stem => candidate.stem.to_string_lossy().into_owned(),
        Form::Whole => candidate.below.to_string_lossy().into_owned(),
        Form::Escaped => escaped(&candidate.below),
    }
}

/// A path as text, its bytes that are not UTF-8 as `%E9`.
fn escaped(path: &Path) -> String {
    let chunks = path.as_os_str().as_bytes().utf8_chunks();
    let texts = chunks.map(|chunk| {
        let bytes: String = chunk
            .invalid()
            .iter()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        format!("{}{bytes}", chunk.valid())
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Search;

    /// The ids of files below a folder, in the order of their names, in a run that has `earlier`.
    fn ids(folder: &Path, earlier: &[PlannedInput]) -> Vec<String> {
        let search = Search {
            earlier,
            ..Search::of(InputKind::Video)
        };
        let found = search.collect(&[folder.to_owned()]).unwrap();
        found.inputs.into_iter().map(|input| input.id.into()).collect()
    }

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        names
            .iter()
            .for_each(|name| std::fs::write(folder.path().join(name), b"x").unwrap());
        folder
    }

    fn planned(path: PathBuf, id: &str) -> PlannedInput {
        PlannedInput {
            id: VideoId::try_from(id.to_owned()).unwrap(),
            path,
            kind: InputKind::Video,
            bytes: 1,
            modified: None,
            shard: 0,
        }
    }

    #[test]
    fn stems_that_meet_keep_their_extensions() {
        let folder = folder_of(&["A.MOV", "a.mkv", "a.mp4", "b.mp4"]);
        assert_eq!(ids(folder.path(), &[]), ["A.MOV", "a.mkv", "a.mp4", "b"]);
        let folder = folder_of(&["C.mp4", "c.mp4"]);
        assert_eq!(ids(folder.path(), &[]), ["C", "c"]);
    }

    #[test]
    fn what_a_run_has_keeps_its_id() {
        let folder = folder_of(&["a.mkv", "a.mp4"]);
        let earlier = [planned(folder.path().join("a.mp4"), "a")];
        assert_eq!(ids(folder.path(), &earlier), ["a.mkv", "a"]);
        let moved = [planned("/nowhere/a.mkv".into(), "a")];
        let folder = folder_of(&["a.mkv"]);
        assert_eq!(ids(folder.path(), &moved), ["a"]);
        let elsewhere = folder_of(&["a.mp4"]);
        let still_there = [planned(elsewhere.path().join("a.mp4"), "a")];
        assert_eq!(ids(folder.path(), &still_there), ["a.mkv"]);
    }

    #[test]
    fn all_that_clash_are_named() {
        let (one, other) = (folder_of(&["a.mp4", "b.mp4"]), folder_of(&["a.mp4", "b.mp4"]));
        let folders = [one.path().to_owned(), other.path().to_owned()];
        let refused = Search::of(InputKind::Video).collect(&folders).unwrap_err();
        let InputError::SameId { clashes } = refused else {
            panic!("{refused}")
        };
        assert_eq!(clashes.len(), 2);
    }
}
