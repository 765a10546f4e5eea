//! The readers of the ABAW formats: what the golden files hold, and what must hold for any file.

use std::fs;
use std::path::Path;

use abaw::affwild2::{Challenge, Error, FrameLabel, FrameList, Labels, VideoList};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::annotation_file;

/// Each golden file and what a reader must find in it.
fn expected() -> serde_json::Map<String, Value> {
    let text = fs::read_to_string(annotation_file("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The golden files that `kinds` are expected of; fails if there is none.
fn of_kinds(kinds: &[&str]) -> Vec<(String, Value)> {
    let is_wanted = |value: &Value| kinds.contains(&value["kind"].as_str().unwrap());
    let files: Vec<_> = expected()
        .into_iter()
        .filter(|(_, value)| is_wanted(value))
        .collect();
    assert!(!files.is_empty());
    files
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn assert_valence_arousal(label: &FrameLabel, valence: &Value, arousal: &Value, is_valid: bool, place: &str) {
    assert_eq!(label.valence_arousal.is_some(), is_valid, "{place}");
    if let Some(point) = label.valence_arousal {
        assert!(
            (f64::from(point.valence) - valence.as_f64().unwrap()).abs() < 1e-6,
            "{place}"
        );
        assert!(
            (f64::from(point.arousal) - arousal.as_f64().unwrap()).abs() < 1e-6,
            "{place}"
        );
    }
}

fn assert_expression(label: &FrameLabel, class: &Value, place: &str) {
    let found = label
        .expression
        .map_or(-1, |expression| expression.index() as i64);
    assert_eq!(found, class.as_i64().unwrap(), "{place}");
}

fn assert_action_units(label: &FrameLabel, units: &Value, is_valid: bool, place: &str) {
    let cells: Vec<i64> = label
        .action_units
        .iter()
        .map(|unit| unit.map_or(-1, i64::from))
        .collect();
    assert_eq!(
        cells,
        list(units)
            .iter()
            .map(|unit| unit.as_i64().unwrap())
            .collect::<Vec<_>>(),
        "{place}"
    );
    assert_eq!(label.all_action_units().is_some(), is_valid, "{place}");
}

#[test]
fn golden_label_files_of_one_video() {
    for (file, expected) in of_kinds(&["va_video", "expr_video", "au_video"]) {
        let labels = Labels::read(&annotation_file(&file)).unwrap();
        assert_eq!(
            labels.rows().len() as u64,
            expected["rows"].as_u64().unwrap(),
            "{file}"
        );
        for (i, row) in labels.rows().iter().enumerate() {
            let place = format!("{file}, row {i}");
            assert_eq!(row.frame.number() as usize, i + 1, "{place}");
            let (values, is_valid) = (&expected["values"][i], expected["valid"][i] == 1);
            match expected["kind"].as_str().unwrap() {
                "va_video" => assert_valence_arousal(&row.label, &values[0], &values[1], is_valid, &place),
                "expr_video" => assert_expression(&row.label, values, &place),
                _ => assert_action_units(&row.label, values, is_valid, &place),
            }
        }
    }
}

#[test]
fn golden_lists_of_labels_keep_order_and_duplicates() {
    for (file, expected) in of_kinds(&["mtl_annotations", "mtl_submission"]) {
        let labels = Labels::read(&annotation_file(&file)).unwrap();
        let rows = list(&expected["data"]);
        assert_eq!(labels.rows().len(), rows.len(), "{file}");
        for (row, expected) in labels.rows().iter().zip(rows) {
            let image = format!(
                "{}/{:05}.jpg",
                labels.videos().name(row.video),
                row.frame.number()
            );
            assert_eq!(expected["image"], image.as_str(), "{file}");
            let is_valid = |flag: &str| expected.get(flag).is_none_or(|flag| flag == 1);
            let (valence, arousal) = (&expected["valence"], &expected["arousal"]);
            assert_valence_arousal(&row.label, valence, arousal, is_valid("valid_va"), &image);
            assert_expression(&row.label, &expected["expression"], &image);
            assert_action_units(&row.label, &expected["aus"], is_valid("valid_aus"), &image);
        }
    }
}

#[test]
fn golden_templates_and_lists() {
    for (file, expected) in of_kinds(&["mtl_test_list", "va_template", "expr_template", "au_template"]) {
        let frames = FrameList::read(&annotation_file(&file)).unwrap();
        let images: Vec<&str> = frames.rows().map(|row| row.image).collect();
        assert_eq!(Value::from(images), expected["images"], "{file}");
        if let Some(videos) = expected["videos"].as_object() {
            let by_video = frames.frames_by_video();
            assert_eq!(by_video.len(), videos.len(), "{file}");
            for (video, frames) in frames.videos().iter().zip(by_video) {
                assert_eq!(videos[video], frames.len(), "{file}");
            }
        }
        let own = expected["kind"].as_str().unwrap().split('_').next().unwrap();
        for challenge in Challenge::ALL {
            assert_eq!(
                frames.check_is_for(challenge).is_ok(),
                challenge.name() == own,
                "{file}, {challenge}"
            );
        }
    }
}

#[test]
fn golden_malformed_files_name_the_first_bad_line() {
    for (file, expected) in of_kinds(&["malformed"]) {
        let path = annotation_file(&file);
        let error = Labels::read(&path).unwrap_err();
        println!("{error}");
        match error {
            Error::Line {
                path: named, line, ..
            } => {
                assert_eq!(named, path);
                assert_eq!(
                    line as u64,
                    expected["first_bad_line_1_based"].as_u64().unwrap(),
                    "{file}"
                );
            }
            other => panic!("{file}: {other}"),
        }
    }
}

#[test]
fn golden_folder_puts_the_tasks_together() {
    let labels = Labels::read(&annotation_file("")).unwrap();
    let of_video1 = labels.by_video().find(|(video, _)| *video == "video1").unwrap().1;
    assert_eq!(of_video1.len(), 12, "as many as the longest of its files");
    let valid = |has: fn(&FrameLabel) -> bool| of_video1.iter().filter(|row| has(&row.label)).count();
    assert_eq!(valid(|label| label.valence_arousal.is_some()), 10);
    assert_eq!(valid(|label| label.expression.is_some()), 8);
    assert_eq!(valid(|label| label.all_action_units().is_some()), 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    /// What editors do to a file's text does not change what it means.
    #[test]
    fn marks_line_ends_and_trailing_commas_change_nothing(
        file in any::<Index>(),
        (mark, crlf, comma, blank) in any::<(bool, bool, bool, bool)>(),
    ) {
        let files = of_kinds(&["va_video", "expr_video", "au_video", "mtl_annotations"]);
        let path = annotation_file(&files[file.index(files.len())].0);
        let text = fs::read_to_string(&path).unwrap();
        let end = format!("{}{}\n", if comma { "," } else { "" }, if crlf { "\r" } else { "" });
        let mut edited: String = text.trim_start_matches('\u{feff}').lines().flat_map(|line| [line, &end]).collect();
        if mark {
            edited.insert(0, '\u{feff}');
        }
        if blank {
            edited.push_str("\r\n \n");
        }
        prop_assert_eq!(
            Labels::from_bytes(&path, edited.as_bytes()).unwrap(),
            Labels::from_bytes(&path, text.as_bytes()).unwrap()
        );
    }

    /// Damaged files are read without panic; an error names a line of the file, and what is read
    /// holds to the types' rules.
    #[test]
    fn damaged_files_are_errors_or_valid(
        file in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let files: Vec<_> = expected().into_iter().map(|(file, _)| file).collect();
        let path = annotation_file(&files[file.index(files.len())]);
        let mut bytes = fs::read(&path).unwrap();
        for (place, byte, edit) in edits {
            let at = place.index(bytes.len() + 1);
            // Mostly bytes that mean something in these formats.
            let byte = *b"0159-+.,/\n\r\"ea\0\xff".get(usize::from(byte)).unwrap_or(&byte);
            match edit {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let check = |error: Error| match error {
            Error::Line { line, .. } => {
                prop_assert!((1..=lines + 1).contains(&line), "line {} of {}", line, lines);
                Ok(())
            },
            other => Err(TestCaseError::fail(other.to_string())),
        };
        match Labels::from_bytes(&path, &bytes) {
            Err(error) => check(error)?,
            Ok(labels) => for point in labels.rows().iter().filter_map(|row| row.label.valence_arousal) {
                prop_assert!(point.valence.abs() <= 1.0 && point.arousal.abs() <= 1.0);
            },
        }
        match FrameList::from_bytes(&path, &bytes) {
            Err(error) => check(error)?,
            Ok(list) => prop_assert!(list.rows().all(|row| !list.videos().name(row.video).contains(".."))),
        }
        if let Err(error) = VideoList::from_bytes(&path, &bytes) {
            check(error)?;
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), challenge in 0usize..5) {
        let header = Challenge::ALL[challenge].submission_header();
        for text in [bytes.clone(), [header.as_bytes(), b"\n", &bytes].concat()] {
            let _ = Labels::from_bytes(Path::new("f.txt"), &text);
            let _ = FrameList::from_bytes(Path::new("f.txt"), &text);
            let _ = VideoList::from_bytes(Path::new("f.txt"), &text);
        }
    }
}
