//! The whole program on the sample clips: decoding, detection, tracking, networks, tables, submission.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use abaw::frame::FrameIndex;
use abaw::labels::FinalAffect;
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};
use abaw::table::{self, Footer, Row};
use serde_json::Value;

use crate::support::{abaw, root, sample, stderr_of, stdout_of};

const CLIPS: [&str; 3] = ["astronaut", "two_people", "carphone"];

/// One annotated run of the sample clips that all tests here look at.
static RUN: LazyLock<SampleRun> = LazyLock::new(SampleRun::make);

struct SampleRun {
    folder: tempfile::TempDir,
    output: Output,
}

impl SampleRun {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = abaw();
        command
            .arg("annotate")
            .args(CLIPS.map(|clip| sample(format!("{clip}.mp4"))));
        command
            .arg("--pipeline")
            .arg(root().join("pipelines/annotate.toml"));
        command.args(["--device", "cpu", "--out"]).arg(folder.path());
        let output = command.output().unwrap();
        Self { folder, output }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn table_path(&self, clip: &str) -> PathBuf {
        self.path().join(format!("frames/{clip}.parquet"))
    }

    fn table(&self, clip: &str) -> (Vec<Row>, Footer) {
        table::read(&self.table_path(clip)).unwrap()
    }

    fn summary(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path().join("run.json")).unwrap()).unwrap()
    }
}

fn frames_by_ffprobe(clip: &Path) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(clip)
        .output()
        .unwrap();
    stdout_of(&output).trim().trim_end_matches(',').parse().unwrap()
}

fn frames_with_face(rows: &[Row]) -> BTreeSet<u32> {
    rows.iter()
        .filter(|row| row.sighting.is_face())
        .map(|row| row.frame.number())
        .collect()
}

#[test]
fn the_run_succeeds_and_its_summary_is_for_people() {
    assert!(RUN.output.status.success(), "{}", stderr_of(&RUN.output));
    let said = stdout_of(&RUN.output);
    for word in CLIPS
        .into_iter()
        .chain(["frames", "with face", "seconds", "run.json"])
    {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
}

#[test]
fn each_frame_that_ffprobe_counts_has_one_subject_row() {
    for clip in CLIPS {
        let (rows, footer) = RUN.table(clip);
        let frames: Vec<FrameIndex> = rows
            .iter()
            .filter(|row| row.subject)
            .map(|row| row.frame)
            .collect();
        let counted = frames_by_ffprobe(&sample(format!("{clip}.mp4")));
        let numbers: Vec<u32> = frames.iter().map(|frame| frame.number()).collect();
        assert_eq!(numbers, (1..=counted as u32).collect::<Vec<_>>(), "{clip}");
        assert_eq!(footer.counts.frames, counted as u64, "{clip}");
    }
}

#[test]
fn the_astronaut_is_found_exactly_where_she_is() {
    let truth: Value =
        serde_json::from_slice(&std::fs::read(sample("astronaut.frames.json")).unwrap()).unwrap();
    let expected: BTreeSet<u32> = truth["with_face"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|range| range[0].as_u64().unwrap() as u32..=range[1].as_u64().unwrap() as u32)
        .collect();
    let (rows, footer) = RUN.table("astronaut");
    assert_eq!(frames_with_face(&rows), expected);
    let cuts: Vec<u64> = footer.cuts.iter().map(|&frame| u64::from(frame)).collect();
    let shots: Vec<u64> = truth["first_frame_of_each_shot"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shot| shot.as_u64().unwrap())
        .collect();
    assert_eq!(cuts, shots[1..]);
}

#[test]
fn two_people_are_two_persons_in_every_frame() {
    let (rows, footer) = RUN.table("two_people");
    assert_eq!(footer.counts.persons, 2);
    let seen = rows.iter().filter(|row| row.sighting.is_face()).count();
    assert_eq!(seen, 2 * footer.counts.frames as usize);
    let on_the_left = |row: &Row| row.sighting.location().unwrap().0.centre().x < 320.0;
    for row in &rows {
        let stays = on_the_left(row) == on_the_left(&rows[0]);
        assert_eq!(stays, row.person == rows[0].person, "frame {}", row.frame);
    }
}

#[test]
fn the_carphone_man_is_found_in_nearly_every_frame() {
    let (rows, footer) = RUN.table("carphone");
    let found = frames_with_face(&rows).len() as f64;
    assert!(
        found >= 0.95 * footer.counts.frames as f64,
        "found in {found} frames"
    );
}

#[test]
fn numbers_are_complete_and_in_range() {
    for clip in CLIPS {
        let (rows, _) = RUN.table(clip);
        for row in rows {
            let affect = &row.postprocessed.affect;
            if row.person.is_none() {
                assert_eq!(
                    row.postprocessed,
                    FinalAffect::default(),
                    "nobody is in {}",
                    row.frame
                );
                continue;
            }
            let point = affect.valence_arousal.unwrap();
            assert!(point.valence.abs() <= 1.0 && point.arousal.abs() <= 1.0);
            let sum: f32 = affect.expression.unwrap().iter().sum();
            assert!(
                (sum - 1.0).abs() < 1e-5,
                "{clip} {}: probabilities sum to {sum}",
                row.frame
            );
            assert!(
                affect
                    .all_action_units()
                    .unwrap()
                    .iter()
                    .all(|probability| (0.0..=1.0).contains(probability))
            );
            assert!(row.postprocessed.expression.is_some() && row.postprocessed.all_action_units().is_some());
            assert_eq!(row.raw.expression.is_some(), row.sighting.is_face());
        }
    }
}

#[test]
fn duckdb_and_pandas_read_the_design_columns() {
    for clip in CLIPS {
        let output = Command::new("python3")
            .arg(root().join("tests/python/read_table.py"))
            .arg(RUN.table_path(clip))
            .env("PYTHONPATH", root().join(".deps/python"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (rows, footer) = RUN.table(clip);
        for reader in ["arrow", "duckdb"] {
            let columns = match reader {
                "arrow" => &read["arrow"],
                _ => &read["duckdb"]["columns"],
            };
            assert_eq!(
                columns.as_object().unwrap().len(),
                design_columns().len(),
                "{reader}: {columns}"
            );
            for (name, types) in design_columns() {
                let found = columns[&name].as_str().unwrap_or("nothing");
                let expected = if reader == "arrow" { types.0 } else { types.1 };
                assert_eq!(found, expected, "{reader}: {name}");
            }
        }
        let names: Vec<&str> = read["pandas"]["columns"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names.len(), design_columns().len(), "pandas: {names:?}");
        for reader in ["pandas", "duckdb"] {
            assert_eq!(read[reader]["rows"], rows.len(), "{reader}");
        }
        assert_eq!(read["subject_per_frame_ok"], true);
        assert_eq!(read["frames"], serde_json::json!([1, footer.counts.frames]));
    }
}

/// The columns of the design with their types in Arrow (pyarrow's words) and in DuckDB.
fn design_columns() -> Vec<(String, (&'static str, &'static str))> {
    const FLOAT: (&str, &str) = ("float", "FLOAT");
    let expressions = [
        "neutral",
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
        "other",
    ];
    let units = [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26];
    let mut columns: Vec<(String, (&str, &str))> = [
        (
            "video",
            ("dictionary<values=string, indices=int32, ordered=0>", "VARCHAR"),
        ),
        ("frame", ("int32", "INTEGER")),
        ("time_s", ("double", "DOUBLE")),
        ("subject", ("bool", "BOOLEAN")),
        ("detected", ("bool", "BOOLEAN")),
        ("landmarks", ("fixed_size_list<item: float>[10]", "FLOAT[]")),
        (
            "expression",
            ("dictionary<values=string, indices=int8, ordered=0>", "VARCHAR"),
        ),
    ]
    .map(|(name, types)| (name.to_owned(), types))
    .into();
    columns.push(("person".to_owned(), ("int16", "SMALLINT")));
    columns.push(("usable".to_owned(), ("bool", "BOOLEAN")));
    let quality = ["roll", "pitch", "yaw", "alignment_error", "sharpness", "face_px"];
    for name in ["det_score", "box_x1", "box_y1", "box_x2", "box_y2"]
        .into_iter()
        .chain(quality)
    {
        columns.push((name.to_owned(), FLOAT));
    }
    for suffix in ["", "_raw"] {
        columns.push((format!("valence{suffix}"), FLOAT));
        columns.push((format!("arousal{suffix}"), FLOAT));
        columns.extend(expressions.map(|name| (format!("expr_{name}{suffix}"), FLOAT)));
        columns.extend(units.map(|unit| (format!("au{unit}_prob{suffix}"), FLOAT)));
    }
    columns.extend(units.map(|unit| (format!("au{unit}"), ("bool", "BOOLEAN"))));
    columns
}

#[test]
fn the_submission_has_the_lines_of_the_list_in_its_order() {
    let list = sample("aff-wild2/MTL/frame_list.txt");
    let out = RUN.path().join("mtl.txt");
    let output = abaw()
        .arg("submit")
        .arg(RUN.path())
        .args(["--challenge", "mtl", "--template"])
        .arg(&list)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr_of(&output));
    let images = |path: &Path| -> Vec<String> {
        let content = std::fs::read_to_string(path).unwrap();
        content
            .lines()
            .map(|line| line.split(',').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(images(&out), images(&list));
    let content = std::fs::read_to_string(&out).unwrap();
    for line in content.lines().skip(1) {
        assert_eq!(line.split(',').count(), 16, "{line}");
    }
    let rows = RUN.table("astronaut").0;
    let first = rows
        .iter()
        .find(|row| row.subject)
        .unwrap()
        .postprocessed
        .affect
        .valence_arousal
        .unwrap();
    let of_first = content
        .lines()
        .find(|line| line.starts_with("astronaut/00001.jpg"))
        .unwrap();
    let valence: f32 = of_first.split(',').nth(1).unwrap().parse().unwrap();
    assert!((valence - first.valence).abs() < 1e-5);
}

#[test]
fn the_run_says_how_it_was_made() {
    let summary = RUN.summary();
    assert_eq!(summary["totals"]["videos"], 3);
    assert_eq!(summary["totals"]["done"], 3);
    for video in summary["videos"].as_array().unwrap() {
        assert_eq!(video["status"], "done");
        assert!(video["seconds"]["infer"].as_f64().unwrap() > 0.0);
        let (_, footer) = RUN.table(video["id"].as_str().unwrap());
        assert_eq!(video["frames"], footer.counts.frames);
        assert_eq!(footer.settings_hash, summary["settings_hash"].as_str().unwrap());
        assert_eq!(serde_json::to_value(&footer.weights).unwrap(), summary["weights"]);
        assert!(footer.versions.contains_key("libtorch") && footer.versions.contains_key("libav"));
    }
}

#[test]
fn nobody_can_take_untrained_numbers_for_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = abaw();
    let weights = folder.path().join("seeded.safetensors");
    let tensors = initial_weights(&Architecture::MULTITASK, 2407_12390).unwrap();
    let card = Card {
        trained: false,
        ..Card::as_published("a seed".to_owned())
    };
    let network = Weights::new(tensors, card).unwrap();
    network.save(&weights, NumberFormat::F32).unwrap();
    command.arg("annotate").arg(sample("carphone.mp4"));
    command
        .args(["--device", "cpu", "--limit-frames", "3", "--out"])
        .arg(folder.path())
        .arg("--weights")
        .arg(&weights);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr_of(&output));
    assert!(stderr_of(&output).contains("untrained"));
    let (rows, footer) = table::read(&folder.path().join("frames/carphone.parquet")).unwrap();
    assert_eq!(rows.len(), 3);
    let affect = footer
        .weights
        .iter()
        .find(|weights| weights.role == "affect")
        .unwrap();
    assert_eq!(affect.weights, "untrained");
    let summary = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
    assert!(summary.contains("\"untrained\""));
}

#[test]
fn a_second_run_does_nothing_and_a_new_run_gives_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let annotate = |threads: &str| {
        let mut command = abaw();
        command.arg("annotate").arg(sample("two_people.mp4"));
        command.args([
            "--device",
            "cpu",
            "--limit-frames",
            "40",
            "--threads",
            threads,
            "--out",
        ]);
        let output = command.arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
    };
    let table = folder.path().join("frames/two_people.parquet");
    annotate("1");
    let first = table::read(&table).unwrap();
    let written = std::fs::metadata(&table).unwrap().modified().unwrap();
    annotate("1");
    assert_eq!(std::fs::metadata(&table).unwrap().modified().unwrap(), written);
    std::fs::remove_file(&table).unwrap();
    annotate("3");
    assert_eq!(table::read(&table).unwrap(), first);
}
