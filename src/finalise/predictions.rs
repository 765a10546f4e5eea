//! A run's tables, asked for by the names that challenges give to videos.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::postprocessor::{Postprocessor, PostprocessorError};
use super::run_blend::BlendError;
use crate::affwild2::{self, FramePrediction, VideoPredictions};
use crate::face::subject::{SubjectRule, Subjects};
use crate::labels::Affect;
use crate::postprocess::{PostprocessError, Series};
use crate::run::{Plan, PlanError, PlannedInput, RunFolder, VideoId};
use crate::table::{self, ColumnSelection, Footer, Row, TableError};

/// A video's predictions cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Form(#[from] affwild2::Error),
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    #[error(transparent)]
    Postprocessor(#[from] PostprocessorError),
    #[error(transparent)]
    Blend(#[from] BlendError),
    #[error(
        "{id}: its table has other settings than the plan; run `abaw postprocess` or `abaw annotate` again"
    )]
    OtherSettings { id: VideoId },
    #[error("the run has no video `{name}`{}", nearest.as_ref().map(|id| format!("; did you mean `{id}`?")).unwrap_or_default())]
    Unknown { name: String, nearest: Option<VideoId> },
    #[error("{id}: the run has no table of it; run `abaw annotate` again{}", reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    NoTable { id: VideoId, reason: Option<String> },
}

/// A run that is read. Any number of threads may ask at once.
pub struct RunReader {
    folder: RunFolder,
    plan: Plan,
    names: Names,
    /// Made when it is first needed: other runs that were blended in may be gone by the time that this
    /// one's tables are read.
    postprocessor: OnceLock<Postprocessor>,
}

/// The names that lead to the inputs of a run.
pub struct Names(HashMap<String, Named>);

/// What a name leads to.
enum Named {
    /// Place in the plan's inputs.
    Input(usize),
    /// Several ids end in it.
    Ambiguous,
}

/// What a run holds of one person over one video.
pub struct SubjectTable {
    /// The input that the rows are of.
    pub id: VideoId,
    /// One row a frame, those of the subject.
    pub rows: Vec<Row>,
    pub footer: Footer,
}

impl RunReader {
    /// The run in a folder, of which only the plan is read now.
    ///
    /// # Errors
    /// A plan that cannot be read.
    pub fn open(folder: RunFolder) -> Result<Self, PredictionsError> {
        let plan = Plan::read(&folder.plan())?;
        Ok(Self {
            names: Names::of(&plan.inputs),
            postprocessor: OnceLock::new(),
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

    fn postprocessor(&self) -> Result<&Postprocessor, PostprocessorError> {
        if let Some(postprocessor) = self.postprocessor.get() {
            return Ok(postprocessor);
        }
        let made = Postprocessor::of(&self.plan)?;
        Ok(self.postprocessor.get_or_init(|| made))
    }

    /// The input that a challenge means by a video's name, and who of it: the input of this id, or the
    /// only one whose id ends in it (`batch1/2-30-640x360` for `2-30-640x360`). Aff-Wild2 names two people
    /// of one video `<video>_left` and `<video>_right`: without an input of that name, the person on that
    /// side of `<video>`. `None` for the rule: the rows that the table itself marks.
    pub fn input_named(&self, video: &str) -> Option<(&PlannedInput, Option<SubjectRule>)> {
        let named = |name: &str| self.plan.inputs.get(self.names.input(name)?);
        if let Some(input) = named(video) {
            return Some((input, None));
        }
        let rule = SubjectRule::from_video_name(video);
        let SubjectRule::OnSide(_) = rule else {
            return None;
        };
        Some((named(video.rsplit_once('_')?.0)?, Some(rule)))
    }

    /// The input of an id, or the only one whose id ends in `name` after a slash.
    ///
    /// # Errors
    /// [`PredictionsError::Unknown`] with the id that is spelt most alike.
    pub fn input(&self, name: &str) -> Result<&PlannedInput, PredictionsError> {
        let inputs = &self.plan.inputs;
        let named = self.names.input(name).and_then(|at| inputs.get(at));
        named.ok_or_else(|| {
            let likeness =
                |input: &&PlannedInput| (1000.0 * strsim::jaro_winkler(input.id.as_str(), name)) as u32;
            PredictionsError::Unknown {
                name: name.to_owned(),
                nearest: inputs.iter().max_by_key(likeness).map(|input| input.id.clone()),
            }
        })
    }

    /// All rows of an input's table, and its footer.
    ///
    /// # Errors
    /// A table that is not there, cannot be read, or has other settings than the plan's.
    pub fn table(&self, id: &VideoId) -> Result<(Vec<Row>, Footer), PredictionsError> {
        let path = self.folder.table(id);
        if !path.exists() {
            return Err(PredictionsError::NoTable {
                id: id.clone(),
                reason: self.folder.read_failure(id).map(|failure| failure.error),
            });
        }
        let (rows, footer) = table::read(&path)?;
        self.check_settings(id, &footer)?;
        Ok((rows, footer))
    }

    /// The rows of a video's subject; `None` if the run has no table of a video of this name.
    ///
    /// For a person on a side the final numbers are those of a video in which that person is the subject.
    ///
    /// # Errors
    /// A table that cannot be read, or of other settings than the plan's; another run that was blended in
    /// and cannot be read any more.
    pub fn subject(&self, video: &str) -> Result<Option<SubjectTable>, PredictionsError> {
        self.finished(video, ColumnSelection::All)
    }

    /// What the subject of a video is said to show, frame by frame; `None` if the run has no table of a
    /// video of this name.
    ///
    /// # Errors
    /// As [`RunReader::subject`].
    pub fn predictions(&self, video: &str) -> Result<Option<VideoPredictions>, PredictionsError> {
        let table = self.finished(video, ColumnSelection::Final)?;
        Ok(table.map(|table| table.predictions()).transpose()?)
    }

    fn finished(
        &self,
        video: &str,
        columns: ColumnSelection,
    ) -> Result<Option<SubjectTable>, PredictionsError> {
        let Some((path, input, rule)) = self.table_named(video) else {
            return Ok(None);
        };
        // For another subject the final numbers are made anew, so they need not be read.
        let columns = if rule.is_some() && columns == ColumnSelection::Final {
            ColumnSelection::Raw
        } else {
            columns
        };
        let (mut rows, footer) = table::read_columns(&path, columns)?;
        self.check_settings(&input.id, &footer)?;
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
            self.postprocessor()?
                .apply(&input.id, side(video), &mut rows, &footer.timing())?;
        }
        rows.retain(|row| row.subject);
        Ok(Some(SubjectTable {
            id: input.id.clone(),
            rows,
            footer,
        }))
    }

    /// What is said of a video's subject before any post-processing, blended with other runs if the plan
    /// asks for it, and the input that it is of; `None` if the run has no table of a video of this name.
    ///
    /// # Errors
    /// As [`RunReader::subject`]; a table whose frames do not ascend.
    pub fn raw_series(&self, video: &str) -> Result<Option<(VideoId, Series)>, PredictionsError> {
        let Some((path, input, rule)) = self.table_named(video) else {
            return Ok(None);
        };
        let (mut rows, footer) = table::read_columns(&path, ColumnSelection::Raw)?;
        self.check_settings(&input.id, &footer)?;
        let mut side_name = "";
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
            side_name = side(video);
        }
        let said = self.postprocessor()?.predictions(&input.id, side_name, &rows)?;
        let of_subject = rows.iter().zip(said).filter(|(row, _)| row.subject);
        let (frames, values): (Vec<_>, Vec<Option<Affect>>) =
            of_subject.map(|(row, said)| (row.frame, said)).unzip();
        let stop_at_cuts = self.plan.settings.pipeline.postprocess.stop_at_cuts;
        let series = Series::new(frames, values)?.with_timing(&footer.timing(), stop_at_cuts);
        Ok(Some((input.id.clone(), series)))
    }

    /// All rows of a video but for their final numbers, whatever the post-processing; `None` if the run has
    /// no table of a video of this name.
    ///
    /// # Errors
    /// A table that cannot be read, or whose raw columns are not of the plan's settings and weights.
    pub fn raw_rows(&self, video: &str) -> Result<Option<Vec<Row>>, PredictionsError> {
        let Some((path, input, rule)) = self.table_named(video) else {
            return Ok(None);
        };
        let (mut rows, footer) = table::read_columns(&path, ColumnSelection::Raw)?;
        if footer.raw_settings_hash != self.plan.raw_settings_hash || footer.weights != self.plan.weights {
            return Err(PredictionsError::OtherSettings { id: input.id.clone() });
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

    /// The table that holds a video of this name.
    fn table_named(&self, video: &str) -> Option<(PathBuf, &PlannedInput, Option<SubjectRule>)> {
        let (input, rule) = self.input_named(video)?;
        let path = self.folder.table(&input.id);
        path.exists().then_some((path, input, rule))
    }

    fn check_settings(&self, id: &VideoId, footer: &Footer) -> Result<(), PredictionsError> {
        if footer.settings_hash == self.plan.settings_hash {
            Ok(())
        } else {
            Err(PredictionsError::OtherSettings { id: id.clone() })
        }
    }
}

/// The ending of a name that says on which side a person is.
fn side(video: &str) -> &str {
    video.rfind('_').map_or("", |at| &video[at..])
}

impl SubjectTable {
    /// The final numbers.
    ///
    /// # Errors
    /// Frames that do not ascend; values that are not finite.
    pub fn predictions(&self) -> Result<VideoPredictions, affwild2::Error> {
        VideoPredictions::new(self.rows.iter().map(|row| FramePrediction {
            frame: row.frame,
            valence_arousal: row.postprocessed.affect.valence_arousal,
            expression: row.postprocessed.affect.expression,
            action_units: row.postprocessed.action_units,
        }))
    }
}

impl Names {
    /// Every ending of every id that begins after a slash, and the ids themselves, which go first.
    pub fn of(inputs: &[PlannedInput]) -> Self {
        let mut names = HashMap::with_capacity(2 * inputs.len());
        for (at, input) in inputs.iter().enumerate() {
            let id = input.id.as_str();
            for (slash, _) in id.match_indices('/') {
                names
                    .entry(id[slash + 1..].to_owned())
                    .and_modify(|named| *named = Named::Ambiguous)
                    .or_insert(Named::Input(at));
            }
        }
        for (at, input) in inputs.iter().enumerate() {
            names.insert(input.id.as_str().to_owned(), Named::Input(at));
        }
        Self(names)
    }

    /// The place of the input that a name leads to.
    pub fn input(&self, name: &str) -> Option<usize> {
        match self.0.get(name)? {
            Named::Input(at) => Some(*at),
            Named::Ambiguous => None,
        }
    }
}

/// Marks the row that speaks for each frame by another rule than the table was made with.
fn mark_subject(rows: &mut [Row], rule: SubjectRule) {
    let mut subjects = Subjects::new();
    for frame in rows.chunk_by(|a, b| a.frame == b.frame) {
        let place = |row: &Row| Some((row.person?, row.sighting.place()?.0));
        let faces: Vec<_> = frame.iter().filter_map(place).collect();
        subjects.observe(&faces);
    }
    let ranking = subjects.rank(rule);
    for frame in rows.chunk_by_mut(|a, b| a.frame == b.frame) {
        let present = || frame.iter().filter_map(|row| row.person);
        let subject = ranking.subject(present()).or(present().min());
        for row in frame {
            row.subject = row.person == subject;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pipeline;
    use crate::run::{Input, InputKind, RunSettings};
    use std::time::{Duration, Instant};

    fn reader(ids: impl IntoIterator<Item = String>) -> RunReader {
        let input = |id: String| Input {
            path: format!("/videos/{id}.mp4").into(),
            id: VideoId::try_from(id).unwrap(),
            kind: InputKind::Video,
            bytes: 1,
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
        assert_eq!(found("v_middle"), None);
        assert_eq!(found("eft"), None);
    }

    #[test]
    fn twenty_thousand_names_are_found_at_once() {
        let reader = reader((0..20_000).map(|video| format!("batch{}/v{video}", video % 3)));
        let start = Instant::now();
        for video in 0..20_000 {
            assert!(reader.input_named(&format!("v{video}_left")).is_some());
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
