//! The plan of a run: the frozen work list and settings, the same on every machine.

use std::collections::{BinaryHeap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::input::{Input, InputKind, VideoId};
use super::shards;
use crate::config::Pipeline;
use crate::hash::hash;
use crate::postprocess::{Postprocess, PostprocessError, PostprocessSettings, Preset};
use crate::publish::publish_json;
use crate::table::{self, Footer, WeightsRecord};

/// `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The program that made the plan.
    pub abaw: String,
    pub settings: RunSettings,
    /// sha256 of the settings, paths of weights and blended runs left out.
    pub settings_hash: String,
    /// As `settings_hash`, of what shapes the raw columns: post-processing left out too.
    pub raw_settings_hash: String,
    pub weights: Vec<WeightsRecord>,
    pub shards: u32,
    pub inputs: Vec<PlannedInput>,
}

/// An input and the shard that does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInput {
    pub id: VideoId,
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    pub kind: InputKind,
    /// Size of the file; for crops the number of images.
    pub bytes: u64,
    /// 0-based.
    pub shard: u32,
}

/// Everything that shapes the numbers of a run besides inputs and weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    pub pipeline: Pipeline,
    /// Thresholds and smoothing found for the weights: those that the weights carry, or a file's.
    /// The pipeline's own go before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Preset>,
    /// `cpu` or `cuda`.
    pub device_kind: String,
    /// Frames after this one are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_frames: Option<u32>,
}

/// A plan cannot be made, read or continued.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: not a plan.json written by abaw: {reason}", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "{} holds a run with other {}; give another folder, or --force to begin it anew",
        root.display(), changed.join(" and ")
    )]
    Changed { root: PathBuf, changed: Vec<String> },
    #[error(
        "{0} holds a run with other post-processing ({changed}); `abaw postprocess {0}` applies yours without \
         annotating again, and so does --force", root.display()
    )]
    OtherPostprocess { root: PathBuf, changed: String },
}

/// How far an input's table is what a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableState {
    /// Made with the plan's settings and weights from a file of this size.
    Current,
    /// The same but for post-processing: the raw columns are good, the final ones are not.
    OtherPostprocess,
    /// Not there, or made otherwise.
    Absent,
}

impl RunSettings {
    /// sha256 over all of it but the places of weights and blended runs, whose contents have hashes of their own.
    pub fn hash(&self) -> Result<String, serde_json::Error> {
        let mut settings = self.clone();
        settings.pipeline.model.weights = None;
        for member in &mut settings.pipeline.model.member {
            member.weights = PathBuf::new();
        }
        settings.pipeline.model.detector_weights = None;
        for member in &mut settings.pipeline.postprocess.blend.member {
            // A blended run's content stands beside its place.
            member.run = member.run.take().map(|_| PathBuf::new());
        }
        hash(&settings)
    }

    /// As [`RunSettings::hash`] without post-processing: equal where the raw columns are.
    pub fn raw_hash(&self) -> Result<String, serde_json::Error> {
        let mut settings = self.clone();
        settings.pipeline.postprocess = PostprocessSettings::default();
        settings.calibration = None;
        settings.hash()
    }
}

impl Plan {
    /// Spreads inputs over shards, the largest first, each to the shard with the least work so far. For
    /// several shards the head of each video is read.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn new(
        inputs: Vec<Input>,
        shards: u32,
        settings: RunSettings,
        weights: Vec<WeightsRecord>,
    ) -> Result<Self, serde_json::Error> {
        let shard_of = match shards {
            0 | 1 => vec![0; inputs.len()],
            several => balanced(&shards::expected(&inputs, &settings), several),
        };
        let inputs = inputs
            .into_iter()
            .zip(shard_of)
            .map(|(input, shard)| PlannedInput {
                id: input.id,
                path: absolute(input.path),
                kind: input.kind,
                bytes: input.bytes,
                shard,
            })
            .collect();
        Ok(Self {
            abaw: env!("CARGO_PKG_VERSION").to_owned(),
            settings_hash: settings.hash()?,
            raw_settings_hash: settings.raw_hash()?,
            settings,
            weights,
            shards: shards.max(1),
            inputs,
        })
    }

    /// Reads `plan.json`.
    ///
    /// # Errors
    /// [`PlanError`] with the path.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read(path).map_err(|source| PlanError::File {
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|error| PlanError::Foreign {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Writes the plan into a run's folder. A plan that is there already must agree in settings and
    /// weights, unless `force` is given; inputs may have been added.
    ///
    /// # Errors
    /// [`PlanError::Changed`] naming what differs; the file system's.
    pub fn freeze(&self, run: &RunFolder, force: bool) -> Result<(), PlanError> {
        let path = run.plan();
        if path.exists() && !force {
            Plan::read(&path)?.check_agrees(self, run.root())?;
        }
        publish_json(&path, self).map_err(|source| PlanError::File { path, source })
    }

    /// The inputs of one shard, in the plan's order.
    pub fn shard(&self, shard: u32) -> impl Iterator<Item = &PlannedInput> {
        self.inputs.iter().filter(move |input| input.shard == shard)
    }

    /// The same plan with other post-processing.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn with_postprocess(
        mut self,
        postprocess: PostprocessSettings,
        calibration: Option<Preset>,
    ) -> Result<Self, serde_json::Error> {
        self.settings.pipeline.postprocess = postprocess;
        self.settings.calibration = calibration;
        self.settings_hash = self.settings.hash()?;
        Ok(self)
    }

    /// The step from raw to final columns.
    ///
    /// # Errors
    /// A preset that is not there.
    pub fn postprocess(&self) -> Result<Postprocess, PostprocessError> {
        let settings = &self.settings;
        settings
            .pipeline
            .postprocess
            .resolve(settings.calibration.as_ref())
    }

    /// What is there of an input's table: made with this plan's settings and weights from a file of
    /// this size, or from one that is gone now.
    pub fn table_state(&self, run: &RunFolder, input: &PlannedInput) -> TableState {
        match table::read_footer(&run.table(&input.id)) {
            Ok((footer, _)) => self.state_of(&footer, input),
            Err(_) => TableState::Absent,
        }
    }

    /// As [`Plan::table_state`], of a table whose footer has been read.
    pub fn state_of(&self, footer: &Footer, input: &PlannedInput) -> TableState {
        let same_raw = footer.raw_settings_hash == self.raw_settings_hash
            && footer.weights == self.weights
            && (footer.input_bytes == input.bytes || !input.path.exists());
        match same_raw {
            true if footer.settings_hash == self.settings_hash => TableState::Current,
            true => TableState::OtherPostprocess,
            false => TableState::Absent,
        }
    }

    fn check_agrees(&self, other: &Plan, root: &Path) -> Result<(), PlanError> {
        let root = root.to_owned();
        let mut changed = Vec::new();
        if self.settings_hash != other.settings_hash {
            let (ours, theirs) = (
                serde_json::to_value(&self.settings).unwrap_or_default(),
                serde_json::to_value(&other.settings).unwrap_or_default(),
            );
            let mut keys = Vec::new();
            changed_keys("", &ours, &theirs, &mut keys);
            let keys = keys.join(", ");
            if self.raw_settings_hash == other.raw_settings_hash && self.weights == other.weights {
                return Err(PlanError::OtherPostprocess { root, changed: keys });
            }
            changed.push(format!("settings ({keys})"));
        }
        if self.weights != other.weights {
            let pairs = self.weights.iter().zip(&other.weights);
            let names: Vec<String> = pairs
                .filter(|(old, new)| old != new)
                .map(changed_weights)
                .collect();
            changed.push(format!("weights ({})", names.join(", ")));
        }
        match changed.is_empty() {
            true => Ok(()),
            false => Err(PlanError::Changed { root, changed }),
        }
    }
}

/// Names both weights of a network, by their content where the files are called alike.
fn changed_weights((old, new): (&WeightsRecord, &WeightsRecord)) -> String {
    let name = |record: &WeightsRecord| match &record.sha256 {
        Some(sha256) if old.source == new.source => format!("sha256 {}", sha256.get(..12).unwrap_or(sha256)),
        _ => record.source.clone(),
    };
    format!("{}: {} -> {}", old.role, name(old), name(new))
}

/// Lists the settings in which two trees differ, as `a.b: 1 -> 2`.
fn changed_keys(at: &str, old: &serde_json::Value, new: &serde_json::Value, found: &mut Vec<String>) {
    match (old.as_object(), new.as_object()) {
        (Some(old_map), Some(new_map)) => {
            let keys: std::collections::BTreeSet<&String> = old_map.keys().chain(new_map.keys()).collect();
            for key in keys {
                let below = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                let null = serde_json::Value::Null;
                changed_keys(
                    &below,
                    old_map.get(key).unwrap_or(&null),
                    new_map.get(key).unwrap_or(&null),
                    found,
                );
            }
        }
        _ if old != new => found.push(format!("{at}: {old} -> {new}")),
        _ => {}
    }
}

/// The inputs that no earlier plan lists with the same id and size, whatever became of them there.
pub fn new_since(inputs: Vec<Input>, earlier: &[Plan]) -> Vec<Input> {
    let known: HashSet<(&VideoId, u64)> = earlier
        .iter()
        .flat_map(|plan| &plan.inputs)
        .map(|input| (&input.id, input.bytes))
        .collect();
    let is_new = |input: &Input| !known.contains(&(&input.id, input.bytes));
    inputs.into_iter().filter(is_new).collect()
}

/// The shard of each input, given their work.
fn balanced(work: &[u64], shards: u32) -> Vec<u32> {
    let mut largest_first: Vec<usize> = (0..work.len()).collect();
    largest_first.sort_by_key(|&at| (std::cmp::Reverse(work[at]), at));
    // Work, inputs and number of each shard, the least on top.
    let mut load: BinaryHeap<_> = (0..shards)
        .map(|shard| std::cmp::Reverse((0, 0, shard)))
        .collect();
    let mut shard_of = vec![0; work.len()];
    for at in largest_first {
        if let Some(mut least) = load.peek_mut() {
            let std::cmp::Reverse((sum, inputs, shard)) = &mut *least;
            *sum += work[at];
            *inputs += 1;
            shard_of[at] = *shard;
        }
    }
    shard_of
}

/// A plan is used from other working folders; a path that cannot be resolved stays as it is.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// File names are bytes: UTF-8 ones as a JSON string, others as an array of numbers.
mod path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Name {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(serializer),
            None => path.as_os_str().as_bytes().serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Name::deserialize(deserializer)? {
            Name::Text(text) => PathBuf::from(text),
            Name::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn input(number: usize, bytes: u64) -> Input {
        Input {
            id: VideoId::try_from(format!("v{number}")).unwrap(),
            path: PathBuf::from(format!("/videos/v{number}.mp4")),
            kind: InputKind::Video,
            bytes,
        }
    }

    fn settings() -> RunSettings {
        RunSettings {
            pipeline: Pipeline::default(),
            calibration: None,
            device_kind: "cpu".to_owned(),
            limit_frames: None,
        }
    }

    proptest! {
        #[test]
        fn shards_hold_every_input_once_and_stay_balanced(
            work in proptest::collection::vec(0u64..1_000_000, 1..80),
            shards in 1u32..9,
        ) {
            let shard_of = balanced(&work, shards);
            prop_assert_eq!(shard_of.len(), work.len());
            let mut load = vec![0; shards as usize];
            for (&shard, work) in shard_of.iter().zip(&work) {
                load[shard as usize] += work;
            }
            let spread = load.iter().max().unwrap() - load.iter().min().unwrap();
            prop_assert!(spread <= *work.iter().max().unwrap());
        }
    }

    #[test]
    fn a_video_is_new_by_id_and_size() {
        let earlier = [vec![input(1, 10)], vec![input(2, 20), input(3, 30)]]
            .map(|inputs| Plan::new(inputs, 1, settings(), Vec::new()).unwrap());
        let now = vec![input(1, 10), input(2, 21), input(3, 30), input(4, 40)];
        let new = new_since(now, &earlier);
        assert_eq!(new, [input(2, 21), input(4, 40)]);
    }

    #[test]
    fn a_changed_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let first = Plan::new(vec![input(1, 1)], 1, settings(), Vec::new()).unwrap();
        first.freeze(&run, false).unwrap();
        let mut other = settings();
        other.pipeline.model.batch = 4;
        let second = Plan::new(vec![input(1, 1), input(2, 2)], 1, other, Vec::new()).unwrap();
        let refused = second.freeze(&run, false).unwrap_err().to_string();
        assert!(refused.contains("pipeline.model.batch: 16 -> 4"), "{refused}");
        second.freeze(&run, true).unwrap();
        assert_eq!(Plan::read(&run.plan()).unwrap(), second);
    }

    #[test]
    fn other_postprocessing_needs_no_new_annotation() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let first = Plan::new(vec![input(1, 1)], 1, settings(), Vec::new()).unwrap();
        first.freeze(&run, false).unwrap();
        let postprocess = PostprocessSettings {
            stop_at_cuts: true,
            ..Default::default()
        };
        let second = first.clone().with_postprocess(postprocess, None).unwrap();
        assert_eq!(second.raw_settings_hash, first.raw_settings_hash);
        assert_ne!(second.settings_hash, first.settings_hash);
        let refused = second.freeze(&run, false).unwrap_err();
        assert!(matches!(refused, PlanError::OtherPostprocess { .. }));
        assert!(
            refused.to_string().contains("stop_at_cuts: false -> true"),
            "{refused}"
        );
    }

    #[test]
    fn names_that_are_not_text_survive() {
        use std::os::unix::ffi::OsStringExt;
        let mut odd = input(1, 1);
        odd.path = PathBuf::from(std::ffi::OsString::from_vec(b"/videos/\xff.mp4".to_vec()));
        let plan = Plan::new(vec![odd.clone()], 1, settings(), Vec::new()).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        let read: Plan = serde_json::from_str(&text).unwrap();
        assert_eq!(read.inputs[0].path, odd.path);
    }
}
