//! The labels of each video of a run, and the scores of the run on them.

use std::collections::HashMap;

use super::error::ReportError;
use crate::affwild2::{FrameLabel, LabelRow, Labels};
use crate::finalise::{self, Evaluation};
use crate::frame::FrameIndex;
use crate::metrics::{Scores, Tally};
use crate::run::{RunReader, VideoId};

/// Labels, sorted by the videos of a run, and the run's scores on them.
pub struct LabelledRun<'a> {
    evaluation: Evaluation,
    by_video: HashMap<VideoId, Vec<VideoLabels<'a>>>,
}

/// The labels of one person of a video.
pub struct VideoLabels<'a> {
    /// The name in the labels.
    pub name: &'a str,
    /// Whether they are labels of the subject, rather than of a person on one side.
    pub is_subject: bool,
    rows: Vec<&'a LabelRow>,
}

impl<'a> LabelledRun<'a> {
    /// Scores the run as [`finalise::evaluate`] does.
    ///
    /// # Errors
    /// A table that cannot be read; labels of which the run has no video at all.
    pub fn new(run: &RunReader, labels: &'a Labels) -> Result<Self, ReportError> {
        let evaluation = finalise::evaluate(run, labels)?;
        if evaluation.videos.is_empty() {
            return Err(ReportError::OtherLabels {
                first: evaluation.unknown.first().cloned().unwrap_or_default(),
                videos: evaluation.unknown.len(),
            });
        }
        let mut by_video: HashMap<VideoId, Vec<VideoLabels>> = HashMap::new();
        for (name, rows) in labels.by_video() {
            if let Some((input, rule)) = run.input_named(name) {
                by_video.entry(input.id.clone()).or_default().push(VideoLabels {
                    name,
                    is_subject: rule.is_none(),
                    rows,
                });
            }
        }
        Ok(Self { evaluation, by_video })
    }

    /// The labels of a video, one person each.
    pub fn of(&self, id: &VideoId) -> impl Iterator<Item = &VideoLabels<'a>> {
        self.by_video.get(id).into_iter().flatten()
    }

    /// The scores of a video, all its labelled persons together, one mask a task.
    pub fn scores_of(&self, id: &VideoId) -> Option<Scores> {
        let of_it = self.evaluation.videos.iter().filter(|video| video.input == *id);
        let tally = Tally::merged(of_it.map(|video| &video.tally));
        (tally != Tally::default()).then(|| tally.per_task.scores())
    }

    /// Over all videos.
    pub fn tally(&self) -> Tally {
        self.evaluation.tally()
    }

    /// One tally an input, for draws of videos.
    pub fn by_input(&self) -> Vec<Tally> {
        self.evaluation.by_input()
    }

    /// Videos scored.
    pub fn videos(&self) -> usize {
        self.evaluation.videos.len()
    }

    /// Returns the labelled videos that are not in the run.
    pub fn unknown(&self) -> Vec<String> {
        self.evaluation.unknown.clone()
    }
}

impl VideoLabels<'_> {
    /// Returns one label for each frame of the video; the last, if a frame is labelled twice.
    pub fn by_position(&self, frames: &[FrameIndex]) -> Vec<FrameLabel> {
        let mut labels = vec![FrameLabel::default(); frames.len()];
        for row in &self.rows {
            if let Ok(position) = frames.binary_search(&row.frame) {
                labels[position] = row.label;
            }
        }
        labels
    }
}
