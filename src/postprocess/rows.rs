//! The step on the rows of a table: which of them form a series.

use std::collections::BTreeMap;

use super::{Postprocess, PostprocessError, Series};
use crate::face::PersonId;
use crate::frame::FrameIndex;
use crate::labels::Affect;
use crate::table::Row;

/// What the network of a table itself said, row by row; `None` where it saw no face.
pub fn raw_predictions(rows: &[Row]) -> Vec<Option<Affect>> {
    let seen = |row: &Row| row.sighting.is_face().then_some(row.raw);
    rows.iter().map(seen).collect()
}

/// Computes the final numbers of a video's rows from what is `said` of each: [`raw_predictions`], or a blend.
///
/// The subject's rows form one series over the whole video, whoever the subject is: it is what
/// submissions take. Rows of other persons are smoothed within the person's own series. `cuts`:
/// first frames of shots. `frame_rate`: frames a second.
///
/// # Errors
/// As [`Postprocess::apply`].
pub fn postprocess_rows(
    rows: &mut [Row],
    said: &[Option<Affect>],
    cuts: &[FrameIndex],
    frame_rate: Option<f64>,
    postprocess: &Postprocess,
) -> Result<(), PostprocessError> {
    let subject: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].subject).collect();
    postprocess_series(rows, said, &subject, |_| true, cuts, frame_rate, postprocess)?;
    let mut persons: BTreeMap<PersonId, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(person) = row.person {
            persons.entry(person).or_default().push(at);
        }
    }
    for places in persons.values() {
        if places.iter().any(|&at| !rows[at].subject) {
            postprocess_series(
                rows,
                said,
                places,
                |row| !row.subject,
                cuts,
                frame_rate,
                postprocess,
            )?;
        }
    }
    Ok(())
}

/// Finishes the rows at `places`, which are of ascending frames, and keeps the result of those that
/// are `wanted`.
fn postprocess_series(
    rows: &mut [Row],
    said: &[Option<Affect>],
    places: &[usize],
    wanted: impl Fn(&Row) -> bool,
    cuts: &[FrameIndex],
    frame_rate: Option<f64>,
    postprocess: &Postprocess,
) -> Result<(), PostprocessError> {
    let frames = places.iter().map(|&at| rows[at].frame).collect();
    let values = places.iter().map(|&at| said.get(at).copied().flatten()).collect();
    let mut series = Series::new(frames, values)?;
    if postprocess.stop_at_cuts {
        series = series.with_cuts(cuts);
    }
    if let Some(rate) = frame_rate {
        series = series.with_frame_rate(rate);
    }
    for (&at, result) in places.iter().zip(postprocess.apply(&series)?) {
        if wanted(&rows[at]) {
            rows[at].postprocessed = result;
        }
    }
    Ok(())
}
