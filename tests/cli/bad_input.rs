//! What is given wrongly costs one clear line and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{abaw, errors, sample, stderr_of};

fn annotate(inputs: &[&Path], out: &Path) -> Output {
    let mut command = abaw();
    command.arg("annotate").args(inputs);
    command
        .args(["--device", "cpu", "--limit-frames", "4", "--out"])
        .arg(out);
    command.output().unwrap()
}

/// A folder with files that are no videos.
struct Bad {
    folder: tempfile::TempDir,
}

impl Bad {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.mp4"), b"").unwrap();
        std::fs::write(
            folder.path().join("text.mp4"),
            "this is not a video\n".repeat(200),
        )
        .unwrap();
        let audio = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "sine=duration=1",
                "-c:a",
                "aac",
            ])
            .arg(folder.path().join("audio.mp4"))
            .status()
            .unwrap();
        assert!(audio.success());
        std::fs::create_dir(folder.path().join("no_videos")).unwrap();
        std::fs::write(folder.path().join("no_videos/readme.txt"), "nothing here").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn bad_inputs_are_recorded_and_the_good_one_is_done() {
    let bad = Bad::new();
    let run = bad.path("run");
    let names = ["missing.mp4", "empty.mp4", "text.mp4", "audio.mp4", "no_videos"];
    let mut inputs: Vec<PathBuf> = names.iter().map(|name| bad.path(name)).collect();
    inputs.push(sample("carphone.mp4"));
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let output = annotate(&inputs, &run);
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    let errors = errors(&output);
    assert_eq!(errors.len(), names.len(), "{errors:#?}");
    for name in names {
        let id = name.trim_end_matches(".mp4");
        assert!(
            errors
                .iter()
                .any(|line| line.starts_with(&format!("error: {id}: "))),
            "{name}: {errors:#?}"
        );
        let record = std::fs::read_to_string(run.join(format!("failures/{id}.json"))).unwrap();
        for key in ["\"input\"", "\"stage\"", "\"error\"", "\"when\""] {
            assert!(record.contains(key), "{record}");
        }
        assert!(!run.join(format!("frames/{id}.parquet")).exists());
    }
    assert!(run.join("frames/carphone.parquet").exists());
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(summary["totals"]["done"], 1);
    assert_eq!(summary["totals"]["failed"], 5);
}

#[test]
fn each_bad_file_alone_fails_with_three() {
    let bad = Bad::new();
    for name in ["empty.mp4", "text.mp4", "audio.mp4"] {
        let output = annotate(&[&bad.path(name)], &bad.path(&format!("run-{name}")));
        assert_eq!(output.status.code(), Some(3), "{name}");
        assert_eq!(errors(&output).len(), 1, "{name}");
    }
}

#[test]
fn nothing_to_do_is_a_usage_error_and_leaves_nothing() {
    let bad = Bad::new();
    for name in ["missing.mp4", "no_videos"] {
        let run = bad.path("run");
        let output = annotate(&[&bad.path(name)], &run);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let errors = errors(&output);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(name), "{errors:#?}");
        assert!(!run.exists());
    }
}

#[test]
fn an_output_that_cannot_be_written_is_a_usage_error() {
    let bad = Bad::new();
    let run = bad.path("text.mp4").join("run");
    let output = annotate(&[&sample("carphone.mp4")], &run);
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains("text.mp4/run"), "{errors:#?}");
}

#[test]
fn inputs_of_one_name_are_refused_before_any_work() {
    let bad = Bad::new();
    std::fs::create_dir(bad.path("elsewhere")).unwrap();
    std::fs::copy(sample("carphone.mp4"), bad.path("elsewhere/carphone.mp4")).unwrap();
    let run = bad.path("run");
    let output = annotate(
        &[&sample("carphone.mp4"), &bad.path("elsewhere/carphone.mp4")],
        &run,
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output)[0].contains("elsewhere/carphone.mp4"));
    assert!(!run.exists());
}

#[test]
fn a_pipeline_file_with_an_unknown_key_is_refused() {
    let bad = Bad::new();
    let pipeline = bad.path("pipeline.toml");
    std::fs::write(&pipeline, "[detector]\nlong_sides = 320\n").unwrap();
    let mut command = abaw();
    command
        .arg("annotate")
        .arg(sample("carphone.mp4"))
        .arg("--pipeline")
        .arg(&pipeline);
    let output = command.arg("--out").arg(bad.path("run")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert!(
        errors[0].contains("long_sides") && errors[0].contains("pipeline.toml"),
        "{errors:#?}"
    );
}

#[test]
fn a_setting_out_of_its_range_is_refused_before_any_work() {
    let bad = Bad::new();
    for (settings, named) in [
        ("[tracker]\nmax_gap_s = -1.0\n", "max_gap_s"),
        ("[detector]\nbatch = 0\n", "batch"),
        ("[model]\nbatch = 0\n", "batch"),
    ] {
        let pipeline = bad.path("pipeline.toml");
        std::fs::write(&pipeline, settings).unwrap();
        let mut command = abaw();
        command
            .arg("annotate")
            .arg(sample("carphone.mp4"))
            .arg("--pipeline")
            .arg(&pipeline);
        let output = command.arg("--out").arg(bad.path("run")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings}");
        let errors = errors(&output);
        assert!(errors[0].contains(named), "{errors:#?}");
        assert!(!bad.path("run").exists());
    }
}

#[test]
fn errors_can_be_read_by_machines() {
    let output = abaw()
        .args([
            "--log-format",
            "json",
            "annotate",
            "/does/not/exist.mp4",
            "--out",
            "/tmp/never",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().contains("/does/not/exist.mp4"));
}
