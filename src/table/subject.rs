//! The subject of a table, chosen anew.

use super::Row;
use crate::face::subject::{SubjectRule, Subjects};

/// Marks one row of each frame as the subject's, by another rule than the one the table was made with.
///
/// `rows`: those of a whole video, in ascending order of frames. In a frame without the first person of the ranking the
/// next one takes the place, so that each frame has exactly one subject.
pub fn mark_subject(rows: &mut [Row], rule: SubjectRule) {
    let mut subjects = Subjects::new();
    for frame in rows.chunk_by(|a, b| a.frame == b.frame) {
        let face = |row: &Row| Some((row.person?, row.sighting.location()?.0));
        let faces: Vec<_> = frame.iter().filter_map(face).collect();
        subjects.observe(&faces);
    }
    let ranking = subjects.rank(rule);
    for frame in rows.chunk_by_mut(|a, b| a.frame == b.frame) {
        let present = || frame.iter().filter_map(|row| row.person);
        let subject = ranking.subject(present()).or(present().min());
        for row in frame {
            row.subject = row.person == subject;
        }
    }
}
