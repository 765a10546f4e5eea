//! Final columns made anew from the raw ones, as `abaw postprocess` does: without decoding and without a network.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::postprocessor::{Postprocessor, PostprocessorError};
use super::run_blend::Blended;
use crate::error_chain::sentence;
use crate::path_error::PathError;
use crate::publish::publish_json;
use crate::run::{
    Event, InputTotals, Plan, PlanError, PlannedInput, RunFolder, RunSummary, Stage, TableState,
};
use crate::stop::Stop;
use crate::table::{self, Footer};

/// A run's final columns cannot be made anew.
#[derive(Debug, thiserror::Error)]
pub enum PostprocessRunError {
    /// The plan cannot be written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The post-processing that the plan asks for cannot be made.
    #[error(transparent)]
    Postprocessor(#[from] PostprocessorError),
    /// The summary of the run cannot be written.
    #[error(transparent)]
    File(#[from] PathError),
}

/// The result of post-processing a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostprocessSummary {
    /// Inputs whose table was rewritten, was current already, or failed.
    pub tables: InputTotals,
    /// Inputs without a table: not annotated yet, or failed.
    pub absent: u64,
    /// Frames of all rewritten tables.
    pub frames: u64,
    /// True if a signal stopped the work before its end.
    pub stopped: bool,
    /// The runs that were blended into the rewritten tables.
    pub blended: Vec<Blended>,
}

/// Makes the final columns of all tables of a run as `plan` asks for, many videos at once.
///
/// `plan` must be that of the run except for its post-processing. It is published first: when the work stops half way,
/// the tables that are left differ from the plan and are recognised. Raw columns stay as they are; each table is replaced
/// by rename.
///
/// # Errors
/// A preset that does not exist, a blended run that cannot be read or has changed, a plan or summary that cannot be
/// written. The failure of one table is an [`Event::Failed`]; that table stays as it was.
pub fn postprocess_run(
    run: &RunFolder,
    plan: &Plan,
    stop: &Stop,
    on_event: &mut (dyn FnMut(&Event) + Send),
) -> Result<PostprocessSummary, PostprocessRunError> {
    let postprocessor = Postprocessor::of(run, plan)?;
    plan.freeze(run, true)?;
    let (absent, frames) = (AtomicU64::new(0), AtomicU64::new(0));
    let seen = Mutex::new((InputTotals::default(), on_event));
    plan.inputs.par_iter().for_each(|input| {
        if stop.asked() {
            return;
        }
        let event = match plan.table_state(run, input) {
            TableState::Current => Event::Skipped { id: input.id.clone() },
            TableState::OtherPostprocess => postprocess_table(run, plan, &postprocessor, input),
            TableState::Absent => {
                absent.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if let Event::Done { counts, .. } = &event {
            frames.fetch_add(counts.frames, Ordering::Relaxed);
        }
        if let Ok(mut seen) = seen.lock() {
            let (tally, on_event) = &mut *seen;
            tally.count(&event);
            on_event(&event);
        }
    });
    let tables = seen.into_inner().map(|(tally, _)| tally).unwrap_or_default();
    let absent = absent.into_inner();
    let stopped = tables.total() + absent < plan.inputs.len() as u64;
    if !stopped {
        update_summary(run, plan)?;
    }
    Ok(PostprocessSummary {
        tables,
        absent,
        frames: frames.into_inner(),
        stopped,
        blended: postprocessor.blended(),
    })
}

/// Makes the final columns of one table, whose raw columns are those of the plan.
pub fn postprocess_table(
    run: &RunFolder,
    plan: &Plan,
    postprocessor: &Postprocessor,
    input: &PlannedInput,
) -> Event {
    rewrite(run, plan, postprocessor, input).unwrap_or_else(|(stage, error)| Event::Failed {
        id: input.id.clone(),
        failure: run.fail(&input.id, &input.path, stage, error),
    })
}

fn rewrite(
    run: &RunFolder,
    plan: &Plan,
    postprocessor: &Postprocessor,
    input: &PlannedInput,
) -> Result<Event, (Stage, String)> {
    let path = run.table(&input.id);
    let in_stage = |stage: Stage| move |error: &dyn Error| (stage, sentence(error));
    let (reading, writing) = (in_stage(Stage::Postprocess), in_stage(Stage::Write));
    let (_, seconds) = table::read_footer(&path).map_err(|error| reading(&error))?;
    let (mut rows, footer) = table::read(&path).map_err(|error| reading(&error))?;
    postprocessor
        .apply(&input.id, "", &mut rows, &footer.timing())
        .map_err(|error| reading(&error))?;
    let footer = Footer {
        settings: serde_json::to_value(&plan.settings).map_err(|error| writing(&error))?,
        settings_hash: plan.settings_hash.clone(),
        postprocess: postprocessor.record().map_err(|error| writing(&error))?,
        ..footer
    };
    table::write(&path, input.id.as_str(), &rows, &footer, &seconds).map_err(|error| writing(&error))?;
    // A record of an earlier failure does no harm, since merge prefers the table.
    let _ = run.forget_failure(&input.id);
    Ok(Event::Done {
        id: input.id.clone(),
        counts: footer.counts,
        seconds,
        damage: None,
        note: None,
    })
}

/// Writes the settings' hash into `run.json`, if there is one.
fn update_summary(run: &RunFolder, plan: &Plan) -> Result<(), PostprocessRunError> {
    let path = run.summary();
    let Ok(text) = std::fs::read(&path) else {
        return Ok(());
    };
    let Ok(mut summary) = serde_json::from_slice::<RunSummary>(&text) else {
        return Ok(());
    };
    summary.settings_hash = plan.settings_hash.clone();
    Ok(publish_json(&path, &summary).map_err(PathError::at(path))?)
}
