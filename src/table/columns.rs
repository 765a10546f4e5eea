//! The columns and their order, each with the array that fills it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, StringArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, Schema};

use super::{Row, Sighting};
use crate::face::{Landmarks, PersonId};
use crate::labels::{ActionUnit, Affect, Expression, ExtraUnit};

/// Coordinates in the landmarks column: x and y of five points.
pub(super) const LANDMARK_COORDINATES: i32 = 10;

/// The column of an expression's final probability.
pub(super) fn expression_column(expression: Expression) -> String {
    format!("expr_{}", expression.name().to_lowercase())
}

/// The column of the decision on the action unit of a FACS number.
pub(super) fn action_unit_column(number: u8) -> String {
    format!("au{number}")
}

/// The schema of a table with these extra units.
pub(super) fn schema(extra_units: &[ExtraUnit]) -> Schema {
    let fields: Vec<Field> = columns("", &[], extra_units)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    Schema::new(fields)
}

/// All columns of `rows` in the order of the file.
pub(super) fn columns(video: &str, rows: &[Row], extra_units: &[ExtraUnit]) -> Vec<(Field, ArrayRef)> {
    let mut columns = ColumnBuilder {
        rows,
        built: Vec::with_capacity(88),
    };
    columns.video(video);
    columns.required(
        "frame",
        Int32Array::from_iter_values(rows.iter().map(|row| row.frame.number().cast_signed())),
    );
    columns.nullable(
        "time_s",
        Float64Array::from_iter(rows.iter().map(|row| row.time_s)),
    );
    columns.nullable(
        "person",
        Int16Array::from_iter(rows.iter().map(|row| row.person.map(signed))),
    );
    columns.required(
        "subject",
        BooleanArray::from_iter(rows.iter().map(|row| Some(row.subject))),
    );
    columns.required(
        "detected",
        BooleanArray::from_iter(rows.iter().map(|row| Some(row.sighting.is_face()))),
    );
    columns.float("det_score", |row| row.sighting.score());
    columns.float("box_x1", |row| row.sighting.location().map(|(face, _)| face.x1));
    columns.float("box_y1", |row| row.sighting.location().map(|(face, _)| face.y1));
    columns.float("box_x2", |row| row.sighting.location().map(|(face, _)| face.x2));
    columns.float("box_y2", |row| row.sighting.location().map(|(face, _)| face.y2));
    columns.landmarks();
    columns.float("roll", |row| Some(row.quality?.pose?.roll));
    columns.float("pitch", |row| Some(row.quality?.pose?.pitch));
    columns.float("yaw", |row| Some(row.quality?.pose?.yaw));
    columns.float("alignment_error", |row| row.quality?.alignment_error);
    columns.float("sharpness", |row| row.quality?.sharpness);
    columns.float("face_px", |row| row.quality?.face_px);
    columns.nullable(
        "usable",
        BooleanArray::from_iter(rows.iter().map(|row| row.usable)),
    );
    columns.valence_arousal("", |row| &row.postprocessed.affect);
    columns.expression();
    columns.expression_probabilities("", |row| &row.postprocessed.affect);
    for unit in ActionUnit::ALL {
        let decisions = rows
            .iter()
            .map(|row| row.postprocessed.action_units[unit.index()]);
        columns.nullable(
            &action_unit_column(unit.number()),
            BooleanArray::from_iter(decisions),
        );
    }
    columns.action_unit_probabilities("", |row| &row.postprocessed.affect);
    columns.valence_arousal("_raw", |row| &row.raw);
    columns.expression_probabilities("_raw", |row| &row.raw);
    columns.action_unit_probabilities("_raw", |row| &row.raw);
    for (at, unit) in extra_units.iter().enumerate() {
        let decisions = rows
            .iter()
            .map(|row| row.postprocessed.extra_units.get(at).copied().flatten());
        columns.nullable(
            &action_unit_column(unit.number()),
            BooleanArray::from_iter(decisions),
        );
    }
    columns.extra_unit_probabilities("", extra_units, |row| &row.postprocessed.affect);
    columns.extra_unit_probabilities("_raw", extra_units, |row| &row.raw);
    columns.built
}

/// The number of a person as tables hold it: with a sign, since differences of unsigned columns wrap in pandas and DuckDB.
/// Trackers count within its range.
fn signed(person: PersonId) -> i16 {
    i16::try_from(person.0).unwrap_or(i16::MAX)
}

struct ColumnBuilder<'rows> {
    rows: &'rows [Row],
    built: Vec<(Field, ArrayRef)>,
}

impl ColumnBuilder<'_> {
    fn required(&mut self, name: &str, array: impl arrow::array::Array + 'static) {
        let field = Field::new(name, array.data_type().clone(), false);
        self.built.push((field, Arc::new(array)));
    }

    fn nullable(&mut self, name: &str, array: impl arrow::array::Array + 'static) {
        let field = Field::new(name, array.data_type().clone(), true);
        self.built.push((field, Arc::new(array)));
    }

    fn float(&mut self, name: &str, value: impl Fn(&Row) -> Option<f32>) {
        self.nullable(name, Float32Array::from_iter(self.rows.iter().map(value)));
    }

    fn video(&mut self, video: &str) {
        let keys = Int32Array::from_value(0, self.rows.len());
        let values = Arc::new(StringArray::from(vec![video]));
        self.required("video", DictionaryArray::<Int32Type>::new(keys, values));
    }

    fn expression(&mut self) {
        let keys: Int8Array = self
            .rows
            .iter()
            .map(|row| row.postprocessed.expression.map(|expression| expression as i8))
            .collect();
        let names = Expression::ALL.map(Expression::name).to_vec();
        self.nullable(
            "expression",
            DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(names))),
        );
    }

    /// Where there is no face the list holds ten nulls: pyarrow cannot read a fixed list that is
    /// itself null.
    fn landmarks(&mut self) {
        let coordinates = self.rows.iter().flat_map(|row| {
            let points = row.sighting.location().map(|(_, landmarks)| landmarks.0);
            (0..5).flat_map(move |nth| {
                let point = points.map(|points| points[nth]);
                [point.map(|point| point.x), point.map(|point| point.y)]
            })
        });
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let values = Arc::new(Float32Array::from_iter(coordinates));
        self.nullable(
            "landmarks",
            FixedSizeListArray::new(item, LANDMARK_COORDINATES, values, None),
        );
    }

    fn valence_arousal(&mut self, suffix: &str, of: impl Fn(&Row) -> &Affect) {
        self.float(&format!("valence{suffix}"), |row| {
            of(row).valence_arousal.map(|point| point.valence)
        });
        self.float(&format!("arousal{suffix}"), |row| {
            of(row).valence_arousal.map(|point| point.arousal)
        });
    }

    fn expression_probabilities(&mut self, suffix: &str, of: impl Fn(&Row) -> &Affect) {
        for expression in Expression::ALL {
            self.float(&format!("{}{suffix}", expression_column(expression)), |row| {
                of(row)
                    .expression
                    .map(|probabilities| probabilities[expression.index()])
            });
        }
    }

    fn action_unit_probabilities(&mut self, suffix: &str, of: impl Fn(&Row) -> &Affect) {
        for unit in ActionUnit::ALL {
            let name = format!("{}_prob{suffix}", action_unit_column(unit.number()));
            self.float(&name, |row| of(row).action_units[unit.index()]);
        }
    }

    fn extra_unit_probabilities(&mut self, suffix: &str, units: &[ExtraUnit], of: impl Fn(&Row) -> &Affect) {
        for (at, unit) in units.iter().enumerate() {
            let name = format!("{}_prob{suffix}", action_unit_column(unit.number()));
            self.float(&name, |row| of(row).extra_units.get(at).copied().flatten());
        }
    }
}

/// The sighting that a row's columns describe.
pub(super) fn sighting(
    detected: bool,
    score: Option<f32>,
    place: Option<(crate::face::BoundingBox, Landmarks)>,
) -> Sighting {
    match (detected, score, place) {
        (false, _, _) => Sighting::Missing,
        (true, Some(score), Some((bounding_box, landmarks))) => Sighting::Found(crate::face::Detection {
            score,
            bounding_box,
            landmarks,
        }),
        (true, None, Some((bounding_box, landmarks))) => Sighting::Carried {
            bounding_box,
            landmarks,
        },
        (true, _, None) => Sighting::Crop,
    }
}
