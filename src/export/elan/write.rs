//! A table's people as tiers and a time series.

use std::io::{self, Write};
use std::path::Path;

use jiff::{Timestamp, Unit};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{EXPRESSION_TIER, SERIES};
use crate::export::annotated::AnnotatedVideo;
use crate::export::error::ExportError;
use crate::export::intervals::{IntervalRules, intervals};
use crate::export::output;
use crate::export::vocabulary::person_name;
use crate::labels::{ActionUnit, Expression};
use crate::publish::publish;
use crate::run::absolute;

const EXPRESSION_TYPE: &str = "expression";
const ACTION_UNIT_TYPE: &str = "action unit";
const VOCABULARY: &str = "expressions";
/// What stands in an action unit's intervals.
const PRESENT: &str = "present";
/// How ELAN ends the name of a time series' configuration.
const CONFIGURATION: &str = "_tsconf.xml";
/// The name of a namespace, which no reader looks up.
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
    let series = output(folder, &video.id, SERIES);
    publish(&series, |file| write_series(file, video)).map_err(ExportError::file(&series))?;
    let configuration = output(folder, &video.id, CONFIGURATION);
    publish(&configuration, |file| write_configuration(file, video, &series))
        .map_err(ExportError::file(&configuration))?;
    let path = output(folder, &video.id, ".eaf");
    publish(&path, |file| {
        let mut xml = document(&mut *file)?;
        write_document(&mut xml, video, &tiers(video, rules), [&series, &configuration])?;
        file.write_all(b"\n")
    })
    .map_err(ExportError::file(&path))
}

fn document<W: Write>(file: W) -> io::Result<Writer<W>> {
    let mut xml = Writer::new_with_indent(file, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    Ok(xml)
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
                row.postprocessed.action_units?[unit.index()].then_some(())
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
    let date = now();
    let root = [
        ("AUTHOR", video.author.as_str()),
        ("DATE", &date),
        ("FORMAT", "3.0"),
        ("VERSION", "3.0"),
        ("xmlns:xsi", SCHEMA_INSTANCE),
        ("xsi:noNamespaceSchemaLocation", "EAFv3.0.xsd"),
    ];
    xml.create_element("ANNOTATION_DOCUMENT")
        .with_attributes(root)
        .write_inner_content(|xml| {
            write_header(xml, video, tiers, linked)?;
            xml.create_element("TIME_ORDER").write_inner_content(|xml| {
                let ends = tiers
                    .iter()
                    .flat_map(|tier| &tier.spans)
                    .flat_map(|&(begin, end, _)| [begin, end]);
                for (nth, end) in ends.enumerate() {
                    let slot = [
                        ("TIME_SLOT_ID", format!("ts{}", nth + 1)),
                        ("TIME_VALUE", end.to_string()),
                    ];
                    xml.create_element("TIME_SLOT")
                        .with_attributes(borrowed(&slot))
                        .write_empty()?;
                }
                Ok(())
            })?;
            let mut annotations = 0;
            for tier in tiers {
                write_tier(xml, tier, &mut annotations)?;
            }
            write_types(xml)
        })?;
    Ok(())
}

fn write_header<W: Write>(
    xml: &mut Writer<W>,
    video: &AnnotatedVideo,
    tiers: &[Tier],
    linked: [&Path; 2],
) -> io::Result<()> {
    let header = [("MEDIA_FILE", ""), ("TIME_UNITS", "milliseconds")];
    xml.create_element("HEADER")
        .with_attributes(header)
        .write_inner_content(|xml| {
            let mime = match video.path.extension().and_then(|extension| extension.to_str()) {
                Some("mp4" | "m4v") => "video/mp4",
                Some("mpg" | "mpeg") => "video/mpeg",
                Some("mov" | "qt") => "video/quicktime",
                _ => "video/*",
            };
            let media = [("MEDIA_URL", url(&video.path)), ("MIME_TYPE", mime.to_owned())];
            xml.create_element("MEDIA_DESCRIPTOR")
                .with_attributes(borrowed(&media))
                .write_empty()?;
            for (path, mime) in linked.into_iter().zip(["text/plain", "text/xml"]) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let link = [
                    ("LINK_URL", url(path)),
                    ("RELATIVE_LINK_URL", format!("./{name}")),
                    ("MIME_TYPE", mime.to_owned()),
                ];
                xml.create_element("LINKED_FILE_DESCRIPTOR")
                    .with_attributes(borrowed(&link))
                    .write_empty()?;
            }
            let annotations: usize = tiers.iter().map(|tier| tier.spans.len()).sum();
            let last = xml
                .create_element("PROPERTY")
                .with_attribute(("NAME", "lastUsedAnnotationId"));
            last.write_text_content(BytesText::new(&annotations.to_string()))?;
            Ok(())
        })?;
    Ok(())
}

fn write_tier<W: Write>(xml: &mut Writer<W>, tier: &Tier, annotations: &mut usize) -> io::Result<()> {
    let attributes = [
        ("LINGUISTIC_TYPE_REF", tier.kind),
        ("PARTICIPANT", tier.participant.as_str()),
        ("TIER_ID", tier.id.as_str()),
    ];
    xml.create_element("TIER")
        .with_attributes(attributes)
        .write_inner_content(|xml| {
            for (_, _, text) in &tier.spans {
                *annotations += 1;
                let attributes = [
                    ("ANNOTATION_ID", format!("a{annotations}")),
                    ("TIME_SLOT_REF1", format!("ts{}", 2 * *annotations - 1)),
                    ("TIME_SLOT_REF2", format!("ts{}", 2 * *annotations)),
                ];
                xml.create_element("ANNOTATION").write_inner_content(|xml| {
                    let annotation = xml
                        .create_element("ALIGNABLE_ANNOTATION")
                        .with_attributes(borrowed(&attributes));
                    annotation.write_inner_content(|xml| {
                        xml.create_element("ANNOTATION_VALUE")
                            .write_text_content(BytesText::new(text))?;
                        Ok(())
                    })?;
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    Ok(())
}

/// What tiers may hold: expressions from a list, and anything for action units.
fn write_types<W: Write>(xml: &mut Writer<W>) -> io::Result<()> {
    for (id, vocabulary) in [(EXPRESSION_TYPE, Some(VOCABULARY)), (ACTION_UNIT_TYPE, None)] {
        let mut attributes = vec![
            ("GRAPHIC_REFERENCES", "false"),
            ("LINGUISTIC_TYPE_ID", id),
            ("TIME_ALIGNABLE", "true"),
        ];
        attributes.extend(vocabulary.map(|vocabulary| ("CONTROLLED_VOCABULARY_REF", vocabulary)));
        xml.create_element("LINGUISTIC_TYPE")
            .with_attributes(attributes)
            .write_empty()?;
    }
    let language = [("LANG_ID", "und"), ("LANG_LABEL", "undetermined (und)")];
    xml.create_element("LANGUAGE")
        .with_attributes(language)
        .write_empty()?;
    let vocabulary = xml
        .create_element("CONTROLLED_VOCABULARY")
        .with_attribute(("CV_ID", VOCABULARY));
    vocabulary.write_inner_content(|xml| {
        xml.create_element("DESCRIPTION")
            .with_attribute(("LANG_REF", "und"))
            .write_empty()?;
        for expression in Expression::ALL {
            let id = format!("cve{}", expression.index());
            xml.create_element("CV_ENTRY_ML")
                .with_attribute(("CVE_ID", id.as_str()))
                .write_inner_content(|xml| {
                    let value = [("DESCRIPTION", ""), ("LANG_REF", "und")];
                    let value = xml.create_element("CVE_VALUE").with_attributes(value);
                    value.write_text_content(BytesText::new(expression.name()))?;
                    Ok(())
                })?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Seconds from the first frame, then valence and arousal of each person.
fn write_series(file: impl Write, video: &AnnotatedVideo) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(file);
    let mut header = vec!["time_s".to_owned()];
    header.extend(series_names(video));
    csv.write_record(&header)?;
    for at in 0..video.frames.len() {
        let mut record = vec![format!("{:.3}", video.times.start_s(at))];
        for rows in video.people.values() {
            let point = rows[at].and_then(|row| row.postprocessed.affect.valence_arousal);
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

/// What ELAN keeps beside an .eaf that has a linked CSV: a track a column.
fn write_configuration(file: impl Write, video: &AnnotatedVideo, series: &Path) -> io::Result<()> {
    let mut xml = document(file)?;
    let date = now();
    let root = [("date", date.as_str()), ("version", "1.0")];
    xml.create_element("timeseries")
        .with_attributes(root)
        .write_inner_content(|xml| {
            let source = [
                ("sample-type", "Discontinuous Rate".to_owned()),
                ("source-url", url(series)),
                ("time-column", "0".to_owned()),
            ];
            xml.create_element("tracksource")
                .with_attributes(borrowed(&source))
                .write_inner_content(|xml| {
                    let provider = "mpi.eudico.client.annotator.timeseries.csv.CSVServiceProvider";
                    let property = [("key", "provider"), ("value", provider)];
                    xml.create_element("property")
                        .with_attributes(property)
                        .write_empty()?;
                    for (nth, name) in series_names(video).enumerate() {
                        let column = (nth + 1).to_string();
                        let colour = if nth % 2 == 0 { "0,114,178" } else { "213,94,0" };
                        let track = [("derivative", "0"), ("name", name.as_str())];
                        xml.create_element("track")
                            .with_attributes(track)
                            .write_inner_content(|xml| {
                                let property = [("key", "detect-range"), ("value", "false")];
                                xml.create_element("property")
                                    .with_attributes(property)
                                    .write_empty()?;
                                xml.create_element("sample-position").write_inner_content(|xml| {
                                    let position = [("row", "0"), ("col", column.as_str())];
                                    xml.create_element("pos")
                                        .with_attributes(position)
                                        .write_empty()?;
                                    Ok(())
                                })?;
                                let range = [("max", "1.0"), ("min", "-1.0")];
                                xml.create_element("range").with_attributes(range).write_empty()?;
                                xml.create_element("color")
                                    .write_text_content(BytesText::new(colour))?;
                                Ok(())
                            })?;
                    }
                    Ok(())
                })?;
            Ok(())
        })?;
    Ok(())
}

fn borrowed<'a, const N: usize>(pairs: &'a [(&'a str, String); N]) -> [(&'a str, &'a str); N] {
    std::array::from_fn(|nth| (pairs[nth].0, pairs[nth].1.as_str()))
}

/// A file as ELAN names it.
fn url(path: &Path) -> String {
    let path = absolute(path);
    format!("file://{}", path.to_string_lossy())
}

fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
