//! A run's tables, asked for by the names that challenges give to videos.

use std::collections::HashMap;

use super::input::VideoId;
use super::plan::{Plan, PlanError, PlannedInput};
use super::refinish::{cuts, finish_table, frame_rate};
use super::run_folder::RunFolder;
use crate::affwild2::{self, FramePrediction, VideoPredictions};
use crate::face::subject::{SubjectRule, Subjects};
use crate::postprocess::{Postprocess, PostprocessError, Series};
use crate::table::{self, Footer, Row, TableError};

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
    postprocess: Postprocess,
    by_name: HashMap<String, Named>,
}

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
    /// A plan that cannot be read, or that names a preset that is not there.
    pub fn open(folder: RunFolder) -> Result<Self, PredictionsError> {
        let plan = Plan::read(&folder.plan())?;
        Ok(Self {
            postprocess: plan.postprocess()?,
            by_name: names(&plan.inputs),
            folder,
            plan,
        })
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The input that a challenge means by a video's name, and who of it: the input of this id, or the
    /// only one whose id ends in it (`batch1/2-30-640x360` for `2-30-640x360`). Aff-Wild2 names two people
    /// of one video `<video>_left` and `<video>_right`: without an input of that name, the person on that
    /// side of `<video>`. `None` for the rule: the rows that the table itself marks.
    pub fn input_named(&self, video: &str) -> Option<(&PlannedInput, Option<SubjectRule>)> {
        if let Some(input) = self.named(video) {
            return Some((input, None));
        }
        let rule = SubjectRule::from_video_name(video);
        let SubjectRule::OnSide(_) = rule else {
            return None;
        };
        let (file, _) = video.rsplit_once('_')?;
        Some((self.named(file)?, Some(rule)))
    }

    /// The input of an id, or the only one whose id ends in `name` after a slash.
    ///
    /// # Errors
    /// [`PredictionsError::Unknown`] with the id that is spelt most alike.
    pub fn input(&self, name: &str) -> Result<&PlannedInput, PredictionsError> {
        self.named(name).ok_or_else(|| {
            let likeness =
                |input: &&PlannedInput| (1000.0 * strsim::jaro_winkler(input.id.as_str(), name)) as u32;
            PredictionsError::Unknown {
                name: name.to_owned(),
                nearest: self
                    .plan
                    .inputs
                    .iter()
                    .max_by_key(likeness)
                    .map(|input| input.id.clone()),
            }
        })
    }

    /// All rows of an input's table, and its footer.
    ///
    /// # Errors
    /// A table that is not there, cannot be read, or has other settings than the plan's.
    pub fn table(&self, input: &PlannedInput) -> Result<(Vec<Row>, Footer), PredictionsError> {
        let path = self.folder.table(&input.id);
        if !path.exists() {
            return Err(PredictionsError::NoTable {
                id: input.id.clone(),
                reason: self.folder.read_failure(&input.id).map(|failure| failure.error),
            });
        }
        let (rows, footer) = table::read(&path)?;
        if footer.settings_hash != self.plan.settings_hash {
            return Err(PredictionsError::OtherSettings { id: input.id.clone() });
        }
        Ok((rows, footer))
    }

    fn named(&self, name: &str) -> Option<&PlannedInput> {
        match self.by_name.get(name)? {
            Named::Input(at) => self.plan.inputs.get(*at),
            Named::Ambiguous => None,
        }
    }

    /// The rows of a video's subject; `None` if the run has no table of a video of this name.
    ///
    /// For a person on a side the final numbers are those of a video in which that person is the subject.
    ///
    /// # Errors
    /// A table that cannot be read, or of other settings than the plan's.
    pub fn subject(&self, video: &str) -> Result<Option<SubjectTable>, PredictionsError> {
        let Some((input, rule)) = self.input_named(video) else {
            return Ok(None);
        };
        if !self.folder.table(&input.id).exists() {
            return Ok(None);
        }
        let (mut rows, footer) = self.table(input)?;
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
            finish_table(&mut rows, &footer, &self.postprocess)?;
        }
        rows.retain(|row| row.subject);
        Ok(Some(SubjectTable {
            id: input.id.clone(),
            rows,
            footer,
        }))
    }

    /// What the subject of a video is said to show, frame by frame; `None` if the run has no table of a
    /// video of this name.
    ///
    /// # Errors
    /// As [`RunReader::subject`].
    pub fn predictions(&self, video: &str) -> Result<Option<VideoPredictions>, PredictionsError> {
        let table = self.subject(video)?;
        Ok(table.map(|table| table.predictions()).transpose()?)
    }

    /// What the network said of the subject, before any post-processing.
    ///
    /// # Errors
    /// A table whose frames do not ascend.
    pub fn raw_series(&self, table: &SubjectTable) -> Result<Series, PredictionsError> {
        let frames = table.rows.iter().map(|row| row.frame).collect();
        let raw = |row: &Row| row.sighting.is_face().then_some(row.raw);
        let mut series = Series::new(frames, table.rows.iter().map(raw).collect())?;
        if self.postprocess.stop_at_cuts {
            series = series.with_cuts(&cuts(&table.footer));
        }
        if let Some(rate) = frame_rate(&table.footer) {
            series = series.with_frame_rate(rate);
        }
        Ok(series)
    }
}

impl SubjectTable {
    /// The final numbers.
    ///
    /// # Errors
    /// Frames that do not ascend; values that are not finite.
    pub fn predictions(&self) -> Result<VideoPredictions, affwild2::Error> {
        VideoPredictions::new(self.rows.iter().map(|row| FramePrediction {
            frame: row.frame,
            valence_arousal: row.result.affect.valence_arousal,
            expression: row.result.affect.expression,
            action_units: row.result.action_units,
        }))
    }
}

/// Every ending of every id that begins after a slash, and the ids themselves, which go first.
fn names(inputs: &[PlannedInput]) -> HashMap<String, Named> {
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
    names
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
    use crate::engine::{Input, InputKind, RunSettings};
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
