//! Tables: one row per frame and person, as Parquet.

mod columns;
mod footer;
mod read;
mod subject;
mod write;

pub use footer::{Counts, FOOTER_KEY, Footer, SECONDS_KEY, StageSeconds, Timing, WeightsRecord};
pub use read::{ColumnSelection, read, read_columns, read_footer};
pub use subject::mark_subject;
pub use write::write;

use std::path::PathBuf;

use crate::face::{BoundingBox, Detection, Landmarks, PersonId};
use crate::frame::FrameIndex;
use crate::labels::{Affect, FinalAffect};
use crate::path_error::PathError;

/// How the face of a row was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sighting {
    /// The detector found it in this frame.
    Found(Detection),
    /// The detector did not run on this frame; the tracker carried the face over from others.
    Carried {
        /// The box that the tracker predicts, pixels of the upright frame.
        bounding_box: BoundingBox,
        /// The five landmarks, likewise.
        landmarks: Landmarks,
    },
    /// An aligned crop was the input, so no detector ran.
    Crop,
    /// No face was found; the final values are filled from other frames.
    Missing,
}

impl Sighting {
    /// True if there is a face, on which the network ran.
    pub fn is_face(&self) -> bool {
        !matches!(self, Sighting::Missing)
    }

    /// The detector's score, 0 to 1; `None` for carried faces and crops.
    pub fn score(&self) -> Option<f32> {
        match self {
            Sighting::Found(detection) => Some(detection.score),
            _ => None,
        }
    }

    /// Where the face is in the upright frame, in pixels.
    pub fn place(&self) -> Option<(BoundingBox, Landmarks)> {
        match *self {
            Sighting::Found(detection) => Some((detection.bounding_box, detection.landmarks)),
            Sighting::Carried {
                bounding_box,
                landmarks,
            } => Some((bounding_box, landmarks)),
            Sighting::Crop | Sighting::Missing => None,
        }
    }
}

/// One person in one frame, or a frame without any.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The frame.
    pub frame: FrameIndex,
    /// Presentation time in seconds; `None` for crops.
    pub time_s: Option<f64>,
    /// The person; `None` in a frame without any.
    pub person: Option<PersonId>,
    /// True for the row that submissions take; each frame has exactly one.
    pub subject: bool,
    /// How the face was found, and where.
    pub sighting: Sighting,
    /// The outputs of the network; empty without a face.
    pub raw: Affect,
    /// The final values.
    pub postprocessed: FinalAffect,
}

/// A table cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] PathError),
    /// The file is not a table.
    #[error("{}: not a table written by abaw: {source}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Point;
    use crate::labels::{EXPRESSIONS, Expression, ValenceArousal};
    use proptest::prelude::*;

    fn affect() -> impl Strategy<Value = Affect> {
        (
            proptest::option::of((-1f32..1.0, -1f32..1.0)),
            proptest::option::of(proptest::array::uniform8(0f32..1.0)),
            proptest::option::of(proptest::array::uniform12(0f32..1.0)),
        )
            .prop_map(|(point, expression, action_units)| Affect {
                valence_arousal: point.map(|(valence, arousal)| ValenceArousal { valence, arousal }),
                expression,
                action_units,
            })
    }

    fn place() -> impl Strategy<Value = (BoundingBox, Landmarks)> {
        (
            proptest::array::uniform4(-50f32..2000.0),
            proptest::array::uniform10(-50f32..2000.0),
        )
            .prop_map(|([x1, y1, x2, y2], at)| {
                let points = std::array::from_fn(|nth| Point {
                    x: at[2 * nth],
                    y: at[2 * nth + 1],
                });
                (BoundingBox { x1, y1, x2, y2 }, Landmarks(points))
            })
    }

    fn a_sighting() -> impl Strategy<Value = Sighting> {
        prop_oneof![
            Just(Sighting::Missing),
            Just(Sighting::Crop),
            place().prop_map(|(bounding_box, landmarks)| Sighting::Carried {
                bounding_box,
                landmarks
            }),
            (place(), 0f32..1.0).prop_map(|((bounding_box, landmarks), score)| {
                Sighting::Found(Detection {
                    score,
                    bounding_box,
                    landmarks,
                })
            }),
        ]
    }

    prop_compose! {
        fn row()(
            number in 1u32..,
            time_s in proptest::option::of(-1e4f64..1e6),
            person in proptest::option::of(0u16..),
            subject in any::<bool>(),
            sighting in a_sighting(),
            raw in affect(),
            affect in affect(),
            class in proptest::option::of(0usize..EXPRESSIONS),
            action_units in proptest::option::of(proptest::array::uniform12(any::<bool>())),
        ) -> Row {
            Row {
                frame: FrameIndex::new(number).unwrap_or(FrameIndex::FIRST),
                time_s,
                person: person.map(PersonId),
                subject,
                sighting,
                raw,
                postprocessed: FinalAffect { affect, expression: class.and_then(Expression::from_index), action_units },
            }
        }
    }

    fn footer() -> Footer {
        Footer {
            versions: [("abaw".to_owned(), "0.1.0".to_owned())].into(),
            settings: serde_json::json!({"detector": {"long_side": 640}}),
            settings_hash: "0a".to_owned(),
            raw_settings_hash: "0b".to_owned(),
            weights: Vec::new(),
            inference: "cpu f32".to_owned(),
            postprocess: serde_json::json!({}),
            stream: serde_json::json!({"fps": 25.0}),
            cuts: vec![12],
            input_bytes: 7,
            counts: Counts {
                frames: 1,
                frames_with_face: 1,
                persons: 1,
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(rows in proptest::collection::vec(row(), 0..40)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("batch1/video 1.parquet");
            write(&path, "batch1/video 1", &rows, &footer(), &StageSeconds::new()).unwrap();
            let (read_rows, read_footer) = read(&path).unwrap();
            prop_assert_eq!(read_rows, rows);
            prop_assert_eq!(read_footer, footer());
        }

        #[test]
        fn foreign_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("not.parquet");
            std::fs::write(&path, bytes).unwrap();
            prop_assert!(read(&path).is_err());
        }
    }
}
