//! Writes the persons of a table as tiers and a time series.

use std::io::{self, Write};
use std::path::Path;

use jiff::{Timestamp, Unit};
use quick_xml::Writer;

use crate::export::annotated::AnnotatedVideo;
use crate::export::error::ExportError;
use crate::export::intervals::{IntervalRules, intervals};
use crate::export::vocabulary::person_name;
use crate::export::xml::{document, element, empty, text};
use crate::labels::{ActionUnit, Expression};
use crate::publish::publish;
use crate::run::absolute;

/// The name of a tier of expressions, after the person's.
pub const EXPRESSION_TIER: &str = "expression";
/// What the name of the time series adds to the video's id.
pub const SERIES: &str = "_va.csv";
const EXPRESSION_TYPE: &str = "expression";
const ACTION_UNIT_TYPE: &str = "action unit";
const VOCABULARY: &str = "expressions";
/// The text of the intervals of an action unit.
const PRESENT: &str = "present";
/// The ending of the configuration of a time series, as ELAN names it.
const CONFIGURATION: &str = "_tsconf.xml";
/// The name of a namespace; no reader opens it.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A tier with its annotations: begin and end in milliseconds, text.
struct Tier {
    id: String,
    participant: String,
    kind: &'static str,
    spans: Vec<(u64, u64, &'static str)>,
}

/// Writes `<id>.eaf`, `<id>_va.csv` and `<id>_tsconf.xml`.
pub fn write(video: &AnnotatedVideo, rules: IntervalRules, folder: &Path) -> Result<(), ExportError> {
    let series = video.file_in(folder, SERIES);
    publish(&series, |file| write_series(file, video)).map_err(ExportError::file(&series))?;
    let configuration = video.file_in(folder, CONFIGURATION);
    publish(&configuration, |file| write_configuration(file, video, &series))
        .map_err(ExportError::file(&configuration))?;
    let path = video.file_in(folder, ".eaf");
    publish(&path, |file| {
        let mut xml = document(&mut *file, "UTF-8")?;
        write_document(&mut xml, video, &tiers(video, rules), [&series, &configuration])?;
        file.write_all(b"\n")
    })
    .map_err(ExportError::file(&path))
}

fn tiers(video: &AnnotatedVideo, rules: IntervalRules) -> Vec<Tier> {
    let mut tiers = Vec::new();
    for &person in video.people.keys() {
        let participant = person_name(person);
        let expressions = intervals(&video.series(person, |row| row.postprocessed.expression), rules);
        let spans = expressions.into_iter().map(|interval| {
            let (begin, end) = video.times.milliseconds(&interval.frames);
            (begin, end, interval.label.name())
        });
        tiers.push(Tier {
            id: format!("{participant} {EXPRESSION_TIER}"),
            participant: participant.clone(),
            kind: EXPRESSION_TYPE,
            spans: spans.collect(),
        });
        if !video.has_action_units {
            continue;
        }
        for unit in ActionUnit::ALL {
            let present = video.series(person, |row| {
                row.postprocessed.action_units[unit.index()]?.then_some(())
            });
            let spans = intervals(&present, rules).into_iter().map(|interval| {
                let (begin, end) = video.times.milliseconds(&interval.frames);
                (begin, end, PRESENT)
            });
            tiers.push(Tier {
                id: format!("{participant} {}", unit.name()),
                participant: participant.clone(),
                kind: ACTION_UNIT_TYPE,
                spans: spans.collect(),
            });
        }
    }
    tiers
}

fn write_document<W: Write>(
    xml: &mut Writer<W>,
    video: &AnnotatedVideo,
    tiers: &[Tier],
    linked: [&Path; 2],
) -> io::Result<()> {
    let root = [
        ("AUTHOR", video.author.as_str()),
        ("DATE", &now()),
        ("FORMAT", "3.0"),
        ("VERSION", "3.0"),
        ("xmlns:xsi", SCHEMA_INSTANCE),
        ("xsi:noNamespaceSchemaLocation", "EAFv3.0.xsd"),
    ];
    element(xml, "ANNOTATION_DOCUMENT", &root, |xml| {
        write_header(xml, video, tiers, linked)?;
        element(xml, "TIME_ORDER", &[], |xml| {
            let spans = tiers.iter().flat_map(|tier| &tier.spans);
            let ends = spans.flat_map(|&(begin, end, _)| [begin, end]);
            for (nth, end) in ends.enumerate() {
                let id = format!("ts{}", nth + 1);
                let slot = [("TIME_SLOT_ID", id.as_str()), ("TIME_VALUE", &end.to_string())];
                empty(xml, "TIME_SLOT", &slot)?;
            }
            Ok(())
        })?;
        let mut annotations = 0;
        for tier in tiers {
            write_tier(xml, tier, &mut annotations)?;
        }
        write_types(xml)
    })
}

fn write_header<W: Write>(
    xml: &mut Writer<W>,
    video: &AnnotatedVideo,
    tiers: &[Tier],
    linked: [&Path; 2],
) -> io::Result<()> {
    let header = [("MEDIA_FILE", ""), ("TIME_UNITS", "milliseconds")];
    element(xml, "HEADER", &header, |xml| {
        let mime = match video.path.extension().and_then(|extension| extension.to_str()) {
            Some("mp4" | "m4v") => "video/mp4",
            Some("mpg" | "mpeg") => "video/mpeg",
            Some("mov" | "qt") => "video/quicktime",
            _ => "video/*",
        };
        let media = url(&video.path);
        empty(
            xml,
            "MEDIA_DESCRIPTOR",
            &[("MEDIA_URL", &media), ("MIME_TYPE", mime)],
        )?;
        for (path, mime) in linked.into_iter().zip(["text/plain", "text/xml"]) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let link = [
                ("LINK_URL", url(path)),
                ("RELATIVE_LINK_URL", format!("./{name}")),
                ("MIME_TYPE", mime.to_owned()),
            ];
            empty(xml, "LINKED_FILE_DESCRIPTOR", &borrowed(&link))?;
        }
        let annotations: usize = tiers.iter().map(|tier| tier.spans.len()).sum();
        let last = [("NAME", "lastUsedAnnotationId")];
        text(xml, "PROPERTY", &last, &annotations.to_string())
    })
}

fn write_tier<W: Write>(xml: &mut Writer<W>, tier: &Tier, annotations: &mut usize) -> io::Result<()> {
    let attributes = [
        ("LINGUISTIC_TYPE_REF", tier.kind),
        ("PARTICIPANT", tier.participant.as_str()),
        ("TIER_ID", tier.id.as_str()),
    ];
    element(xml, "TIER", &attributes, |xml| {
        for (_, _, label) in &tier.spans {
            *annotations += 1;
            let attributes = [
                ("ANNOTATION_ID", format!("a{annotations}")),
                ("TIME_SLOT_REF1", format!("ts{}", 2 * *annotations - 1)),
                ("TIME_SLOT_REF2", format!("ts{}", 2 * *annotations)),
            ];
            element(xml, "ANNOTATION", &[], |xml| {
                element(xml, "ALIGNABLE_ANNOTATION", &borrowed(&attributes), |xml| {
                    text(xml, "ANNOTATION_VALUE", &[], label)
                })
            })?;
        }
        Ok(())
    })
}

/// Writes what tiers may hold: expressions from a list, and any text for action units.
fn write_types<W: Write>(xml: &mut Writer<W>) -> io::Result<()> {
    for (id, vocabulary) in [(EXPRESSION_TYPE, Some(VOCABULARY)), (ACTION_UNIT_TYPE, None)] {
        let mut attributes = vec![
            ("GRAPHIC_REFERENCES", "false"),
            ("LINGUISTIC_TYPE_ID", id),
            ("TIME_ALIGNABLE", "true"),
        ];
        attributes.extend(vocabulary.map(|vocabulary| ("CONTROLLED_VOCABULARY_REF", vocabulary)));
        empty(xml, "LINGUISTIC_TYPE", &attributes)?;
    }
    let language = [("LANG_ID", "und"), ("LANG_LABEL", "undetermined (und)")];
    empty(xml, "LANGUAGE", &language)?;
    element(xml, "CONTROLLED_VOCABULARY", &[("CV_ID", VOCABULARY)], |xml| {
        empty(xml, "DESCRIPTION", &[("LANG_REF", "und")])?;
        for expression in Expression::ALL {
            let id = format!("cve{}", expression.index());
            element(xml, "CV_ENTRY_ML", &[("CVE_ID", &id)], |xml| {
                let value = [("DESCRIPTION", ""), ("LANG_REF", "und")];
                text(xml, "CVE_VALUE", &value, expression.name())
            })?;
        }
        Ok(())
    })
}

/// Writes the seconds from the first frame, then valence and arousal of each person.
fn write_series(file: impl Write, video: &AnnotatedVideo) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(file);
    let mut header = vec!["time_s".to_owned()];
    header.extend(series_names(video));
    csv.write_record(&header)?;
    for at in 0..video.frames.len() {
        let mut record = vec![format!("{:.3}", video.times.start_s(at))];
        for rows in video.people.values() {
            let point = rows[at]
                .as_ref()
                .and_then(|row| row.postprocessed.affect.valence_arousal);
            let text = |number: Option<f32>| number.map_or(String::new(), |number| number.to_string());
            record.push(text(point.map(|point| point.valence)));
            record.push(text(point.map(|point| point.arousal)));
        }
        csv.write_record(&record)?;
    }
    csv.flush()
}

fn series_names(video: &AnnotatedVideo) -> impl Iterator<Item = String> {
    let people = video.people.keys();
    people.flat_map(|&person| ["valence", "arousal"].map(|name| format!("{} {name}", person_name(person))))
}

/// Writes what ELAN keeps beside an .eaf that has a linked CSV: a track for each column.
fn write_configuration(file: impl Write, video: &AnnotatedVideo, series: &Path) -> io::Result<()> {
    let mut xml = document(file, "UTF-8")?;
    let date = now();
    let root = [("date", date.as_str()), ("version", "1.0")];
    element(&mut xml, "timeseries", &root, |xml| {
        let series = url(series);
        let source = [
            ("sample-type", "Discontinuous Rate"),
            ("source-url", series.as_str()),
            ("time-column", "0"),
        ];
        element(xml, "tracksource", &source, |xml| {
            let provider = "mpi.eudico.client.annotator.timeseries.csv.CSVServiceProvider";
            empty(xml, "property", &[("key", "provider"), ("value", provider)])?;
            for (nth, name) in series_names(video).enumerate() {
                write_track(xml, nth, &name)?;
            }
            Ok(())
        })
    })
}

/// Writes the track of the `nth` series, 0-based.
fn write_track<W: Write>(xml: &mut Writer<W>, nth: usize, name: &str) -> io::Result<()> {
    let column = (nth + 1).to_string();
    let colour = if nth.is_multiple_of(2) {
        "0,114,178"
    } else {
        "213,94,0"
    };
    element(xml, "track", &[("derivative", "0"), ("name", name)], |xml| {
        empty(xml, "property", &[("key", "detect-range"), ("value", "false")])?;
        element(xml, "sample-position", &[], |xml| {
            empty(xml, "pos", &[("row", "0"), ("col", &column)])
        })?;
        empty(xml, "range", &[("max", "1.0"), ("min", "-1.0")])?;
        text(xml, "color", &[], colour)
    })
}

fn borrowed<'a, const N: usize>(pairs: &'a [(&'a str, String); N]) -> [(&'a str, &'a str); N] {
    std::array::from_fn(|nth| (pairs[nth].0, pairs[nth].1.as_str()))
}

/// Returns the URL of a file, as ELAN writes it.
fn url(path: &Path) -> String {
    let path = absolute(path);
    format!("file://{}", path.to_string_lossy())
}

fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
