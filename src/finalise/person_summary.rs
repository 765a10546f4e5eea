//! What a run found of each person, in a row: how long, how they felt, what they showed.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type};
use rayon::prelude::*;

use crate::labels::{EXPRESSIONS, Expression};
use crate::run::{PlannedInput, RunReader, RunReaderError};

/// The summary of one person of a video. Shares are of the frames in which the value is known.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonSummary {
    /// Id of the video.
    pub video: String,
    /// Number of the person; `None` for a video without any.
    pub person: Option<i32>,
    /// Rows of the person; of a video without any person, its frames.
    pub frames: u64,
    /// Frames in which the face was seen.
    pub seen: u64,
    /// Frames in which the face was seen well enough; `None` in tables that do not tell.
    pub usable: Option<u64>,
    /// Mean and standard deviation (of a sample) of valence.
    pub valence: Spread,
    /// The same of arousal.
    pub arousal: Spread,
    /// Share of the frames with each expression, in class order; `None` where there is none.
    pub expressions: Option<[f64; EXPRESSIONS]>,
    /// Share of the frames in which each action unit is present, by the name of its column.
    pub action_units: Vec<(String, Option<f64>)>,
    /// The longest stretch of frames with one expression other than neutral.
    pub longest_bout: Option<Bout>,
}

/// Mean and standard deviation of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// `None` without a value.
    pub mean: Option<f64>,
    /// `None` with fewer than two values.
    pub sd: Option<f64>,
}

/// Consecutive frames with one expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bout {
    /// The expression.
    pub expression: Expression,
    /// How many.
    pub frames: u64,
    /// From the first to the end of the last; `None` without times.
    pub seconds: Option<f64>,
}

/// Summarises all persons of a run, in the order of the plan and of their numbers. A video that has no table is an
/// error of its own.
pub fn summarise_persons(run: &RunReader) -> Vec<Result<Vec<PersonSummary>, RunReaderError>> {
    let inputs = &run.plan().inputs;
    inputs.par_iter().map(|input| of_video(run, input)).collect()
}

fn of_video(run: &RunReader, input: &PlannedInput) -> Result<Vec<PersonSummary>, RunReaderError> {
    let mut batches = run.batches(&input.id)?;
    let units: Vec<String> = batches
        .schema()
        .fields()
        .iter()
        .map(|field| field.name())
        .filter(|name| is_action_unit(name))
        .cloned()
        .collect();
    let period_s = batches.footer().stream["fps"].as_f64().map(|fps| 1.0 / fps);
    let frames = batches.footer().counts.frames;
    let mut persons: BTreeMap<i32, Sums> = BTreeMap::new();
    for batch in &mut batches {
        let columns = Columns::of(&batch?, &units);
        for at in 0..columns.rows {
            if let Some(person) = columns.person[at] {
                let sums = persons
                    .entry(person)
                    .or_insert_with(|| Sums::new(units.len(), period_s));
                sums.add(&columns, at);
            }
        }
    }
    if persons.is_empty() {
        let mut nobody = Sums::new(units.len(), period_s).summary(input.id.as_str(), None, &units);
        nobody.frames = frames;
        return Ok(vec![nobody]);
    }
    let persons = persons.into_iter();
    Ok(persons
        .map(|(person, sums)| sums.summary(input.id.as_str(), Some(person), &units))
        .collect())
}

/// Whether a column holds the decisions on an action unit: `au12`.
fn is_action_unit(column: &str) -> bool {
    let number = column.strip_prefix("au");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Values of the columns that are summed up, one a row; those of a column that a table lacks are all `None`.
struct Columns {
    rows: usize,
    frame: Vec<Option<i32>>,
    time_s: Vec<Option<f64>>,
    person: Vec<Option<i32>>,
    detected: Vec<Option<bool>>,
    usable: Option<Vec<Option<bool>>>,
    valence: Vec<Option<f64>>,
    arousal: Vec<Option<f64>>,
    expression: Vec<Option<Expression>>,
    units: Vec<Vec<Option<bool>>>,
}

impl Columns {
    fn of(batch: &RecordBatch, units: &[String]) -> Self {
        let rows = batch.num_rows();
        let as_type = |name: &str, kind: &DataType| cast(batch.column_by_name(name)?, kind).ok();
        let number = |name: &str| {
            let array = as_type(name, &DataType::Int32);
            array.map_or(vec![None; rows], |array| {
                array.as_primitive::<Int32Type>().iter().collect()
            })
        };
        let float = |name: &str| {
            let array = as_type(name, &DataType::Float64);
            array.map_or(vec![None; rows], |array| {
                array.as_primitive::<Float64Type>().iter().collect()
            })
        };
        let flag = |name: &str| -> Option<Vec<Option<bool>>> {
            as_type(name, &DataType::Boolean).map(|array| array.as_boolean().iter().collect())
        };
        let names = as_type("expression", &DataType::Utf8);
        let expression = names.map_or(vec![None; rows], |names| {
            let named = |name: &str| Expression::ALL.into_iter().find(|known| known.name() == name);
            names
                .as_string::<i32>()
                .iter()
                .map(|name| name.and_then(named))
                .collect()
        });
        Self {
            rows,
            frame: number("frame"),
            time_s: float("time_s"),
            person: number("person"),
            detected: flag("detected").unwrap_or_else(|| vec![None; rows]),
            usable: flag("usable"),
            valence: float("valence"),
            arousal: float("arousal"),
            expression,
            units: units
                .iter()
                .map(|unit| flag(unit).unwrap_or_else(|| vec![None; rows]))
                .collect(),
        }
    }
}

/// Sums over the rows of one person, in the order of frames.
struct Sums {
    frames: u64,
    seen: u64,
    usable: Option<u64>,
    valence: Moments,
    arousal: Moments,
    expressions: [u64; EXPRESSIONS],
    /// Frames with each unit, and frames in which it is known.
    units: Vec<[u64; 2]>,
    /// The stretch that ends with the last row, with its first time, and the last row's frame.
    bout: Option<(Bout, Option<f64>, i32)>,
    longest: Option<Bout>,
    period_s: Option<f64>,
}

impl Sums {
    fn new(units: usize, period_s: Option<f64>) -> Self {
        Self {
            frames: 0,
            seen: 0,
            usable: None,
            valence: Moments::default(),
            arousal: Moments::default(),
            expressions: [0; EXPRESSIONS],
            units: vec![[0; 2]; units],
            bout: None,
            longest: None,
            period_s,
        }
    }

    fn add(&mut self, columns: &Columns, at: usize) {
        self.frames += 1;
        self.seen += u64::from(columns.detected[at] == Some(true));
        if let Some(usable) = &columns.usable {
            *self.usable.get_or_insert(0) += u64::from(usable[at] == Some(true));
        }
        self.valence.add(columns.valence[at]);
        self.arousal.add(columns.arousal[at]);
        if let Some(expression) = columns.expression[at] {
            self.expressions[expression.index()] += 1;
        }
        for ([present, known], unit) in self.units.iter_mut().zip(&columns.units) {
            *known += u64::from(unit[at].is_some());
            *present += u64::from(unit[at] == Some(true));
        }
        self.go_on(columns.frame[at], columns.time_s[at], columns.expression[at]);
    }

    /// Takes the next frame of a stretch, or ends it.
    fn go_on(&mut self, frame: Option<i32>, time_s: Option<f64>, expression: Option<Expression>) {
        let expression = expression.filter(|expression| *expression != Expression::Neutral);
        let (Some(frame), Some(expression)) = (frame, expression) else {
            self.bout = None;
            return;
        };
        let before = self
            .bout
            .filter(|(bout, _, last)| bout.expression == expression && last + 1 == frame);
        let (frames, start_s) = before.map_or((0, time_s), |(bout, start_s, _)| (bout.frames, start_s));
        let lasted_s = time_s.zip(start_s).map(|(time_s, start_s)| time_s - start_s);
        let bout = Bout {
            expression,
            frames: frames + 1,
            seconds: lasted_s
                .zip(self.period_s)
                .map(|(lasted_s, period_s)| lasted_s + period_s),
        };
        self.bout = Some((bout, start_s, frame));
        if self.longest.is_none_or(|longest| bout.frames > longest.frames) {
            self.longest = Some(bout);
        }
    }

    fn summary(self, video: &str, person: Option<i32>, units: &[String]) -> PersonSummary {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let known: u64 = self.expressions.iter().sum();
        let units = units.iter().cloned().zip(self.units);
        PersonSummary {
            video: video.to_owned(),
            person,
            frames: self.frames,
            seen: self.seen,
            usable: self.usable,
            valence: self.valence.spread(),
            arousal: self.arousal.spread(),
            expressions: (known > 0).then(|| self.expressions.map(|count| count as f64 / known as f64)),
            action_units: units
                .map(|(unit, [present, known])| (unit, share(present, known)))
                .collect(),
            longest_bout: self.longest,
        }
    }
}

/// Count, mean and sum of squared deviations of values seen so far (Welford 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        self.count += 1;
        let away = value - self.mean;
        self.mean += away / self.count as f64;
        self.squares += away * (value - self.mean);
    }

    fn spread(&self) -> Spread {
        Spread {
            mean: (self.count > 0).then_some(self.mean),
            sd: (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt()),
        }
    }
}

impl PersonSummary {
    /// The columns of `summary.csv`, and of the objects of `abaw summary --json`, with their values as JSON.
    pub fn columns(&self) -> Vec<(String, serde_json::Value)> {
        use serde_json::json;
        let mut columns: Vec<(String, serde_json::Value)> = [
            ("video", json!(self.video)),
            ("person", json!(self.person)),
            ("frames", json!(self.frames)),
            ("seen", json!(self.seen)),
            ("usable", json!(self.usable)),
            ("valence_mean", json!(self.valence.mean)),
            ("valence_sd", json!(self.valence.sd)),
            ("arousal_mean", json!(self.arousal.mean)),
            ("arousal_sd", json!(self.arousal.sd)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for expression in Expression::ALL {
            let share = self.expressions.map(|shares| shares[expression.index()]);
            columns.push((format!("expr_{}", expression.name().to_lowercase()), json!(share)));
        }
        columns.extend(
            self.action_units
                .iter()
                .map(|(unit, share)| (unit.clone(), json!(share))),
        );
        let bout = self.longest_bout;
        let of_bout = [
            ("longest_bout", json!(bout.map(|bout| bout.expression.name()))),
            ("longest_bout_frames", json!(bout.map(|bout| bout.frames))),
            ("longest_bout_s", json!(bout.and_then(|bout| bout.seconds))),
        ];
        columns.extend(of_bout.map(|(name, value)| (name.to_owned(), value)));
        columns
    }
}
