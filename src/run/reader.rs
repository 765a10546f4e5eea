//! A run that is read: its plan, its tables, and its failures, found by the names of videos.

use super::folder::RunFolder;
use super::input::VideoId;
use super::names::InputNames;
use super::plan::{Plan, PlanError, PlannedInput};
use crate::face::subject::SubjectRule;
use crate::table::{self, ColumnSelection, Footer, Row, TableBatches, TableError, mark_subject};

/// A run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunReaderError {
    /// The plan cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table was made with other settings than the plan's.
    #[error(
        "{id}: its table has other settings than the plan; run `abaw postprocess` or `abaw annotate` again"
    )]
    OtherSettings {
        /// The input of the table.
        id: VideoId,
    },
    /// No input has this name.
    #[error("the run has no video `{name}`{}", nearest.as_ref().map(|id| format!("; did you mean `{id}`?")).unwrap_or_default())]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The id that is spelt most alike.
        nearest: Option<VideoId>,
    },
    /// An input has no table.
    #[error("{id}: the run has no table of it; run `abaw annotate` again{}", reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    NoTable {
        /// The input.
        id: VideoId,
        /// Why the run failed on it, if that is recorded.
        reason: Option<String>,
    },
}

/// A run that is read. Any number of threads may use it at once.
pub struct RunReader {
    folder: RunFolder,
    plan: Plan,
    names: InputNames,
}

impl RunReader {
    /// Opens the run in a folder; only its plan is read now.
    ///
    /// # Errors
    /// A plan that cannot be read.
    pub fn open(folder: RunFolder) -> Result<Self, RunReaderError> {
        let plan = Plan::read(&folder.plan())?;
        Ok(Self {
            names: InputNames::of(&plan.inputs),
            folder,
            plan,
        })
    }

    /// The folder of the run.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The input that a challenge means by a video's name, and the rule for its subject.
    ///
    /// The input is the one of this id, or the only one whose id ends in the name (`batch1/2-30-640x360` for
    /// `2-30-640x360`). Aff-Wild2 names two people of one video `<video>_left` and `<video>_right`: without an input of
    /// that name, the rule selects the person on that side of `<video>`. `None` for the rule: the rows that the table
    /// itself marks.
    pub fn input_named(&self, video: &str) -> Option<(&PlannedInput, Option<SubjectRule>)> {
        let named = |name: &str| self.plan.inputs.get(self.names.input(name)?);
        if let Some(input) = named(video) {
            return Some((input, None));
        }
        let rule = SubjectRule::from_label_name(video);
        if rule == SubjectRule::LargestFace {
            return None;
        }
        Some((named(video.rsplit_once('_')?.0)?, Some(rule)))
    }

    /// The input of an id, or the only one whose id ends in `name` after a slash.
    ///
    /// # Errors
    /// [`RunReaderError::Unknown`] with the id that is spelt most alike.
    pub fn input(&self, name: &str) -> Result<&PlannedInput, RunReaderError> {
        let inputs = &self.plan.inputs;
        let named = self.names.input(name).and_then(|at| inputs.get(at));
        named.ok_or_else(|| {
            let similarity =
                |input: &&PlannedInput| (1000.0 * strsim::jaro_winkler(input.id.as_str(), name)) as u32;
            RunReaderError::Unknown {
                name: name.to_owned(),
                nearest: inputs.iter().max_by_key(similarity).map(|input| input.id.clone()),
            }
        })
    }

    /// All rows of an input's table, and its footer.
    ///
    /// # Errors
    /// A table that is missing, cannot be read, or has other settings than the plan's.
    pub fn table(&self, id: &VideoId) -> Result<(Vec<Row>, Footer), RunReaderError> {
        let table = self.columns(id, ColumnSelection::All)?;
        table.ok_or_else(|| RunReaderError::NoTable {
            id: id.clone(),
            reason: self.folder.read_failure(id).map(|failure| failure.error),
        })
    }

    /// An input's table in pieces, with all its columns.
    ///
    /// # Errors
    /// As [`RunReader::table`].
    pub fn batches(&self, id: &VideoId) -> Result<TableBatches, RunReaderError> {
        let path = self.folder.table(id);
        if !path.exists() {
            return Err(RunReaderError::NoTable {
                id: id.clone(),
                reason: self.folder.read_failure(id).map(|failure| failure.error),
            });
        }
        let batches = TableBatches::open(&path)?;
        if batches.footer().settings_hash != self.plan.settings_hash {
            return Err(RunReaderError::OtherSettings { id: id.clone() });
        }
        Ok(batches)
    }

    /// Some columns of an input's table, and its footer; `None` if there is no table.
    ///
    /// # Errors
    /// A table that cannot be read, or has other settings than the plan's.
    pub fn columns(
        &self,
        id: &VideoId,
        columns: ColumnSelection,
    ) -> Result<Option<(Vec<Row>, Footer)>, RunReaderError> {
        let Some((rows, footer)) = self.read(id, columns)? else {
            return Ok(None);
        };
        if footer.settings_hash != self.plan.settings_hash {
            return Err(RunReaderError::OtherSettings { id: id.clone() });
        }
        Ok(Some((rows, footer)))
    }

    /// All rows of a video with its raw columns, whatever the post-processing; `None` if the run has no table of a video
    /// of this name. The subject is the one that the name asks for.
    ///
    /// # Errors
    /// A table that cannot be read, or whose raw columns were made with other settings or weights than the plan's.
    pub fn raw_rows(&self, video: &str) -> Result<Option<Vec<Row>>, RunReaderError> {
        let Some((input, rule)) = self.input_named(video) else {
            return Ok(None);
        };
        let Some((mut rows, footer)) = self.read(&input.id, ColumnSelection::Raw)? else {
            return Ok(None);
        };
        if footer.raw_settings_hash != self.plan.raw_settings_hash || footer.weights != self.plan.weights {
            return Err(RunReaderError::OtherSettings { id: input.id.clone() });
        }
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
        }
        Ok(Some(rows))
    }

    /// Whether the run has recorded that it failed on a video of this name.
    pub fn has_failed(&self, video: &str) -> bool {
        self.input_named(video)
            .is_some_and(|(input, _)| self.folder.read_failure(&input.id).is_some())
    }

    fn read(&self, id: &VideoId, columns: ColumnSelection) -> Result<Option<(Vec<Row>, Footer)>, TableError> {
        let path = self.folder.table(id);
        match path.exists() {
            true => table::read_columns(&path, columns).map(Some),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pipeline;
    use crate::run::{Input, InputKind, RunSettings};

    fn reader(ids: impl IntoIterator<Item = String>) -> RunReader {
        let input = |id: String| Input {
            path: format!("/videos/{id}.mp4").into(),
            id: VideoId::try_from(id).unwrap(),
            kind: InputKind::Video,
            bytes: 1,
            modified: None,
        };
        let settings = RunSettings {
            pipeline: Pipeline::default(),
            calibration: None,
            device_kind: "cpu".to_owned(),
            limit_frames: None,
        };
        let inputs = ids.into_iter().map(input).collect();
        let plan = Plan::new(inputs, 1, settings, Vec::new()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        plan.freeze(&run, false).unwrap();
        RunReader::open(run).unwrap()
    }

    #[test]
    fn names_are_ids_or_their_only_ending_or_a_side() {
        let ids = ["b1/v", "b1/w", "b2/w", "x_left", "b3/deep/y", "z", "b1/z"];
        let reader = reader(ids.map(str::to_owned));
        let found = |name: &str| {
            let (input, rule) = reader.input_named(name)?;
            Some((input.id.as_str().to_owned(), rule.is_some()))
        };
        let of = |id: &str, side| Some((id.to_owned(), side));
        assert_eq!(found("v"), of("b1/v", false));
        assert_eq!(found("b2/w"), of("b2/w", false));
        assert_eq!(found("w"), None, "two of them");
        assert_eq!(found("z"), of("z", false), "the whole id goes first");
        assert_eq!(found("deep/y_right"), of("b3/deep/y", true));
        assert_eq!(found("x_left"), of("x_left", false), "an input of that name");
        assert_eq!(found("x_right"), None);
        assert_eq!(found("v_person2"), of("b1/v", true));
        assert_eq!(found("v_middle"), None);
        assert_eq!(found("eft"), None);
    }
}
