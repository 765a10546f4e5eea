//! From raw to final columns: the post-processing of a run, and the runs that are blended into it.

use super::run_blend::{Blend, BlendError, Blended};
use crate::face::QualityLimits;
use crate::labels::Affect;
use crate::postprocess::{Postprocess, PostprocessError, postprocess_rows, raw_predictions};
use crate::run::{Plan, VideoId};
use crate::table::{Row, Timing};

/// Final columns cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PostprocessorError {
    /// The settings or a series are not valid.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    /// Runs cannot be blended.
    #[error(transparent)]
    Blend(#[from] BlendError),
}

/// Makes the final columns of a run. Any number of threads may use it at once.
pub struct Postprocessor {
    postprocess: Postprocess,
    quality: QualityLimits,
    blend: Option<Blend>,
}

impl Postprocessor {
    /// The post-processing that a plan asks for.
    ///
    /// # Errors
    /// A preset that does not exist; another run that cannot be read, or has changed.
    pub fn of(plan: &Plan) -> Result<Self, PostprocessorError> {
        Ok(Self {
            postprocess: plan.postprocess()?,
            quality: plan.settings.pipeline.quality,
            blend: Blend::of(plan)?,
        })
    }

    /// The prediction for each row before post-processing: that of the run itself, or a blend of several runs. `None`
    /// where none of them saw the face, or the look at it does not count.
    ///
    /// `side`: the ending of the name by which the video is asked for, `_left` or `_right`, or nothing.
    ///
    /// # Errors
    /// As [`Blend::predictions`].
    pub fn predictions(
        &self,
        id: &VideoId,
        side: &str,
        rows: &[Row],
    ) -> Result<Vec<Option<Affect>>, BlendError> {
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
        let predictions = self.predictions(id, side, rows)?;
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
        Ok(record)
    }

    /// The runs that are blended in.
    pub fn blended(&self) -> Vec<Blended> {
        self.blend.as_ref().map(Blend::blended).unwrap_or_default()
    }
}
