//! Labels beside a run: at other frame rates, in few videos, in folders of other names; tables of older versions.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{abaw, errors, expect_exit, root, stderr_of, stdout_of, table};

/// Valence and arousal as a slow wave, so many labels a second over so many seconds.
fn wave(labels_a_second: f64, seconds: f64) -> String {
    let mut text = "valence,arousal\n".to_owned();
    for line in 0..(labels_a_second * seconds).round() as u32 {
        let time_s = f64::from(line) / labels_a_second;
        writeln!(
            text,
            "{:.3},{:.3}",
            (time_s * 3.0).sin() / 2.0,
            (time_s * 2.0).cos() / 2.0
        )
        .unwrap();
    }
    text
}

struct Labelled {
    workspace: Workspace,
}

impl Labelled {
    /// A run over videos of 50 frames, two seconds.
    fn new(videos: &[&str]) -> Self {
        let workspace = Workspace::new();
        for name in videos {
            workspace.face_clip(format!("videos/{name}.mkv"), 50);
        }
        expect_exit(
            0,
            &mut workspace.annotate(&[workspace.path("videos")], &workspace.path("run")),
        );
        Self { workspace }
    }

    fn run(&self) -> PathBuf {
        self.workspace.path("run")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.workspace.path("labels").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, exit: i32, name: &str, options: &[&str]) -> Output {
        let mut command = abaw();
        command
            .arg(name)
            .arg(self.run())
            .arg("--labels")
            .arg(self.workspace.path("labels"));
        expect_exit(exit, command.args(options))
    }

    fn scores(&self, options: &[&str]) -> Value {
        let output = self.command(0, "evaluate", &[&["--json"], options].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn labels_at_another_frame_rate_are_refused_unless_they_are_matched_by_time() {
    let set = Labelled::new(&["a", "b"]);
    for (fps, frames) in [(30.0, 50), (5.0, 10)] {
        for video in ["a", "b"] {
            set.write(&format!("VA_Set/{video}.txt"), &wave(fps, 2.0));
        }
        let output = set.command(2, "evaluate", &[]);
        let [error] = errors(&output).try_into().unwrap();
        for word in [
            format!("{fps} labels a second"),
            "25.00 frames a second".to_owned(),
            format!("--labels-fps {fps}"),
        ] {
            assert!(error.contains(&word), "no `{word}` in {error}");
        }
        set.command(2, "tune", &["--out", "none.toml"]);
        let matched = set.scores(&["--labels-fps", &fps.to_string()]);
        assert_eq!(matched["per_task"]["frames"]["va"], 2 * frames, "{fps}");
    }
    // By time the labels are those that the video's own rate would have: the scores are, too.
    set.write("VA_Set/a.txt", &wave(25.0, 2.0));
    set.write("VA_Set/b.txt", &wave(25.0, 2.0));
    let own = set.scores(&[])["per_task"]["ccc_valence"].as_f64().unwrap();
    for video in ["a", "b"] {
        set.write(&format!("VA_Set/{video}.txt"), &wave(100.0, 2.0));
    }
    let matched = set.scores(&["--labels-fps", "100"])["per_task"]["ccc_valence"]
        .as_f64()
        .unwrap();
    assert!((own - matched).abs() < 1e-9, "{own} {matched}");
}

#[test]
fn numbers_of_one_video_and_of_no_labelled_frame_are_absent() {
    let set = Labelled::new(&["a"]);
    set.write("VA_Set/a.txt", &wave(25.0, 2.0));
    let stdout = stdout_of(&set.command(0, "evaluate", &[]));
    assert!(
        stdout.contains("no 95 % intervals") && !stdout.contains(" to "),
        "{stdout}"
    );

    set.write(
        "VA_Set/a.txt",
        &format!("valence,arousal\n{}", "-5,-5\n".repeat(50)),
    );
    let stdout = stdout_of(&set.command(0, "evaluate", &[]));
    assert!(stdout.starts_with("P - ") && !stdout.contains("-0.0"), "{stdout}");
    let scores = set.scores(&[]);
    assert_eq!(
        (&scores["per_task"]["p"], &scores["strict"]["p"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn tune_takes_as_many_folds_as_there_are_videos() {
    let set = Labelled::new(&["a", "b", "c"]);
    for video in ["a", "b", "c"] {
        set.write(&format!("VA_Set/{video}.txt"), &wave(25.0, 2.0));
    }
    let calibration = set.workspace.path("calibration.toml");
    let out = calibration.to_str().unwrap();
    let output = set.command(0, "tune", &["--out", out]);
    assert!(
        stderr_of(&output).contains("3 labelled videos: 3 folds"),
        "{}",
        stderr_of(&output)
    );
    assert!(
        stdout_of(&output).contains("3 videos in 3 folds"),
        "{}",
        stdout_of(&output)
    );
    let output = set.command(2, "tune", &["--out", out, "--folds", "5"]);
    assert!(errors(&output)[0].contains("3 labelled videos do not fill 5 folds"));
}

#[test]
fn label_folders_of_other_names_are_read_or_named() {
    let set = Labelled::new(&["a"]);
    set.write("VA/a.txt", &wave(25.0, 2.0));
    set.write(
        "Expression_Set/a.txt",
        &format!(
            "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n{}",
            "4\n".repeat(50)
        ),
    );
    set.write("more/a.txt", &wave(25.0, 2.0));
    let output = set.command(0, "evaluate", &["--json"]);
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["per_task"]["frames"]["va"], 50);
    assert_eq!(scores["per_task"]["frames"]["expression"], 50);
    let stderr = stderr_of(&output);
    assert_eq!(stderr.matches("labels/more: left out").count(), 1, "{stderr}");
}

/// Frames and persons were unsigned before.
#[test]
fn tables_of_older_versions_are_read() {
    let set = Labelled::new(&["a"]);
    let path = set.run().join("frames/a.parquet");
    let new = table(&set.run(), "a");
    let script = "import sys, pyarrow as pa, pyarrow.parquet as pq\n\
                  t = pq.read_table(sys.argv[1])\n\
                  s = t.schema\n\
                  for name, kind in [('frame', pa.uint32()), ('person', pa.uint16())]:\n    \
                      s = s.set(s.get_field_index(name), s.field(name).with_type(kind))\n\
                  kept = {k: v for k, v in pq.read_metadata(sys.argv[1]).metadata.items() if k.startswith(b'abaw')}\n\
                  pq.write_table(t.cast(s).replace_schema_metadata(kept), sys.argv[1], compression='zstd')\n";
    python(script, &path);
    assert!(table(&set.run(), "a") == new);
    set.write("VA_Set/a.txt", &wave(25.0, 2.0));
    set.command(0, "evaluate", &[]);
}

#[test]
fn differences_of_frames_neither_wrap_nor_fail() {
    let set = Labelled::new(&["a"]);
    let path = set.run().join("frames/a.parquet");
    let script = "import sys, pandas, duckdb\n\
                  t = pandas.read_parquet(sys.argv[1])\n\
                  assert (t.frame - 30).min() == -29, (t.frame - 30).min()\n\
                  low, = duckdb.sql(f\"select min(frame - 30) from '{sys.argv[1]}'\").fetchone()\n\
                  assert low == -29, low\n\
                  low, = duckdb.sql(f\"select min(person - 5) from '{sys.argv[1]}'\").fetchone()\n\
                  assert low == -5, low\n";
    python(script, &path);
}

fn python(script: &str, path: &Path) {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", root().join(".deps/python"));
    expect_exit(0, python.arg("-c").arg(script).arg(path));
}
