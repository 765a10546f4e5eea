//! Post-processing of a table's rows: which rows form a series.

use std::collections::BTreeMap;

use super::{FillGap, Postprocess, PostprocessError, Series};
use crate::face::PersonId;
use crate::labels::{Affect, FinalAffect};
use crate::table::{Row, Timing};

/// The raw prediction of each row; `None` where no face was seen.
pub fn raw_predictions(rows: &[Row]) -> Vec<Option<Affect>> {
    let prediction = |row: &Row| row.sighting.is_face().then(|| row.raw.clone());
    rows.iter().map(prediction).collect()
}

/// Computes the final columns of a video's rows from a prediction for each row: [`raw_predictions`], or a blend.
///
/// The subject's rows form one series over the whole video: it is what submissions take. Rows of other persons are
/// smoothed within the person's own series.
///
/// # Errors
/// As [`Postprocess::apply`].
pub fn postprocess_rows(
    rows: &mut [Row],
    predictions: &[Option<Affect>],
    timing: &Timing,
    postprocess: &Postprocess,
) -> Result<(), PostprocessError> {
    let subject: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].subject).collect();
    let finals = postprocess_series(rows, predictions, &subject, timing, postprocess)?;
    for (&at, affect) in subject.iter().zip(finals) {
        rows[at].postprocessed = affect;
    }
    let mut persons: BTreeMap<PersonId, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(person) = row.person {
            persons.entry(person).or_default().push(at);
        }
    }
    for of_person in persons.values() {
        if of_person.iter().all(|&at| rows[at].subject) {
            continue;
        }
        let finals = postprocess_series(rows, predictions, of_person, timing, postprocess)?;
        for (&at, affect) in of_person.iter().zip(finals) {
            if !rows[at].subject {
                rows[at].postprocessed = affect;
            }
        }
    }
    Ok(())
}

/// The final values of the rows with these indices, which are of ascending frames.
fn postprocess_series(
    rows: &[Row],
    predictions: &[Option<Affect>],
    indices: &[usize],
    timing: &Timing,
    postprocess: &Postprocess,
) -> Result<Vec<FinalAffect>, PostprocessError> {
    let of_series = indices
        .iter()
        .map(|&at| (&rows[at], predictions.get(at).cloned().flatten()));
    let Postprocess {
        stop_at_cuts,
        fill_gap_s,
        ..
    } = *postprocess;
    postprocess.apply(&series_of(of_series, timing, stop_at_cuts, fill_gap_s)?)
}

/// The series of some rows of a video, of ascending frames, with the prediction for each. With [`FillGap::UpTo`] a shot
/// of it ends where another person follows: nothing is filled or smoothed from person to person.
///
/// # Errors
/// As [`Series::new`].
pub fn series_of<'rows>(
    rows: impl Iterator<Item = (&'rows Row, Option<Affect>)>,
    timing: &Timing,
    stop_at_cuts: bool,
    gap: FillGap,
) -> Result<Series, PostprocessError> {
    let (mut frames, mut values, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut shots = timing.clone();
    if !stop_at_cuts {
        shots.cuts.clear();
    }
    let mut person: Option<PersonId> = None;
    for (row, prediction) in rows {
        frames.push(row.frame);
        times.push(row.time_s);
        if prediction.is_some() {
            let is_other = person.is_some() && row.person != person;
            if is_other && gap != FillGap::All {
                shots.cuts.push(row.frame);
            }
            person = row.person;
        }
        values.push(prediction);
    }
    let series = Series::new(frames, values)?.with_times(times)?;
    Ok(series.with_timing(&shots, true))
}
