//! From raw to final columns: the post-processing of a run, with the runs that are blended into it or its temporal network.

use super::run_blend::{self, Blend, BlendError, Blended};
use super::temporal_outputs::{self, TemporalError, TemporalOutputs};
use crate::face::QualityLimits;
use crate::labels::Affect;
use crate::postprocess::{
    Postprocess, PostprocessError, PostprocessSettings, postprocess_rows, raw_predictions,
};
use crate::run::{Plan, RunFolder, VideoId};
use crate::table::{Row, Timing};
use crate::temporal::TemporalCard;

/// Final columns cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PostprocessorError {
    /// The settings or a series are not valid.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// Runs cannot be blended.
    #[error(transparent)]
    Blend(#[from] BlendError),
    /// A temporal network cannot be used.
    #[error(transparent)]
    Temporal(#[from] TemporalError),
}

/// Writes hashes of the runs to be blended and of the temporal network into the settings, so that a later change is
/// noticed, and makes the paths absolute.
///
/// # Errors
/// A run or a network that cannot be read.
pub fn record_contents(settings: &mut PostprocessSettings) -> Result<(), PostprocessorError> {
    run_blend::record_contents(&mut settings.blend)?;
    Ok(temporal_outputs::record_network(&mut settings.temporal)?)
}

/// Makes the final columns of a run. Any number of threads may use it at once.
pub struct Postprocessor {
    postprocess: Postprocess,
    quality: QualityLimits,
    blend: Option<Blend>,
    temporal: Option<TemporalOutputs>,
}

impl Postprocessor {
    /// The post-processing that a run's plan asks for.
    ///
    /// # Errors
    /// A preset that does not exist; another run or a temporal network that cannot be read, has changed or does not fit.
    pub fn of(run: &RunFolder, plan: &Plan) -> Result<Self, PostprocessorError> {
        Ok(Self {
            postprocess: plan.postprocess()?,
            quality: plan.settings.pipeline.quality,
            blend: Blend::of(plan)?,
            temporal: TemporalOutputs::of(run, plan)?,
        })
    }

    /// The prediction for each row before post-processing: that of the run itself, a blend of several runs, or the
    /// temporal network's. `None` where none of them saw the face, or the look at it does not count.
    ///
    /// `side`: the ending of the name by which the video is asked for, `_left` or `_right`, or nothing.
    ///
    /// # Errors
    /// As [`Blend::predictions`] and [`TemporalOutputs::predictions`].
    pub fn predictions(
        &self,
        id: &VideoId,
        side: &str,
        rows: &[Row],
        timing: &Timing,
    ) -> Result<Vec<Option<Affect>>, PostprocessorError> {
        if let Some(temporal) = &self.temporal {
            return Ok(temporal.predictions(id, rows, timing, |row| self.postprocess.sees(row))?);
        }
        let mut predictions = match &self.blend {
            Some(blend) => blend.predictions(id, side, rows)?,
            None => raw_predictions(rows),
        };
        for (prediction, row) in predictions.iter_mut().zip(rows) {
            if row.sighting.is_face() && !self.postprocess.sees(row) {
                *prediction = None;
            }
        }
        Ok(predictions)
    }

    /// Computes the final columns of a video's rows, and whether looks are usable. `side`: as for
    /// [`Postprocessor::predictions`].
    ///
    /// # Errors
    /// As [`Postprocessor::predictions`] and [`postprocess_rows`].
    pub fn apply(
        &self,
        id: &VideoId,
        side: &str,
        rows: &mut [Row],
        timing: &Timing,
    ) -> Result<(), PostprocessorError> {
        for row in &mut *rows {
            row.usable = row.quality.map(|quality| self.quality.allow(&quality));
        }
        let predictions = self.predictions(id, side, rows, timing)?;
        Ok(postprocess_rows(rows, &predictions, timing, &self.postprocess)?)
    }

    /// The post-processing as table footers record it.
    ///
    /// # Errors
    /// Only if it cannot be written as JSON.
    pub fn record(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut record = serde_json::to_value(&self.postprocess)?;
        if let Some(blend) = &self.blend {
            record["blend"] = blend.record();
        }
        if let Some(temporal) = &self.temporal {
            record["temporal"] = temporal.record();
        }
        Ok(record)
    }

    /// What is known of the temporal network, if there is one.
    pub fn temporal_card(&self) -> Option<&TemporalCard> {
        self.temporal.as_ref().map(TemporalOutputs::card)
    }

    /// The runs that are blended in.
    pub fn blended(&self) -> Vec<Blended> {
        self.blend.as_ref().map(Blend::blended).unwrap_or_default()
    }
}
