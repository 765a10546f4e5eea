//! Finished runs: final columns from raw ones, runs blended, the subject of a video, scores beside labels.

mod evaluation;
mod postprocess_run;
mod postprocessor;
mod predictions;
mod run_blend;

pub use evaluation::{Evaluation, ScoredVideo, evaluate, labelled_videos};
pub use postprocess_run::{RefinishError, Refinished, refinish, refinish_run};
pub use postprocessor::{Finishing, FinishingError};
pub use predictions::{PredictionsError, RunReader, SubjectTable};
pub use run_blend::{BlendError, Blended, name_contents};
