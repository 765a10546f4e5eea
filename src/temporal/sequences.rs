//! Which rows of a video a temporal network sees together.

use std::collections::HashMap;

use crate::face::PersonId;
use crate::frame::FrameIndex;
use crate::table::Row;

/// The frames of one person in one shot in which the person is seen, of ascending number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Indices of the rows.
    pub rows: Vec<usize>,
}

/// Sorts a video's rows, of ascending frames, into sequences. `cuts` ascend. A sequence ends at a cut, and where the person is not seen
/// for more than `reach` frames, over which the network has no memory anyway. `sees`: whether a row shows a face that
/// counts; other rows are in no sequence.
pub fn sequences(
    rows: &[Row],
    cuts: &[FrameIndex],
    reach: u32,
    sees: impl Fn(&Row) -> bool,
) -> Vec<Sequence> {
    let mut sequences: Vec<Sequence> = Vec::new();
    let mut open: HashMap<Option<PersonId>, (usize, FrameIndex)> = HashMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| sees(row)) {
        let goes_on = |last: FrameIndex| {
            let shot = |frame: FrameIndex| cuts.partition_point(|cut| *cut <= frame);
            shot(last) == shot(row.frame) && row.frame.number() - last.number() <= reach
        };
        let number = match open.get(&row.person) {
            Some((number, last)) if goes_on(*last) => *number,
            _ => {
                sequences.push(Sequence { rows: Vec::new() });
                sequences.len() - 1
            }
        };
        sequences[number].rows.push(at);
        open.insert(row.person, (number, row.frame));
    }
    sequences
}
