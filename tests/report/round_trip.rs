//! Export, a person's correction, `abaw import-labels`: the label reader gets the table's values but for the correction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use abaw::affwild2::{FrameLabel, Labels};
use abaw::labels::{ActionUnit, Expression, ValenceArousal};
use serde_json::Value;

use crate::annotated_run::RUN;
use crate::export::{export, read_with};
use crate::support::{abaw_with, expect_exit, stderr_of};

/// The labels of each video that an import gives.
fn import(format: &str, annotations: &Path) -> BTreeMap<String, Vec<FrameLabel>> {
    let out = tempfile::tempdir().unwrap();
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 7] = [
        &"import-labels",
        &RUN.root(),
        &annotations,
        &"--format",
        &format,
        &"--out",
        &out.path(),
    ];
    expect_exit(0, &mut abaw_with(&arguments));
    let labels = Labels::read(out.path()).unwrap();
    let by_video = labels.by_video();
    by_video
        .map(|(video, rows)| (video.to_owned(), rows.iter().map(|row| row.label).collect()))
        .collect()
}

/// What the table says of each frame's subject.
fn table(video: &str) -> Vec<FrameLabel> {
    let (rows, _) = RUN.table(video);
    let subjects = rows.iter().filter(|row| row.subject);
    let label = |row: &abaw::table::Row| match row.person {
        Some(_) => FrameLabel {
            valence_arousal: row.postprocessed.affect.valence_arousal,
            expression: row.postprocessed.expression,
            action_units: row.postprocessed.action_units,
        },
        None => FrameLabel::default(),
    };
    subjects.map(label).collect()
}

/// The number of the subject of `two`, who is the same in all frames.
fn subject() -> u16 {
    let (rows, _) = RUN.table("two");
    rows.iter().find(|row| row.subject).unwrap().person.unwrap().0
}

#[track_caller]
fn assert_equal(got: &[FrameLabel], wanted: &[FrameLabel], tolerance: f32) {
    assert_eq!(got.len(), wanted.len(), "a label a frame");
    for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert_eq!(got.expression, wanted.expression, "frame {}", at + 1);
        assert_eq!(got.action_units, wanted.action_units, "frame {}", at + 1);
        let apart = |point: fn(&ValenceArousal) -> f32| {
            let (got, wanted) = (
                got.valence_arousal.as_ref().map(point),
                wanted.valence_arousal.as_ref().map(point),
            );
            match got.zip(wanted) {
                Some((got, wanted)) => (got - wanted).abs(),
                None if got == wanted => 0.0,
                None => f32::INFINITY,
            }
        };
        let (valence, arousal) = (apart(|point| point.valence), apart(|point| point.arousal));
        assert!(
            valence <= tolerance && arousal <= tolerance,
            "frame {}: {got:?} {wanted:?}",
            at + 1
        );
    }
}

/// The same without valence and arousal, which timelines of labels cannot hold.
fn without_points(mut labels: Vec<FrameLabel>) -> Vec<FrameLabel> {
    labels.iter_mut().for_each(|label| label.valence_arousal = None);
    labels
}

#[test]
fn what_nobody_corrected_comes_back_as_it_was() {
    for (format, tolerance) in [
        ("cvat", 0.0101),
        ("elan", 0.0),
        ("py-feat", 0.0),
        ("openface", 0.0),
    ] {
        let folder = export(format, &[]);
        let labels = import(format, folder.path());
        assert_eq!(
            labels.keys().collect::<Vec<_>>(),
            ["batch1/small", "turned", "two"],
            "{format}"
        );
        for (video, got) in &labels {
            assert_equal(got, &table(video), tolerance);
        }
    }
}

/// As Label Studio exports what an annotator accepted: predictions have become an annotation.
fn annotate(tasks: &Path, correct: impl Fn(&mut Vec<Value>)) {
    let mut text: Value = serde_json::from_slice(&std::fs::read(tasks).unwrap()).unwrap();
    let mut result = text[0]["predictions"][0]["result"].as_array().unwrap().clone();
    correct(&mut result);
    let cancelled = serde_json::json!({ "was_cancelled": true, "result": [] });
    text[0]["annotations"] = serde_json::json!([{ "was_cancelled": false, "result": result }, cancelled]);
    text[0]["predictions"] = serde_json::json!([]);
    std::fs::write(tasks, serde_json::to_vec(&text).unwrap()).unwrap();
}

#[test]
fn label_studio_brings_a_correction_back() {
    let folder = export("label-studio", &[]);
    annotate(&folder.path().join("batch1/small.json"), |_| {});
    annotate(&folder.path().join("turned.json"), |_| {});
    let person = format!("person {}", subject());
    annotate(&folder.path().join("two.json"), |result| {
        let of_subject = |region: &&mut Value| region["meta"]["text"][0] == person.as_str();
        let mut expressions = result
            .iter_mut()
            .filter(|region| region["from_name"] == "expression");
        let first = expressions.find(of_subject).unwrap();
        // Another expression, which begins later than the network said.
        assert_eq!(first["value"]["ranges"][0]["start"], 1);
        first["value"]["ranges"][0] = serde_json::json!({ "start": 3, "end": 10 });
        first["value"]["timelinelabels"] = serde_json::json!(["Other"]);
        // A region that the annotator drew says of nobody.
        result.push(serde_json::json!({
            "type": "timelinelabels", "from_name": "action_units", "to_name": "video", "id": "drawn",
            "value": { "ranges": [{ "start": 20, "end": 22 }], "timelinelabels": ["AU4"] },
        }));
    });
    let labels = import("label-studio", folder.path());
    assert_equal(
        &labels["batch1/small"],
        &without_points(table("batch1/small")),
        0.0,
    );

    let mut wanted = without_points(table("two"));
    let first = wanted[0].expression;
    let ends = wanted
        .iter()
        .position(|label| label.expression != first)
        .unwrap_or(wanted.len());
    wanted[..ends]
        .iter_mut()
        .for_each(|label| label.expression = None);
    wanted[2..10]
        .iter_mut()
        .for_each(|label| label.expression = Some(Expression::Other));
    wanted[19..22]
        .iter_mut()
        .for_each(|label| label.action_units[ActionUnit::Au4.index()] = Some(true));
    // Where the network's next interval begins before the corrected one ends, the later one counts.
    let table = table("two");
    for at in ends..10.max(ends) {
        wanted[at].expression = table[at].expression;
    }
    assert_equal(&labels["two"], &wanted, 0.0);
}

#[test]
fn label_studio_without_annotations_gives_no_labels() {
    let folder = export("label-studio", &[]);
    let out = tempfile::tempdir().unwrap();
    let mut command = abaw_with(&[
        &"import-labels",
        &RUN.root(),
        &folder.path(),
        &"--format",
        &"label-studio",
        &"--out",
        &out.path(),
    ]);
    let output = expect_exit(0, &mut command);
    assert!(
        stderr_of(&output).contains("contains no annotations"),
        "{}",
        stderr_of(&output)
    );
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn elan_brings_a_correction_back_that_pympi_saved() {
    let folder = export("elan", &[]);
    let eaf = folder.path().join("two.eaf");
    let tier = format!("person {} expression", subject());
    let edit: [&Path; 4] = [&eaf, Path::new(&tier), Path::new("410"), Path::new("Surprise")];
    let edited = read_with("elan-edit", &edit);
    let frames =
        edited["begin"].as_u64().unwrap() as usize / 40..edited["end"].as_u64().unwrap() as usize / 40;
    assert!(frames.contains(&10));
    let mut wanted = table("two");
    wanted[frames]
        .iter_mut()
        .for_each(|label| label.expression = Some(Expression::Surprise));
    assert_equal(&import("elan", &eaf)["two"], &wanted, 0.0);
}

/// Changes the text between the first `from` after `after` and the next `to`.
fn replace_between(text: &mut String, after: &str, from: &str, to: &str, with: &str) {
    let begin = text.find(after).unwrap() + after.len();
    let begin = begin + text[begin..].find(from).unwrap() + from.len();
    let end = begin + text[begin..].find(to).unwrap();
    text.replace_range(begin..end, with);
}

#[test]
fn cvat_brings_a_correction_back() {
    let folder = export("cvat", &[]);
    let path = folder.path().join("two.xml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let track = format!("<track id=\"{}\"", subject());
    let begin = text.find(&track).unwrap();
    let mut tail = text.split_off(begin);
    for frame in 12..16 {
        let one = format!("<box frame=\"{frame}\"");
        replace_between(&mut tail, &one, "<attribute name=\"expression\">", "<", "Sadness");
        replace_between(&mut tail, &one, "<attribute name=\"AU26\">", "<", "true");
    }
    // CVAT gives an exported task its own name; the file's counts then.
    let text = text.replace("<name>two</name>", "<name>Task 7: faces</name>") + &tail;
    std::fs::write(&path, text).unwrap();
    let mut wanted = table("two");
    for label in &mut wanted[12..16] {
        label.expression = Some(Expression::Sadness);
        label.action_units[ActionUnit::Au26.index()] = Some(true);
    }
    assert_equal(&import("cvat", &path)["two"], &wanted, 0.0101);
}

/// Changes cells of a CSV: those of a frame and person under these columns.
fn change_cells(path: &PathBuf, frame: (&str, &str), person: (&str, &str), cells: &[(&str, &str)]) {
    let mut csv = csv::Reader::from_path(path).unwrap();
    let header = csv.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let mut rows: Vec<Vec<String>> = csv
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect();
    let mut changed = 0;
    for row in &mut rows {
        if row[place(frame.0)] == frame.1 && row[place(person.0)] == person.1 {
            cells
                .iter()
                .for_each(|(name, value)| row[place(name)] = (*value).to_owned());
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    let mut csv = csv::Writer::from_path(path).unwrap();
    csv.write_record(&header).unwrap();
    rows.iter().for_each(|row| csv.write_record(row).unwrap());
    csv.flush().unwrap();
}

#[test]
fn csvs_bring_corrections_back() {
    let mut wanted = table("two");
    wanted[7].action_units[ActionUnit::Au1.index()] = Some(true);
    wanted[7].action_units[ActionUnit::Au24.index()] = Some(false);
    wanted[7].expression = Some(Expression::Happiness);
    wanted[7].valence_arousal = Some(ValenceArousal {
        valence: 0.5,
        arousal: -0.25,
    });
    let points = [("abaw_valence", "0.5"), ("abaw_arousal", "-0.25")];

    let folder = export("py-feat", &[]);
    let path = folder.path().join("two.csv");
    let person = format!("Person_{}", subject());
    let cells = [&[("AU01", "1"), ("AU24", "0"), ("happiness", "2")][..], &points].concat();
    change_cells(&path, ("frame", "7"), ("Identity", &person), &cells);
    assert_equal(&import("py-feat", &path)["two"], &wanted, 0.0);

    let folder = export("openface", &[]);
    let path = folder.path().join("two.csv");
    let cells = [
        &[
            ("AU01_c", "1.00"),
            ("abaw_AU24_c", "0"),
            ("abaw_expression", "Happiness"),
        ][..],
        &points,
    ]
    .concat();
    change_cells(&path, ("frame", "8"), ("face_id", &subject().to_string()), &cells);
    assert_equal(&import("openface", &path)["two"], &wanted, 0.0);
}

#[test]
fn evaluate_reads_the_labels() {
    let folder = export("elan", &[]);
    let out = tempfile::tempdir().unwrap();
    let mut import = abaw_with(&[
        &"import-labels",
        &RUN.root(),
        &folder.path(),
        &"--format",
        &"elan",
        &"--out",
        &out.path(),
    ]);
    expect_exit(0, &mut import);
    let output = expect_exit(
        0,
        &mut abaw_with(&[&"evaluate", &RUN.root(), &"--labels", &out.path(), &"--json"]),
    );
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["per_task"]["frames"]["expression"], 112);
    assert!(scores["per_task"]["au"].as_f64().unwrap() > 0.0);
}

#[test]
fn foreign_and_broken_files_are_named_and_cost_one_video() {
    let folder = export("elan", &[]);
    let eaf = folder.path().join("two.eaf");
    let broken = |change: &dyn Fn(String) -> String| {
        let whole = std::fs::read_to_string(&eaf).unwrap();
        std::fs::write(&eaf, change(whole.clone())).unwrap();
        let out = tempfile::tempdir().unwrap();
        let mut command = abaw_with(&[
            &"import-labels",
            &RUN.root(),
            &folder.path(),
            &"--format",
            &"elan",
            &"--out",
            &out.path(),
        ]);
        let output = expect_exit(3, &mut command);
        assert!(out.path().join("EXPR_Set/batch1/small.txt").exists());
        assert!(!out.path().join("EXPR_Set/two.txt").exists());
        std::fs::write(&eaf, whole).unwrap();
        stderr_of(&output)
    };
    let cut = broken(&|text| text[..text.len() / 2].to_owned());
    assert!(cut.contains("two.eaf: not an .eaf of ELAN"), "{cut}");
    let misspelt = broken(&|mut text| {
        let tier = format!("TIER_ID=\"person {} expression\"", subject());
        replace_between(&mut text, &tier, "<ANNOTATION_VALUE>", "<", "Hapiness");
        text
    });
    assert!(
        misspelt.contains("unknown expression `Hapiness`; expected Neutral, Anger"),
        "{misspelt}"
    );
}
