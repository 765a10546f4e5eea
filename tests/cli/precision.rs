//! `--precision auto`: measured once a machine, remembered, and fixed by a plan.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::workspace::Workspace;
use crate::support::{abaw, expect_exit, read_json, stderr_of, stdout_of, table};

/// What this machine remembers, which is one file.
fn remembered(cache: &Path) -> PathBuf {
    let mut files = fs::read_dir(cache).unwrap().map(|file| file.unwrap().path());
    let file = files.next().expect("a file");
    assert!(files.next().is_none());
    file
}

/// Puts other times in place of those measured.
fn pretend(cache: &Path, f32_ms: f64, bf16_ms: f64) {
    let file = remembered(cache);
    let mut trial: Value = read_json(&file);
    trial["f32_ms"] = json!(f32_ms);
    trial["bf16_ms"] = json!(bf16_ms);
    fs::write(file, trial.to_string()).unwrap();
}

/// `annotate --precision auto` of the workspace's clip.
fn auto(workspace: &Workspace, run: &Path) -> Command {
    auto_with(&["--precision=auto"], workspace, run)
}

fn auto_with(options: &[&str], workspace: &Workspace, run: &Path) -> Command {
    let clip = workspace.path("clip.mkv");
    let mut annotate = workspace.annotate_with(options, &[clip], run);
    annotate.env("ABAW_CACHE", workspace.path("cache"));
    annotate
}

/// The precision in a run's plan, which the footer names, too.
#[track_caller]
fn precision(run: &Path) -> String {
    let plan: Value = read_json(&run.join("plan.json"));
    let planned = plan["settings"]["pipeline"]["model"]["precision"]
        .as_str()
        .unwrap();
    let (_, footer) = table(run, "clip");
    assert!(footer.inference.contains(planned), "{}", footer.inference);
    assert_eq!(footer.settings["pipeline"]["model"]["precision"], planned);
    planned.to_owned()
}

#[test]
fn auto_is_measured_once_and_a_run_keeps_what_it_began_with() {
    let workspace = Workspace::new();
    workspace.face_clip("clip.mkv", 2);
    let (cache, run) = (workspace.path("cache"), workspace.path("run"));
    let first = expect_exit(0, &mut auto(&workspace, &workspace.path("measured")));
    assert!(
        stderr_of(&first).contains("ms a face in f32"),
        "{}",
        stderr_of(&first)
    );
    let measured: Value = read_json(&remembered(&cache));
    let [f32_ms, bf16_ms] = ["f32_ms", "bf16_ms"].map(|of| measured[of].as_f64().unwrap());
    let faster = if bf16_ms <= 0.9 * f32_ms { "bf16" } else { "f32" };
    assert_eq!(precision(&workspace.path("measured")), faster);

    // Remembered: nothing is measured again.
    pretend(&cache, 10.0, 2.0);
    expect_exit(0, &mut auto(&workspace, &run));
    assert_eq!(precision(&run), "bf16");
    // On another machine f32 would be faster: the run goes on as it began, also with one more clip, and does its shards so.
    pretend(&cache, 2.0, 10.0);
    workspace.face_clip("more.mkv", 1);
    let mut more = auto(&workspace, &run);
    expect_exit(0, more.arg(workspace.path("more.mkv")));
    assert_eq!(precision(&run), "bf16");
    let (_, footer) = table(&run, "more");
    assert!(footer.inference.contains("bf16"), "{}", footer.inference);
    fs::remove_file(run.join("frames/clip.parquet")).unwrap();
    let mut shard = abaw();
    shard
        .args(["annotate", "--shard", "0", "--plan"])
        .arg(run.join("plan.json"));
    expect_exit(0, shard.env("ABAW_CACHE", &cache));
    assert_eq!(precision(&run), "bf16");
    // Begun anew it is f32.
    let options = ["--precision=auto", "--force", "--replace-inputs"];
    expect_exit(0, &mut auto_with(&options, &workspace, &run));
    assert_eq!(precision(&run), "f32");
}

#[test]
fn a_memory_that_cannot_be_read_or_written_is_no_obstacle() {
    let workspace = Workspace::new();
    workspace.face_clip("clip.mkv", 1);
    let cache = workspace.path("cache");
    let mut doctor = abaw();
    let said = expect_exit(0, doctor.arg("doctor").env("ABAW_CACHE", &cache));
    let said = stdout_of(&said);
    assert!(
        said.contains("ms a face in f32") && said.contains(": auto takes "),
        "{said}"
    );
    let file = remembered(&cache);
    for fault in ["", "{\"f32_ms\": 1", "null"] {
        fs::write(&file, fault).unwrap();
        let run = workspace.path(format!("run{}", fault.len()));
        expect_exit(0, &mut auto(&workspace, &run));
        let anew: Value = read_json(&file);
        assert!(anew["f32_ms"].as_f64().unwrap() > 0.1, "{anew}");
    }
    // A folder in place of the file.
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("folder")).unwrap();
    let output = expect_exit(0, &mut auto(&workspace, &workspace.path("run")));
    assert!(
        stderr_of(&output).contains("measured anew each time"),
        "{}",
        stderr_of(&output)
    );
    precision(&workspace.path("run"));
}
