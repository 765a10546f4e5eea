//! The subject of a video in a run: final predictions for a submission, raw ones for tuning.

use std::collections::HashSet;
use std::sync::Arc;

use super::postprocessor::{Postprocessor, PostprocessorError};
use crate::affwild2::{self, FramePrediction, VideoPredictions};
use crate::frame::FrameIndex;
use crate::postprocess::{Postprocess, PostprocessError, Series, series_of};
use crate::run::{RunReader, RunReaderError, VideoId};
use crate::table::{ColumnSelection, Footer, Row, mark_subject};
use crate::temporal::TemporalCard;

/// The predictions for a subject cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] RunReaderError),
    /// The table does not make a submission.
    #[error(transparent)]
    Form(#[from] affwild2::Error),
    /// The frames of a table do not make a series.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// The post-processing that the plan asks for cannot be made, or failed.
    #[error(transparent)]
    Postprocessor(#[from] Arc<PostprocessorError>),
}

/// Reads the subjects of a run's videos. Any number of threads may use it at once.
pub struct SubjectReader<'run> {
    run: &'run RunReader,
    /// An error counts only where the postprocessor is needed: most tables hold all that is asked for, and are read
    /// even when a run that was blended in is gone.
    postprocessor: Result<Postprocessor, Arc<PostprocessorError>>,
}

/// The rows of one person over one video.
pub struct SubjectTable {
    /// The input of the table.
    pub id: VideoId,
    /// The rows of the subject, one a frame.
    pub rows: Vec<Row>,
    /// The footer of the table.
    pub footer: Footer,
    /// The post-processing of the run.
    pub postprocess: Postprocess,
}

/// The predictions for one person over one video before any post-processing.
pub struct RawSubject {
    /// The input of the table.
    pub id: VideoId,
    /// The predictions, frame by frame.
    pub series: Series,
    /// The frames with a usable look at the face (column `usable`).
    pub usable: HashSet<FrameIndex>,
}

impl<'run> SubjectReader<'run> {
    /// The reader of a run's subjects.
    pub fn of(run: &'run RunReader) -> Self {
        Self {
            run,
            postprocessor: Postprocessor::of(run.folder(), run.plan()).map_err(Arc::new),
        }
    }

    /// The run.
    pub fn run(&self) -> &'run RunReader {
        self.run
    }

    /// The rows of a video's subject; `None` if the run has no table of a video of this name.
    ///
    /// For a person on a side (see [`RunReader::input_named`]) the final columns are made anew, as those of a video in
    /// which that person is the subject.
    ///
    /// # Errors
    /// A table that cannot be read, or of other settings than the plan's; for a person on a side also a run that was
    /// blended in and cannot be read any more.
    pub fn table(&self, video: &str) -> Result<Option<SubjectTable>, SubjectError> {
        self.read(video, ColumnSelection::All)
    }

    /// The final predictions for the subject of a video, frame by frame; `None` if the run has no table of a video of
    /// this name.
    ///
    /// # Errors
    /// As [`SubjectReader::table`]; frames that do not ascend; values that are not finite.
    pub fn predictions(&self, video: &str) -> Result<Option<VideoPredictions>, SubjectError> {
        let table = self.read(video, ColumnSelection::Final)?;
        Ok(table.map(|table| table.predictions()).transpose()?)
    }

    fn read(&self, video: &str, columns: ColumnSelection) -> Result<Option<SubjectTable>, SubjectError> {
        let Some((input, rule)) = self.run.input_named(video) else {
            return Ok(None);
        };
        // For another subject the final columns are made anew, so they need not be read.
        let columns = match (rule, columns) {
            (Some(_), ColumnSelection::Final) => ColumnSelection::Raw,
            _ => columns,
        };
        let Some((mut rows, footer)) = self.run.columns(&input.id, columns)? else {
            return Ok(None);
        };
        if let Some(rule) = rule {
            mark_subject(&mut rows, rule);
            self.postprocessor()?
                .apply(&input.id, side(video), &mut rows, &footer.timing())
                .map_err(Arc::new)?;
        }
        rows.retain(|row| row.subject);
        Ok(Some(SubjectTable {
            id: input.id.clone(),
            rows,
            footer,
            postprocess: self.run.plan().postprocess()?,
        }))
    }

    /// The predictions for a video's subject before any post-processing, blended with other runs if the plan asks for
    /// it; `None` if the run has no table of a video of this name.
    ///
    /// # Errors
    /// A table that cannot be read, or of other settings than the plan's; a run to be blended in that cannot be read;
    /// frames that do not ascend.
    pub fn raw_series(&self, video: &str) -> Result<Option<RawSubject>, SubjectError> {
        let Some((input, rule)) = self.run.input_named(video) else {
            return Ok(None);
        };
        let Some((mut rows, footer)) = self.run.columns(&input.id, ColumnSelection::Raw)? else {
            return Ok(None);
        };
        let side = match rule {
            Some(rule) => {
                mark_subject(&mut rows, rule);
                side(video)
            }
            None => "",
        };
        let timing = footer.timing();
        let predictions = self
            .postprocessor()?
            .predictions(&input.id, side, &rows, &timing)
            .map_err(Arc::new)?;
        let of_subject = rows.iter().zip(predictions).filter(|(row, _)| row.subject);
        let settings = &self.run.plan().settings.pipeline.postprocess;
        let series = series_of(of_subject, &timing, settings.stop_at_cuts, settings.fill_gap_s)?;
        let of_usable = rows.iter().filter(|row| row.subject && row.usable == Some(true));
        Ok(Some(RawSubject {
            id: input.id.clone(),
            series,
            usable: of_usable.map(|row| row.frame).collect(),
        }))
    }

    /// What is known of the run's temporal network; `None` if it has none.
    ///
    /// # Errors
    /// A network that cannot be read any more: then nobody can tell what it was trained on.
    pub fn temporal_card(&self) -> Result<Option<&TemporalCard>, SubjectError> {
        let settings = &self.run.plan().settings.pipeline.postprocess;
        match settings.temporal.is_empty() {
            true => Ok(None),
            false => Ok(self.postprocessor()?.temporal_card()),
        }
    }

    fn postprocessor(&self) -> Result<&Postprocessor, Arc<PostprocessorError>> {
        self.postprocessor.as_ref().map_err(Arc::clone)
    }
}

/// The ending of a name that asks for a person on a side: `_left` or `_right`.
fn side(video: &str) -> &str {
    video.rfind('_').map_or("", |at| &video[at..])
}

impl SubjectTable {
    /// The final predictions.
    ///
    /// # Errors
    /// Frames that do not ascend; values that are not finite.
    pub fn predictions(&self) -> Result<VideoPredictions, affwild2::Error> {
        VideoPredictions::new(self.rows.iter().map(|row| FramePrediction {
            frame: row.frame,
            valence_arousal: row.postprocessed.affect.valence_arousal,
            expression: row.postprocessed.affect.expression,
            action_units: row.postprocessed.all_action_units(),
            filled: !self.postprocess.sees(row) && row.postprocessed.affect.has_numbers(),
            usable: row.usable == Some(true),
        }))
    }
}
