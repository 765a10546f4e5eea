//! A run's final numbers, handed to the challenge formats.

use super::plan::{Plan, PlannedInput};
use super::run_folder::RunFolder;
use crate::affwild2::{self, FramePrediction, VideoPredictions};
use crate::table::{self, TableError};

/// A video's predictions cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Form(#[from] affwild2::Error),
}

impl RunFolder {
    /// What the subject of a video is said to show, frame by frame; `None` if the run has no table
    /// of a video of this name.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn predictions(
        &self,
        plan: &Plan,
        video: &str,
    ) -> Result<Option<VideoPredictions>, PredictionsError> {
        let Some(input) = plan.input_named(video) else {
            return Ok(None);
        };
        let path = self.table(&input.id);
        if !path.exists() {
            return Ok(None);
        }
        let (rows, _) = table::read(&path)?;
        let of_subject = rows
            .into_iter()
            .filter(|row| row.subject)
            .map(|row| FramePrediction {
                frame: row.frame,
                valence_arousal: row.result.affect.valence_arousal,
                expression: row.result.affect.expression,
                action_units: row.result.action_units,
            });
        Ok(Some(VideoPredictions::new(of_subject)?))
    }
}

impl Plan {
    /// The input that a challenge's list means by a video's name: the one of this id, or the only
    /// one whose id ends in it (`batch1/2-30-640x360` for `2-30-640x360`).
    pub fn input_named(&self, video: &str) -> Option<&PlannedInput> {
        let exact = self.inputs.iter().find(|input| input.id.as_str() == video);
        exact.or_else(|| {
            let ending = format!("/{video}");
            let mut fitting = self
                .inputs
                .iter()
                .filter(|input| input.id.as_str().ends_with(&ending));
            fitting.next().filter(|_| fitting.next().is_none())
        })
    }
}
