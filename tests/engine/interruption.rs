//! Killed at any moment, stopped, inputs taken away: what is run again ends as if nothing had been.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::workspace::{Workspace, assert_tidy, columns, files, is_unfinished, tables};
use crate::support::{abaw, checkpoint, errors, expect_exit, stderr_of, summary, table, unpacked};

/// Many small videos and a longer one, so that a kill falls now into computing, now into writing.
fn collection(workspace: &Workspace) -> PathBuf {
    workspace.face_clip("videos/long.mkv", 8);
    for video in 0..3 {
        workspace.face_clip(format!("videos/batch1/face{video}.mkv"), 2);
        workspace.clip(format!("videos/batch2/none{video}.mkv"), 3);
    }
    workspace.path("videos")
}

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

const KILLS: usize = 20;

#[test]
fn after_twenty_kills_the_tables_are_those_of_an_undisturbed_run() {
    let workspace = Workspace::new();
    let videos = collection(&workspace);
    let undisturbed = workspace.path("undisturbed");
    let began = Instant::now();
    expect_exit(0, &mut workspace.annotate(&[&videos], &undisturbed));
    let whole = began.elapsed();
    let expected = tables(&undisturbed);
    assert_eq!(expected.len(), 7);

    let mut random = fastrand::Rng::with_seed(1);
    let (mut kills, mut rounds) = (0, 0);
    while kills < KILLS {
        rounds += 1;
        let run = workspace.path(format!("run{rounds}"));
        loop {
            let mut process = start(&mut workspace.annotate(&[&videos], &run));
            if kills == KILLS {
                process.wait().unwrap();
            }
            std::thread::sleep(whole.mul_f64(0.8 * random.f64()));
            if process.try_wait().unwrap().is_some() {
                let output = process.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", stderr_of(&output));
                break;
            }
            process.kill().unwrap();
            process.wait().unwrap();
            kills += 1;
            // Panics on a table that is not whole.
            tables(&run);
        }
        assert!(tables(&run) == expected, "tables differ");
        assert!(columns(&run) == columns(&undisturbed), "bytes differ");
        assert_tidy(&run);
        assert_eq!(summary(&run)["totals"]["done"], 7);
    }
    println!("{kills} kills in {rounds} runs, each {whole:?} long if undisturbed");
}

#[test]
fn a_signal_stops_at_once_and_the_same_command_goes_on() {
    let workspace = Workspace::new();
    workspace.clip("videos/a.mkv", 4);
    workspace.face_clip("videos/b.mkv", 1500);
    let videos = workspace.path("videos");
    for signal in ["-TERM", "-INT"] {
        let run = workspace.path(format!("run{signal}"));
        let process = start(&mut workspace.annotate(&[&videos], &run));
        wait_for(&run.join("frames/a.parquet"));
        let asked = Instant::now();
        let kill = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{}", stderr_of(&output));
        // The promise is 2.5 s (architecture.md); this bound leaves room for a machine under load.
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        assert!(
            stderr_of(&output).contains("run the same command again"),
            "{}",
            stderr_of(&output)
        );
        let published: Vec<_> = files(&run)
            .into_iter()
            .filter(|path| !is_unfinished(path))
            .collect();
        assert_eq!(published, [run.join("frames/a.parquet"), run.join("plan.json")]);

        // What goes on has less to do.
        workspace.face_clip("videos/b.mkv", 3);
        expect_exit(0, &mut workspace.annotate(&[&videos], &run));
        assert_eq!(table(&run, "b").1.counts.frames, 3);
        assert_tidy(&run);
        workspace.face_clip("videos/b.mkv", 1500);
    }
}

fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} never came",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_input_that_vanishes_before_its_turn_fails_alone() {
    let workspace = Workspace::new();
    let videos = ["a", "b", "c"].map(|name| workspace.clip(format!("{name}.mkv"), 3));
    let run = workspace.path("run");
    let mut plan = abaw();
    plan.arg("plan")
        .args(&videos)
        .args(["--shards", "1", "--device", "cpu", "--out"])
        .arg(&run);
    expect_exit(0, &mut plan);
    std::fs::remove_file(&videos[1]).unwrap();
    let mut shard = abaw();
    shard
        .arg("annotate")
        .arg("--plan")
        .arg(run.join("plan.json"))
        .args(["--shard", "0"]);
    let output = expect_exit(3, &mut shard);
    assert_eq!(errors(&output).len(), 1, "{}", stderr_of(&output));
    assert!(errors(&output)[0].contains("b.mkv"), "{}", stderr_of(&output));
    expect_exit(3, abaw().arg("merge").arg(&run));
    assert_eq!(summary(&run)["totals"]["done"], 2);
    assert_eq!(summary(&run)["videos"][1]["failure"]["stage"], "decode");
    assert_tidy(&run);
}

#[test]
fn an_input_removed_while_it_is_read_is_read_to_its_end_or_recorded() {
    let workspace = Workspace::new();
    let first = workspace.clip("a.mkv", 3);
    let second = workspace.clip("b.mkv", 600);
    let run = workspace.path("run");
    let process = start(&mut workspace.annotate_with(&["--threads=1"], &[&first, &second], &run));
    wait_for(&run.join("frames/a.parquet"));
    std::thread::sleep(Duration::from_millis(30));
    std::fs::remove_file(&second).unwrap();
    let output = process.wait_with_output().unwrap();
    match output.status.code() {
        Some(0) => assert_eq!(table(&run, "b").1.counts.frames, 600),
        Some(3) => assert!(errors(&output)[0].contains("b.mkv"), "{}", stderr_of(&output)),
        code => panic!("{code:?}: {}", stderr_of(&output)),
    }
    assert_tidy(&run);
}

#[test]
fn a_table_outlives_its_input() {
    let workspace = Workspace::new();
    let videos = ["a", "b"].map(|name| workspace.clip(format!("{name}.mkv"), 3));
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&videos, &run));
    let before = table(&run, "a");
    std::fs::remove_file(&videos[0]).unwrap();
    expect_exit(0, &mut workspace.annotate(&videos, &run));
    assert!(table(&run, "a") == before);
}

#[test]
fn a_run_with_other_settings_or_weights_is_refused_and_says_what_changed() {
    let workspace = Workspace::new();
    let video = workspace.clip("a.mkv", 3);
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&video], &run));
    let before = std::fs::read(run.join("frames/a.parquet")).unwrap();

    workspace.pipeline("[detector]\nlong_side = 64\n[tracker]\nmax_gap_s = 2.0\n");
    let output = expect_exit(2, &mut workspace.annotate(&[&video], &run));
    for word in [
        "detector.long_side: 96 -> 64",
        "max_gap_s: 1.0 -> 2.0",
        "--force",
        "another folder",
    ] {
        assert!(
            errors(&output)[0].contains(word),
            "no `{word}` in {}",
            stderr_of(&output)
        );
    }

    workspace.pipeline("[detector]\nlong_side = 96\n");
    let weights = weights(&workspace);
    let given = weights.to_str().unwrap();
    let output = expect_exit(
        2,
        &mut workspace.annotate_with(&["--weights", given], &[&video], &run),
    );
    let named = errors(&output)[0].clone();
    assert!(
        named.contains("weights (affect: ddamfn-demo.safetensors") && named.contains("-> w.safetensors)"),
        "{named}"
    );
    assert_eq!(std::fs::read(run.join("frames/a.parquet")).unwrap(), before);

    expect_exit(
        0,
        &mut workspace.annotate_with(&["--force", "--weights", given], &[&video], &run),
    );
    assert_eq!(table(&run, "a").1.weights[1].source, "w.safetensors");
}

/// Weights of constant numbers, imported.
fn weights(workspace: &Workspace) -> PathBuf {
    let checkpoint = unpacked(&checkpoint("multitask_constant.pth.gz"), &workspace.path(""));
    let out = workspace.path("w.safetensors");
    let mut import = abaw();
    expect_exit(
        0,
        import
            .args(["weights", "import"])
            .arg(checkpoint)
            .arg("--out")
            .arg(&out),
    );
    out
}
