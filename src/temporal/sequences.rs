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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{Affect, FinalAffect};
    use crate::table::Sighting;

    fn row(frame: u32, person: u16) -> Row {
        Row {
            frame: FrameIndex::new(frame).unwrap(),
            time_s: None,
            person: Some(PersonId(person)),
            subject: true,
            sighting: Sighting::Crop,
            quality: None,
            usable: None,
            raw: Affect::default(),
            postprocessed: FinalAffect::default(),
        }
    }

    #[test]
    fn a_sequence_is_one_person_in_one_shot_without_a_long_gap() {
        let frames = [(1, 0), (1, 7), (2, 0), (4, 0), (5, 7), (8, 0), (12, 0), (13, 0)];
        let rows: Vec<Row> = frames.map(|(frame, person)| row(frame, person)).to_vec();
        let cuts = [5, 13].map(|frame| FrameIndex::new(frame).unwrap());
        let found = |reach, sees: &dyn Fn(&Row) -> bool| {
            let found = sequences(&rows, &cuts, reach, sees).into_iter();
            found.map(|sequence| sequence.rows).collect::<Vec<_>>()
        };
        assert_eq!(
            found(4, &|_| true),
            [vec![0, 2, 3], vec![1], vec![4], vec![5, 6], vec![7]],
            "cut before frames 5 and 13; from 8 to 12 the network reaches"
        );
        assert_eq!(
            found(1, &|row| row.person == Some(PersonId(0))),
            [vec![0, 2], vec![3], vec![5], vec![6], vec![7]]
        );
    }
}
