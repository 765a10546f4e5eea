//! Tables: one row per frame and person, as Parquet.

mod batches;
mod column_order;
mod columns;
mod features;
mod footer;
mod read;
mod row;
mod subject;
mod write;

pub use batches::TableBatches;
pub use column_order::mark_type_defined;
pub use features::{FaceFeature, FeatureCard, FeatureReader, write_features};
pub use footer::{
    Counts, FOOTER_KEY, Footer, SECONDS_KEY, StageSeconds, Timing, WeightsRecord, extra_units,
    name_with_weakness, weak_expressions,
};
pub use read::{ColumnSelection, read, read_columns, read_footer};
pub use row::{Row, Sighting};
pub use subject::mark_subject;
pub use write::write;

use std::path::PathBuf;

use crate::path_error::PathError;

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
    use crate::face::{BoundingBox, Detection, HeadPose, Landmarks, PersonId, Point, Quality};
    use crate::frame::FrameIndex;
    use crate::labels::{Affect, EXPRESSIONS, Expression, ExtraUnit, FinalAffect, ValenceArousal};
    use proptest::prelude::*;

    fn affect() -> impl Strategy<Value = Affect> {
        (
            proptest::option::of((-1f32..1.0, -1f32..1.0)),
            proptest::option::of(proptest::array::uniform8(0f32..1.0)),
            proptest::array::uniform12(proptest::option::of(0f32..1.0)),
            proptest::array::uniform2(proptest::option::of(0f32..1.0)),
        )
            .prop_map(|(point, expression, action_units, extra_units)| Affect {
                valence_arousal: point.map(|(valence, arousal)| ValenceArousal { valence, arousal }),
                expression,
                action_units,
                extra_units: extra_units.into(),
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
        fn quality()(
            pose in proptest::option::of(proptest::array::uniform3(-180f32..180.0)),
            alignment_error in proptest::option::of(0f32..10.0),
            sharpness in proptest::option::of(0f32..10.0),
            face_px in proptest::option::of(0f32..1000.0),
        ) -> Quality {
            let pose = pose.map(|[roll, pitch, yaw]| HeadPose { roll, pitch, yaw });
            Quality { pose, alignment_error, sharpness, face_px }
        }
    }

    prop_compose! {
        fn row()(
            number in 0u32..=i32::MAX.unsigned_abs(),
            time_s in proptest::option::of(-1e4f64..1e6),
            person in proptest::option::of(0u16..=i16::MAX.unsigned_abs()),
            subject in any::<bool>(),
            sighting in a_sighting(),
            quality in proptest::option::of(quality()),
            usable in any::<Option<bool>>(),
            raw in affect(),
            affect in affect(),
            class in proptest::option::of(0usize..EXPRESSIONS),
            action_units in proptest::array::uniform12(any::<Option<bool>>()),
            extra_units in proptest::array::uniform2(any::<Option<bool>>()),
        ) -> Row {
            Row {
                frame: FrameIndex::new(number).unwrap_or(FrameIndex::FIRST),
                time_s,
                person: person.map(PersonId),
                subject,
                sighting,
                quality: quality.filter(|quality| *quality != Quality::default()),
                usable,
                raw,
                postprocessed: FinalAffect {
                    affect,
                    expression: class.and_then(Expression::from_index),
                    action_units,
                    extra_units: extra_units.into(),
                },
            }
        }
    }

    fn footer() -> Footer {
        Footer {
            versions: [("abaw".to_owned(), "0.1.0".to_owned())].into(),
            settings: serde_json::json!({"detector": {"long_side": 640}}),
            settings_hash: "0a".to_owned(),
            raw_settings_hash: "0b".to_owned(),
            weights: vec![WeightsRecord {
                role: "affect".to_owned(),
                weights: WeightsRecord::TRAINED.to_owned(),
                source: "network.safetensors".to_owned(),
                sha256: None,
                missing_tasks: Vec::new(),
                extra_units: [5, 14].into_iter().filter_map(ExtraUnit::new).collect(),
                weak_expressions: vec![crate::labels::Expression::Fear],
            }],
            inference: "cpu f32".to_owned(),
            postprocess: serde_json::json!({}),
            stream: serde_json::json!({"fps": 25.0}),
            cuts: vec![12],
            input_bytes: 7,
            input_modified: None,
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
