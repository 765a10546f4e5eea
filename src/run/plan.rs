//! The plan of a run: the inputs and settings, fixed once and the same on every machine.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file_state::FileState;
use super::folder::RunFolder;
use super::input::{Input, InputKind, VideoId};
use super::path::{self, absolute};
use super::settings::RunSettings;
use super::shards;
use crate::face::QualityLimits;
use crate::path_error::PathError;
use crate::postprocess::{Postprocess, PostprocessError, PostprocessSettings, Preset};
use crate::publish::publish_json;
use crate::table::{self, Footer, WeightsRecord};

/// `plan.json`.
///
/// ```
/// use abaw::config::Pipeline;
/// use abaw::run::{InputKind, Plan, RunSettings, Search};
///
/// let settings = RunSettings {
///     pipeline: Pipeline::default(),
///     calibration: None,
///     device_kind: "cpu".to_owned(),
///     limit_frames: None,
/// };
/// let found = Search::of(InputKind::Video).collect(&["sample_data/astronaut.mp4".into()])?;
/// let plan = Plan::new(found.inputs, 1, settings, Vec::new())?;
/// assert_eq!(plan.inputs[0].id.as_str(), "astronaut");
/// assert_eq!(plan.settings_hash, plan.settings.hash()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the program that made the plan.
    pub abaw: String,
    /// Everything that shapes the numbers besides inputs and weights.
    pub settings: RunSettings,
    /// [`RunSettings::hash`].
    pub settings_hash: String,
    /// [`RunSettings::raw_hash`].
    pub raw_settings_hash: String,
    /// The weights of the detector, then of each network that annotates.
    pub weights: Vec<WeightsRecord>,
    /// Number of shards, at least 1.
    pub shards: u32,
    /// All inputs, in the order of the arguments.
    pub inputs: Vec<PlannedInput>,
}

/// An input and the shard that annotates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInput {
    /// Its name in the run.
    pub id: VideoId,
    /// The file, or the folder of crops; absolute.
    #[serde(with = "path")]
    pub path: PathBuf,
    /// Video or crops.
    pub kind: InputKind,
    /// Size of the file; for crops the number of images.
    pub bytes: u64,
    /// When the file was last changed; `None` for crops, and in plans of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// The shard that annotates it, 0-based.
    pub shard: u32,
}

/// A plan cannot be made, read or continued.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] PathError),
    /// The file is no plan.
    #[error("{}: not a plan.json written by abaw: {source}", path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// The plan was written by another version, with something in it that this one does not know.
    #[error(
        "{}: written by abaw {written_by}, and abaw {} cannot go on with it ({source}): use that version, or plan anew",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        written_by: String,
        /// What this one does not know.
        source: serde_json::Error,
    },
    /// The folder holds a run whose raw columns are made otherwise.
    #[error(
        "{} holds a run with other {}; give another folder, or --force to begin it anew",
        root.display(), changed.join(" and ")
    )]
    Changed {
        /// The folder of the run.
        root: PathBuf,
        /// What differs: settings, weights.
        changed: Vec<String>,
    },
    /// The folder holds a run that differs in its post-processing only.
    #[error(
        "{0} holds a run with other post-processing ({changed}); `abaw postprocess {0}` applies yours without \
         annotating again, and so does --force", root.display()
    )]
    OtherPostprocess {
        /// The folder of the run.
        root: PathBuf,
        /// The settings that differ.
        changed: String,
    },
}

/// Whether an input has the table that a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableState {
    /// Made with the plan's settings and weights from a file of this size.
    Current,
    /// As `Current` except for post-processing: the raw columns are those of the plan, the final ones are not.
    OtherPostprocess,
    /// Missing, or made otherwise.
    Absent,
}

impl Plan {
    /// Makes a plan that spreads the inputs over shards of about equal work. For several shards the header of each video
    /// is read.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn new(
        inputs: Vec<Input>,
        shards: u32,
        settings: RunSettings,
        weights: Vec<WeightsRecord>,
    ) -> Result<Self, serde_json::Error> {
        let shard_of = shards::assign(&inputs, shards, &settings);
        let inputs = inputs
            .into_iter()
            .zip(shard_of)
            .map(|(input, shard)| PlannedInput {
                id: input.id,
                path: absolute(&input.path),
                kind: input.kind,
                bytes: input.bytes,
                modified: input.modified,
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
        let text = std::fs::read(path).map_err(PathError::at(path))?;
        serde_json::from_slice(&text).map_err(|source| {
            /// What plans of all versions have.
            #[derive(Deserialize)]
            struct WrittenBy {
                abaw: String,
            }
            let path = path.to_owned();
            match serde_json::from_slice(&text) {
                Ok(WrittenBy { abaw }) if abaw != env!("CARGO_PKG_VERSION") => PlanError::OtherVersion {
                    path,
                    written_by: abaw,
                    source,
                },
                _ => PlanError::NotAPlan { path, source },
            }
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
        Ok(publish_json(&path, self).map_err(PathError::at(path))?)
    }

    /// The inputs of one shard, in the plan's order.
    pub fn shard(&self, shard: u32) -> impl Iterator<Item = &PlannedInput> {
        self.inputs.iter().filter(move |input| input.shard == shard)
    }

    /// The same plan with other post-processing and other limits of quality.
    ///
    /// # Errors
    /// Only if the settings cannot be written as JSON.
    pub fn with_postprocess(
        mut self,
        postprocess: PostprocessSettings,
        quality: QualityLimits,
        calibration: Option<Preset>,
    ) -> Result<Self, serde_json::Error> {
        self.settings.pipeline.postprocess = postprocess;
        self.settings.pipeline.quality = quality;
        self.settings.calibration = calibration;
        self.settings_hash = self.settings.hash()?;
        Ok(self)
    }

    /// sha256 of the networks that annotate, or their sources where there is none, in the order of the settings.
    pub fn networks(&self) -> Vec<String> {
        let networks = self.weights.iter().skip(1);
        networks
            .map(|record| record.sha256.as_ref().unwrap_or(&record.source).clone())
            .collect()
    }

    /// The post-processing from raw to final columns.
    ///
    /// # Errors
    /// A preset that does not exist.
    pub fn postprocess(&self) -> Result<Postprocess, PostprocessError> {
        let settings = &self.settings;
        settings
            .pipeline
            .postprocess
            .resolve(settings.calibration.as_ref())
    }

    /// The state of an input's table. It is current if it was made with this plan's settings and weights, from the file as
    /// it is now (by size and time) or from one that no longer exists; where features are wanted, they must be there, too.
    pub fn table_state(&self, run: &RunFolder, input: &PlannedInput) -> TableState {
        if self.settings.pipeline.model.features && !run.features(&input.id).is_file() {
            return TableState::Absent;
        }
        match table::read_footer(&run.table(&input.id)) {
            Ok((footer, _)) => self.state_of(&footer, input),
            Err(_) => TableState::Absent,
        }
    }

    /// As [`Plan::table_state`], of a table whose footer has been read.
    pub fn state_of(&self, footer: &Footer, input: &PlannedInput) -> TableState {
        let same_raw = footer.raw_settings_hash == self.raw_settings_hash && footer.weights == self.weights;
        match same_raw && !self.has_changed(footer, input) {
            true if footer.settings_hash == self.settings_hash => TableState::Current,
            true => TableState::OtherPostprocess,
            false => TableState::Absent,
        }
    }

    /// Whether an input is another file than the one of its table.
    pub(super) fn has_changed(&self, footer: &Footer, input: &PlannedInput) -> bool {
        let now = FileState::within(self.stall(), &input.path, input.kind);
        now.is_some_and(|now| {
            // Tables of older versions hold no time.
            let other_time = footer.input_modified.is_some() && now.modified != footer.input_modified;
            now.bytes != footer.input_bytes || other_time
        })
    }

    /// The time after which a file system that does not answer is given up.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.settings.pipeline.video.stall_seconds.get().into())
    }

    fn check_agrees(&self, other: &Plan, root: &Path) -> Result<(), PlanError> {
        let root = root.to_owned();
        let mut changed = Vec::new();
        // An older version, which knew fewer settings, wrote other hashes for the same: what they come to here counts.
        let hashes = self.settings.hash().ok().zip(self.settings.raw_hash().ok());
        let (hash, raw_hash) =
            hashes.unwrap_or_else(|| (self.settings_hash.clone(), self.raw_settings_hash.clone()));
        if hash != other.settings_hash {
            let keys = self.settings.changes(&other.settings).join(", ");
            if raw_hash == other.raw_settings_hash && self.weights == other.weights {
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

/// The inputs of a run that goes on: those of its plan so far in their order, as they are now where they are asked for
/// again, then the new ones. Also the ids that are not asked for again.
pub fn with_earlier(asked: Vec<Input>, earlier: &[PlannedInput]) -> (Vec<Input>, Vec<VideoId>) {
    let mut asked_for: HashMap<VideoId, Input> = asked
        .iter()
        .map(|input| (input.id.clone(), input.clone()))
        .collect();
    let mut not_asked_for = Vec::new();
    let mut inputs: Vec<Input> = Vec::with_capacity(earlier.len() + asked.len());
    for planned in earlier {
        inputs.push(asked_for.remove(&planned.id).unwrap_or_else(|| {
            not_asked_for.push(planned.id.clone());
            planned.as_input()
        }));
    }
    inputs.extend(
        asked
            .into_iter()
            .filter(|input| asked_for.contains_key(&input.id)),
    );
    (inputs, not_asked_for)
}

impl PlannedInput {
    /// The input without its shard.
    fn as_input(&self) -> Input {
        Input {
            id: self.id.clone(),
            path: self.path.clone(),
            kind: self.kind,
            bytes: self.bytes,
            modified: self.modified,
        }
    }
}

/// The inputs that no earlier plan lists with the same id and size, whatever their result there.
pub fn new_since(inputs: Vec<Input>, earlier: &[Plan]) -> Vec<Input> {
    let known: HashSet<(&VideoId, u64)> = earlier
        .iter()
        .flat_map(|plan| &plan.inputs)
        .map(|input| (&input.id, input.bytes))
        .collect();
    let is_new = |input: &Input| !known.contains(&(&input.id, input.bytes));
    inputs.into_iter().filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auto_number::AutoNumber;
    use crate::config::Pipeline;

    fn input(number: usize, bytes: u64) -> Input {
        Input {
            id: VideoId::try_from(format!("v{number}")).unwrap(),
            path: PathBuf::from(format!("/videos/v{number}.mp4")),
            kind: InputKind::Video,
            bytes,
            modified: None,
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

    #[test]
    fn a_video_is_new_by_id_and_size() {
        let earlier = [vec![input(1, 10)], vec![input(2, 20), input(3, 30)]]
            .map(|inputs| Plan::new(inputs, 1, settings(), Vec::new()).unwrap());
        let now = vec![input(1, 10), input(2, 21), input(3, 30), input(4, 40)];
        let new = new_since(now, &earlier);
        assert_eq!(new, [input(2, 21), input(4, 40)]);
    }

    #[test]
    fn a_run_grows_and_forgets_nothing() {
        let earlier = Plan::new(vec![input(1, 10), input(2, 20)], 1, settings(), Vec::new()).unwrap();
        let (inputs, not_asked_for) = with_earlier(vec![input(3, 30), input(2, 21)], &earlier.inputs);
        assert_eq!(inputs, [input(1, 10), input(2, 21), input(3, 30)]);
        assert_eq!(not_asked_for, [input(1, 10).id]);
    }

    #[test]
    fn a_changed_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let first = Plan::new(vec![input(1, 1)], 1, settings(), Vec::new()).unwrap();
        first.freeze(&run, false).unwrap();
        let mut other = settings();
        other.pipeline.model.batch = AutoNumber::of(4).unwrap();
        let second = Plan::new(vec![input(1, 1), input(2, 2)], 1, other, Vec::new()).unwrap();
        let refused = second.freeze(&run, false).unwrap_err().to_string();
        assert!(
            refused.contains("pipeline.model.batch: \"auto\" -> 4"),
            "{refused}"
        );
        second.freeze(&run, true).unwrap();
        assert_eq!(Plan::read(&run.plan()).unwrap(), second);
    }

    #[test]
    fn a_run_of_an_older_version_goes_on_and_one_of_a_newer_version_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let now = Plan::new(vec![input(1, 1)], 1, settings(), Vec::new()).unwrap();
        now.freeze(&run, false).unwrap();
        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut plan = serde_json::to_value(&now).unwrap();
            change(&mut plan);
            std::fs::write(run.plan(), plan.to_string()).unwrap();
        };
        // It lacked a setting, so its hashes were others; here the setting has its default.
        with(&|plan| {
            plan["abaw"] = "0.0.9".into();
            let detector = plan["settings"]["pipeline"]["detector"].as_object_mut().unwrap();
            assert!(detector.remove("every").is_some());
            plan["settings_hash"] = "0".repeat(64).into();
            plan["raw_settings_hash"] = "1".repeat(64).into();
        });
        assert_eq!(Plan::read(&run.plan()).unwrap().settings, now.settings);
        now.freeze(&run, false).unwrap();
        assert_eq!(Plan::read(&run.plan()).unwrap(), now);

        with(&|plan| {
            plan["abaw"] = "99.1.0".into();
            plan["settings"]["pipeline"]["detector"]["thermal"] = true.into();
        });
        let refused = now.freeze(&run, false).unwrap_err().to_string();
        for words in ["abaw 99.1.0", "thermal", "plan anew"] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
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
        let second = first
            .clone()
            .with_postprocess(postprocess, QualityLimits::default(), None)
            .unwrap();
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
