//! From raw to final columns: a run's post-processing and the runs that it is blended with.

use super::postprocess_run::{cuts, frame_rate};
use super::run_blend::{Blend, BlendError, Blended};
use crate::frame::FrameIndex;
use crate::labels::Affect;
use crate::postprocess::{Postprocess, PostprocessError, postprocess_rows, raw_predictions};
use crate::run::{Plan, VideoId};
use crate::table::{Footer, Row};

/// Final columns cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PostprocessorError {
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
    #[error(transparent)]
    Blend(#[from] BlendError),
}

/// How a run's final columns are made. Any number of threads may use it at once.
pub struct Postprocessor {
    postprocess: Postprocess,
    blend: Option<Blend>,
}

impl Postprocessor {
    /// What a plan asks for.
    ///
    /// # Errors
    /// A preset that is not there; another run that cannot be read, or has changed.
    pub fn of(plan: &Plan) -> Result<Self, PostprocessorError> {
        Ok(Self {
            postprocess: plan.postprocess()?,
            blend: Blend::of(plan)?,
        })
    }

    /// What is said of each row before post-processing, by the run itself or by all that are blended.
    /// `side`: the ending of the name that the video is asked for by, `_left` or `_right`, or nothing.
    ///
    /// # Errors
    /// As [`Blend::said`].
    pub fn said(&self, id: &VideoId, side: &str, rows: &[Row]) -> Result<Vec<Option<Affect>>, BlendError> {
        match &self.blend {
            Some(blend) => blend.said(id, side, rows),
            None => Ok(raw_predictions(rows)),
        }
    }

    /// Computes the final numbers of a video's rows. `cuts`: first frames of shots. `frame_rate`: frames a
    /// second.
    ///
    /// # Errors
    /// As [`Postprocessor::said`] and [`postprocess_rows`].
    pub fn postprocess(
        &self,
        id: &VideoId,
        side: &str,
        rows: &mut [Row],
        cuts: &[FrameIndex],
        frame_rate: Option<f64>,
    ) -> Result<(), PostprocessorError> {
        let said = self.said(id, side, rows)?;
        Ok(postprocess_rows(
            rows,
            &said,
            cuts,
            frame_rate,
            &self.postprocess,
        )?)
    }

    /// As [`Postprocessor::postprocess`] of a table that was read, with the cuts and the frame rate that its footer tells.
    ///
    /// # Errors
    /// As [`Postprocessor::postprocess`].
    pub fn postprocess_table(
        &self,
        id: &VideoId,
        side: &str,
        rows: &mut [Row],
        footer: &Footer,
    ) -> Result<(), PostprocessorError> {
        self.postprocess(id, side, rows, &cuts(footer), frame_rate(footer))
    }

    /// What tables say of it in their footers.
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

    /// The runs that it is blended with.
    pub fn blended(&self) -> Vec<Blended> {
        self.blend.as_ref().map(Blend::blended).unwrap_or_default()
    }
}
