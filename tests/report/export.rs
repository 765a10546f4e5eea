//! `abaw export`, read by the annotation tools' own readers (`tests/python/annotation_tools.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::export::{FrameTimes, IntervalRules, intervals};
use abaw::face::PersonId;
use abaw::labels::{ActionUnit, Expression};
use abaw::table::Row;
use serde_json::Value;

use crate::annotated_run::RUN;
use crate::support::{abaw_with, expect_exit, root, stderr_of};

/// Exports the run into a folder of its own.
pub fn export(format: &str, options: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = abaw_with(&[
        &"export",
        &RUN.root(),
        &"--format",
        &format,
        &"--out",
        &folder.path(),
    ]);
    expect_exit(0, command.args(options));
    folder
}

/// What a tool's reader says of files.
pub fn read_with(tool: &str, arguments: &[&Path]) -> Value {
    let root = root();
    let mut command = Command::new("python3");
    command
        .arg(root.join("tests/python/annotation_tools.py"))
        .arg(tool)
        .args(arguments);
    command.env("PYTHONPATH", root.join(".deps/python"));
    serde_json::from_slice(&expect_exit(0, &mut command).stdout).unwrap()
}

/// The rows of one person of `two`, by frame from 0.
fn rows_of(person: u16) -> BTreeMap<usize, Row> {
    let (rows, _) = RUN.table("two");
    let of_person = rows
        .into_iter()
        .filter(|row| row.person == Some(PersonId(person)));
    of_person
        .map(|row| (row.frame.number() as usize - 1, row))
        .collect()
}

/// Frames of the person's row that an action unit is in.
fn present(row: &Row, unit: ActionUnit) -> bool {
    row.postprocessed.action_units[unit.index()].unwrap()
}

#[test]
fn label_studio_takes_the_interface_and_the_predictions() {
    let folder = export("label-studio", &[]);
    let tasks = folder.path().join("two.json");
    let read = read_with("label-studio", &[&folder.path().join("config.xml"), &tasks]);
    assert_eq!(read["controls"]["expression"].as_array().unwrap().len(), 8);
    assert_eq!(read["controls"]["action_units"].as_array().unwrap().len(), 12);

    // Every frame of every region is one of the table's, and the other way round.
    let tasks: Value = serde_json::from_slice(&std::fs::read(&tasks).unwrap()).unwrap();
    assert_eq!(tasks[0]["data"]["abaw_video"], "two");
    let regions = tasks[0]["predictions"][0]["result"].as_array().unwrap();
    assert_eq!(read["regions"], regions.len());
    let mut said: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for region in regions {
        let person = region["meta"]["text"][0].as_str().unwrap().to_owned();
        let label = region["value"]["timelinelabels"][0].as_str().unwrap().to_owned();
        let number = |end: &str| region["value"]["ranges"][0][end].as_u64().unwrap() as usize;
        said.entry((person, label))
            .or_default()
            .extend(number("start") - 1..number("end"));
    }
    for person in [0, 1] {
        let rows = rows_of(person);
        let frames = |label: &str, is: &dyn Fn(&Row) -> bool| {
            let wanted: Vec<usize> = rows
                .iter()
                .filter(|(_, row)| is(row))
                .map(|(&at, _)| at)
                .collect();
            let got = said
                .get(&(format!("person {person}"), label.to_owned()))
                .cloned()
                .unwrap_or_default();
            assert_eq!(got, wanted, "person {person} {label}");
        };
        for expression in Expression::ALL {
            frames(expression.name(), &|row| {
                row.postprocessed.expression == Some(expression)
            });
        }
        for unit in ActionUnit::ALL {
            frames(&unit.name(), &|row| present(row, unit));
        }
    }
    assert!(folder.path().join("batch1/small.json").exists());
}

#[test]
fn cvat_has_a_box_a_frame_with_attributes() {
    let folder = export("cvat", &[]);
    let read = read_with("cvat", &[&folder.path().join("two.xml")]);
    let boxes = read["boxes"].as_array().unwrap();
    let mut seen = 0;
    for one in boxes.iter().filter(|one| one["outside"] == false) {
        let rows = rows_of(one["person"].as_f64().unwrap() as u16);
        let row = &rows[&(one["frame"].as_u64().unwrap() as usize)];
        assert_eq!(one["label"], "face");
        assert_eq!(one["expression"], row.postprocessed.expression.unwrap().name());
        for unit in ActionUnit::ALL {
            assert_eq!(one[unit.name()], present(row, unit), "{one}");
        }
        let place = row.sighting.location().unwrap().0;
        for (nth, wanted) in [place.x1, place.y1, place.x2, place.y2].into_iter().enumerate() {
            let wanted = wanted.clamp(0.0, if nth % 2 == 0 { 640.0 } else { 360.0 });
            assert!((one["points"][nth].as_f64().unwrap() - f64::from(wanted)).abs() < 0.01);
        }
        seen += 1;
    }
    assert_eq!(seen, 120, "two persons in 60 frames");
}

#[test]
fn elan_has_tiers_a_person_and_a_linked_series() {
    let folder = export("elan", &[]);
    let read = read_with("elan", &[&folder.path().join("two.eaf")]);
    let tiers = read["tiers"].as_object().unwrap();
    assert_eq!(tiers.len(), 2 * 13);
    assert_eq!(read["vocabulary"][0], "expressions");
    assert_eq!(
        read["linked"],
        serde_json::json!(["./two_va.csv", "./two_tsconf.xml"])
    );
    // 25 frames a second: frame k, from 0, is from 40 k to 40 k + 40 milliseconds.
    for person in [0, 1] {
        for expression in Expression::ALL {
            let tier = tiers[&format!("person {person} expression")].as_array().unwrap();
            let spans = tier.iter().filter(|span| span[2] == expression.name());
            let frames =
                spans.flat_map(|span| span[0].as_u64().unwrap() / 40..span[1].as_u64().unwrap() / 40);
            let rows = rows_of(person).into_iter();
            let wanted = rows.filter(|(_, row)| row.postprocessed.expression == Some(expression));
            assert!(
                frames.map(|frame| frame as usize).eq(wanted.map(|(at, _)| at)),
                "{person} {expression:?}"
            );
        }
    }
    let series = read_with("csv", &[&folder.path().join("two_va.csv")]);
    let columns = [
        "time_s",
        "person 0 valence",
        "person 0 arousal",
        "person 1 valence",
        "person 1 arousal",
    ];
    assert_eq!(series["columns"], serde_json::json!(columns));
    let configuration = std::fs::read_to_string(folder.path().join("two_tsconf.xml")).unwrap();
    for column in &columns[1..] {
        assert!(
            configuration.contains(&format!("name=\"{column}\"")),
            "{configuration}"
        );
    }
}

#[test]
fn intervals_follow_the_rules_and_uneven_frames() {
    let folder = export("elan", &["--min-length", "3 frames", "--max-gap", "0.08 seconds"]);
    let read = read_with("elan", &[&folder.path().join("batch1/small.eaf")]);
    let (rows, footer) = RUN.table("batch1/small");
    let rate = footer.stream["fps"].as_f64().unwrap();
    let times = FrameTimes::new(
        rows.iter().map(|row| row.time_s),
        rate,
        footer.stream["start_s"].as_f64(),
    );
    let rules = IntervalRules {
        min_length: 3,
        max_gap: (0.08 * rate).round() as usize,
    };
    let (mut found, mut short) = (0, 0);
    for unit in ActionUnit::ALL {
        let frames: Vec<Option<()>> = rows.iter().map(|row| present(row, unit).then_some(())).collect();
        let wanted: Vec<(u64, u64)> = intervals(&frames, rules)
            .iter()
            .map(|interval| times.milliseconds(&interval.frames))
            .collect();
        let tier = &read["tiers"][format!("person 0 {}", unit.name())];
        let spans = tier.as_array().unwrap().iter();
        let spans: Vec<(u64, u64)> = spans
            .map(|span| (span[0].as_u64().unwrap(), span[1].as_u64().unwrap()))
            .collect();
        assert_eq!(spans, wanted, "{unit:?}");
        found += wanted.len();
        short += intervals(&frames, IntervalRules::default()).len();
    }
    assert!(found < short, "the rules leave {found} of {short} intervals");
}

/// py-feat 2.1.5: `FEAT_FACEBOX_COLUMNS`, `openface_2d_landmark_columns`, `FEAT_FACEPOSE_COLUMNS_6D`,
/// `FEAT_EMOTION_COLUMNS`, `FEAT_TIME_COLUMNS` of `feat/utils/__init__.py`, `AU_LANDMARK_MAP["Feat"]` of
/// `feat/pretrained.py`. Its reader itself needs PyTorch, scikit-learn and 40 more packages, which is too much for a test;
/// `read_feat` takes the columns by these names.
#[test]
fn py_feat_has_its_columns_and_they_hold_what_they_say() {
    let folder = export("py-feat", &[]);
    let read = read_with("csv", &[&folder.path().join("two.csv")]);
    let columns = names(&read["columns"]);
    let mut wanted: Vec<String> = Vec::new();
    let mut add = |names: &str| wanted.extend(names.split(' ').map(str::to_owned));
    add("FaceRectX FaceRectY FaceRectWidth FaceRectHeight FaceScore");
    add(&(0..68)
        .map(|nth| format!("x_{nth}"))
        .collect::<Vec<_>>()
        .join(" "));
    add(&(0..68)
        .map(|nth| format!("y_{nth}"))
        .collect::<Vec<_>>()
        .join(" "));
    add("Pitch Roll Yaw X Y Z");
    add(
        "AU01 AU02 AU04 AU05 AU06 AU07 AU09 AU10 AU11 AU12 AU14 AU15 AU17 AU20 AU23 AU24 AU25 AU26 AU28 AU43",
    );
    add("anger disgust fear happiness sadness surprise neutral input frame approx_time Identity");
    assert_eq!(columns[..wanted.len()], wanted);
    // `read_feat` takes every column with `AU` in its name for a unit, and `valence` for a sign of another detector.
    let own = &columns[wanted.len()..];
    assert!(
        own.iter()
            .all(|name| name.starts_with("abaw_") && !name.contains("AU")),
        "{own:?}"
    );

    assert_eq!(read["count"], 120);
    for row in read["rows"].as_array().unwrap() {
        let person: u16 = row["Identity"]
            .as_str()
            .unwrap()
            .trim_start_matches("Person_")
            .parse()
            .unwrap();
        let table = &rows_of(person)[&(row["frame"].as_u64().unwrap() as usize)];
        let place = table.sighting.location().unwrap().0;
        let affect = &table.postprocessed.affect;
        for (name, wanted) in [
            ("FaceRectX", place.x1),
            ("FaceRectY", place.y1),
            ("FaceRectWidth", place.x2 - place.x1),
            ("happiness", affect.expression.unwrap()[4]),
            ("AU04", affect.action_units[2].unwrap()),
            ("abaw_valence", affect.valence_arousal.unwrap().valence),
        ] {
            let got = row[name].as_f64().unwrap();
            assert!((got - f64::from(wanted)).abs() < 1e-4, "{name}: {got} {wanted}");
        }
    }
}

/// OpenFace 2.2's header, of which py-feat 2.1.5 holds the part that it reads (`OPENFACE_ORIG_COLUMNS`).
#[test]
fn openface_has_its_columns_and_they_hold_what_they_say() {
    let folder = export("openface", &[]);
    let read = read_with("csv", &[&folder.path().join("two.csv")]);
    let columns = names(&read["columns"]);
    assert_eq!(
        columns[..7],
        [
            "frame",
            "face_id",
            "timestamp",
            "confidence",
            "success",
            "gaze_0_x",
            "gaze_0_y"
        ]
    );
    let last = columns.iter().position(|name| name == "AU45_c").unwrap();
    assert_eq!(last + 1, 714, "as many as OpenFace 2.2 has");
    assert!(columns[last + 1..].iter().all(|name| name.starts_with("abaw_")));
    for name in "gaze_angle_y eye_lmk_Z_55 pose_Rz x_67 Y_0 p_scale p_33 AU01_r AU45_r AU28_c".split(' ') {
        assert!(columns.iter().any(|column| column == name), "{name}");
    }
    for row in read["rows"].as_array().unwrap() {
        let table =
            &rows_of(row["face_id"].as_u64().unwrap() as u16)[&(row["frame"].as_u64().unwrap() as usize - 1)];
        assert_eq!(row["success"], 1);
        assert!((row["timestamp"].as_f64().unwrap() - table.time_s.unwrap()).abs() < 1e-3);
        assert_eq!(
            row["AU12_c"].as_f64() == Some(1.0),
            present(table, ActionUnit::Au12)
        );
        let probability = f64::from(table.postprocessed.affect.action_units[6].unwrap());
        assert!((row["AU12_r"].as_f64().unwrap() - 5.0 * probability).abs() < 1e-3);
        assert_eq!(
            row["abaw_expression"],
            table.postprocessed.expression.unwrap().name()
        );
    }
}

fn names(columns: &Value) -> Vec<String> {
    let columns = columns.as_array().unwrap().iter();
    columns.map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_missing_table_costs_one_video() {
    let folder = tempfile::tempdir().unwrap();
    let copy: PathBuf = folder.path().join("run");
    std::fs::create_dir_all(copy.join("frames")).unwrap();
    for name in ["plan.json", "frames/two.parquet"] {
        std::fs::copy(RUN.root().join(name), copy.join(name)).unwrap();
    }
    let out = folder.path().join("out");
    let output = expect_exit(
        3,
        &mut abaw_with(&[&"export", &copy, &"--format", &"cvat", &"--out", &out]),
    );
    assert!(stderr_of(&output).contains("batch1/small: the run has no table of it"));
    assert!(out.join("two.xml").exists());
}
