//! Reads tiers and the time series beside them as corrections.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::write::{EXPRESSION_TIER, SERIES};
use crate::export::annotated::AnnotatedVideo;
use crate::export::annotators::VideoAnnotations;
use crate::export::corrections::{Corrections, PersonLabels};
use crate::export::error::ExportError;
use crate::export::vocabulary::{action_unit_in, expression_in, person_in, person_name};
use crate::face::PersonId;
use crate::labels::{ACTION_UNITS, Expression, ValenceArousal};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "TIME_ORDER", default)]
    times: TimeOrder,
    #[serde(rename = "TIER", default)]
    tiers: Vec<TierElement>,
}

#[derive(Deserialize, Default)]
struct TimeOrder {
    #[serde(rename = "TIME_SLOT", default)]
    slots: Vec<TimeSlot>,
}

#[derive(Deserialize)]
struct TimeSlot {
    #[serde(rename = "@TIME_SLOT_ID")]
    id: String,
    #[serde(rename = "@TIME_VALUE")]
    milliseconds: Option<u64>,
}

#[derive(Deserialize)]
struct TierElement {
    #[serde(rename = "@TIER_ID")]
    id: String,
    #[serde(rename = "ANNOTATION", default)]
    annotations: Vec<AnnotationElement>,
}

#[derive(Deserialize)]
struct AnnotationElement {
    #[serde(rename = "ALIGNABLE_ANNOTATION")]
    alignable: Option<Alignable>,
}

#[derive(Deserialize)]
struct Alignable {
    #[serde(rename = "@TIME_SLOT_REF1")]
    begin: String,
    #[serde(rename = "@TIME_SLOT_REF2")]
    end: String,
    #[serde(rename = "ANNOTATION_VALUE", default)]
    text: String,
}

/// Reads an .eaf that ELAN saved, and the time series beside it if it is there. Tiers with other names than the
/// exported ones are ignored: they are the annotator's own.
pub fn read(path: &Path) -> Result<Vec<VideoAnnotations>, ExportError> {
    let file = std::fs::File::open(path).map_err(ExportError::file(path))?;
    let document: Document = quick_xml::de::from_reader(io::BufReader::new(file))
        .map_err(|error| format!("not an .eaf of ELAN: {error}"))
        .map_err(ExportError::foreign(path))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let series = path.with_file_name(format!("{stem}{SERIES}"));
    let points = match series.exists() {
        true => read_series(&series).map_err(|error| ExportError::foreign(&series)(error))?,
        false => BTreeMap::new(),
    };
    Ok(vec![VideoAnnotations::of_one(None, move |video| {
        corrections(&document, &points, video)
    })])
}

/// Times and points of each person.
type Series = BTreeMap<PersonId, Vec<(f64, ValenceArousal)>>;

fn read_series(path: &Path) -> Result<Series, Box<dyn std::error::Error>> {
    let mut csv = csv::Reader::from_path(path)?;
    let header = csv.headers()?.clone();
    let mut series = Series::new();
    for record in csv.records() {
        let record = record?;
        let time_s: f64 = record.get(0).unwrap_or_default().parse()?;
        for (nth, name) in header.iter().enumerate() {
            let Some((person, "valence")) = person_in(name) else {
                continue;
            };
            let arousal_name = format!("{} arousal", person_name(person));
            let number = |nth: usize| match record.get(nth) {
                None | Some("") => Ok(None),
                Some(text) => text.parse::<f32>().map(Some),
            };
            let arousal = header.iter().position(|name| name == arousal_name);
            let point = number(nth)?.zip(arousal.map(number).transpose()?.flatten());
            if let Some((valence, arousal)) = point {
                if !(-1.0..=1.0).contains(&valence) || !(-1.0..=1.0).contains(&arousal) {
                    return Err(format!("{time_s} s: valence and arousal must be in [-1, 1]").into());
                }
                series
                    .entry(person)
                    .or_default()
                    .push((time_s, ValenceArousal { valence, arousal }));
            }
        }
    }
    Ok(series)
}

fn corrections(document: &Document, series: &Series, video: &AnnotatedVideo) -> Result<Corrections, String> {
    let count = video.frames.len();
    let slots: BTreeMap<&str, Option<u64>> = document
        .times
        .slots
        .iter()
        .map(|slot| (slot.id.as_str(), slot.milliseconds))
        .collect();
    let mut corrections = Corrections::default();
    for tier in &document.tiers {
        let Some((person, content)) = person_in(&tier.id) else {
            continue;
        };
        let unit = action_unit_in(content);
        if unit.is_none() && !content.eq_ignore_ascii_case(EXPRESSION_TIER) {
            continue;
        }
        let labels = corrections.people.entry(Some(person)).or_default();
        match unit {
            // In a tier without annotations, the unit is absent from all frames.
            Some(_) => drop(
                labels
                    .action_units
                    .get_or_insert_with(|| vec![[Some(false); ACTION_UNITS]; count]),
            ),
            None => drop(labels.expression.get_or_insert_with(|| vec![None; count])),
        }
        for annotation in tier
            .annotations
            .iter()
            .filter_map(|annotation| annotation.alignable.as_ref())
        {
            let time_of = |slot: &str| {
                let known = slots.get(slot).copied().flatten();
                known.ok_or_else(|| format!("tier `{}`: an annotation without a time ({slot})", tier.id))
            };
            let (begin, end) = (time_of(&annotation.begin)?, time_of(&annotation.end)?);
            let Some(frames) = video.times.frames(begin as f64 / 1000.0, end as f64 / 1000.0) else {
                continue;
            };
            match unit {
                Some(unit) => labels.set_action_unit(frames, unit, count),
                // An interval without a value is no label.
                None if annotation.text.trim().is_empty() => {}
                None => labels.set_expression(frames, expression(&annotation.text, &tier.id, begin)?, count),
            }
        }
    }
    for (&person, points) in series {
        let labels = corrections.people.entry(Some(person)).or_default();
        set_points(labels, points, video);
    }
    Ok(corrections)
}

fn expression(text: &str, tier: &str, begin: u64) -> Result<Expression, String> {
    expression_in(text).ok_or_else(|| {
        let names = Expression::ALL.map(Expression::name).join(", ");
        format!("tier `{tier}` at {begin} ms: unknown expression `{text}`; expected {names}")
    })
}

fn set_points(labels: &mut PersonLabels, points: &[(f64, ValenceArousal)], video: &AnnotatedVideo) {
    let count = video.frames.len();
    let values = labels.valence_arousal.get_or_insert_with(|| vec![None; count]);
    for &(time_s, point) in points {
        if let Some(value) = values.get_mut(video.times.nearest(time_s)) {
            *value = Some(point);
        }
    }
}
