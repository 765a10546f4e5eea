//! What is seen of a run: lines on stderr, the summary, `run.json`.

use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{abaw, expect_exit, stderr_of, stdout_of, summary, table};

#[test]
fn lines_for_machines_are_one_object_each_with_frames_and_rates() {
    let workspace = Workspace::new();
    let videos = ["a", "b"].map(|name| workspace.clip(format!("{name}.mkv"), 5));
    let broken = workspace.path("broken.mkv");
    std::fs::write(&broken, "no video").unwrap();
    let inputs = [&videos[0], &videos[1], &broken];
    let mut command = abaw();
    command
        .args(["--log-format", "json", "annotate", "--device", "cpu"])
        .args(inputs);
    let output = expect_exit(3, command.arg("--out").arg(workspace.path("run")));
    let output = stderr_of(&output);
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in ["a", "b"] {
        let line = lines.iter().find(|line| line["video"] == name).unwrap();
        assert_eq!(
            (&line["frames"], &line["level"]),
            (&Value::from(5), &Value::from("INFO"))
        );
        assert!(line["frames_per_second"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["work_seconds"].as_f64().unwrap() > 0.0, "{line}");
    }
    let failure = lines.iter().find(|line| line["video"] == "broken").unwrap();
    assert_eq!(
        (&failure["level"], &failure["stage"]),
        (&Value::from("ERROR"), &Value::from("decode"))
    );
    let whole = lines.iter().find(|line| line["videos"] == 3).unwrap();
    assert_eq!(whole["of"], 3);
    assert_eq!(whole["frames"], 10);
    assert_eq!(whole["failed"], 1);
    assert_eq!(whole["frames_waiting"], 0);
    assert!(whole["frames_per_second"].as_f64().unwrap() > 0.0);
}

/// Runs a command as if on a terminal and gives all that it wrote there.
fn on_a_terminal(command: &std::process::Command, code: i32) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap()));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = expect_exit(code, script.env("COLUMNS", "160").env("TERM", "xterm"));
    stdout_of(&output)
}

#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let workspace = Workspace::new();
    let videos = [workspace.clip("a.mkv", 400), workspace.clip("b.mkv", 400)];
    let broken = workspace.path("broken.mkv");
    std::fs::write(&broken, "no video").unwrap();
    let inputs = [&broken, &videos[0], &videos[1]];
    let seen = on_a_terminal(&workspace.annotate(&inputs, &workspace.path("run")), 3);
    for words in ["/3 videos", " a second, ", " frames and ", " left", ", 1 failed"] {
        assert!(seen.contains(words), "no `{words}` in {seen}");
    }
    assert!(seen.contains("2 of 3 videos done, 800 frames"), "{seen}");
}

#[test]
fn lines_for_people_are_sentences_and_end_in_a_table() {
    let workspace = Workspace::new();
    let video = workspace.clip("a.mkv", 5);
    let output = expect_exit(0, &mut workspace.annotate(&[video], &workspace.path("run")));
    assert!(
        stderr_of(&output).contains("\na: 5 frames, 0 with a face\n"),
        "{}",
        stderr_of(&output)
    );
    assert!(
        stderr_of(&output).contains("\n1/1 videos, 5 frames, "),
        "{}",
        stderr_of(&output)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("1 of 1 videos done, 5 frames, 0 with a face, "),
        "{printed}"
    );
}

#[test]
fn after_a_resume_seconds_are_of_all_work_and_the_rate_is_of_the_last_attempt() {
    let workspace = Workspace::new();
    let videos = ["a", "b"].map(|name| workspace.clip(format!("{name}.mkv"), 20));
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&videos[..1], &run));
    expect_exit(0, &mut workspace.annotate(&videos, &run));
    let resumed = summary(&run);
    for stage in ["decode", "detect", "track"] {
        let seconds = |value: &Value| value["seconds"][stage].as_f64().unwrap();
        let of_videos: f64 = resumed["videos"].as_array().unwrap().iter().map(seconds).sum();
        assert!(of_videos > 0.0);
        assert!((seconds(&resumed["totals"]) - of_videos).abs() < 1e-9, "{stage}");
    }
    assert_eq!(resumed["totals"]["frames"], 40);
    let number = |key: &str| resumed["totals"][key].as_f64().unwrap();
    let frames_done_now = number("frames_per_second") * number("wall_seconds");
    assert!((frames_done_now - 20.0).abs() < 1e-6, "{frames_done_now}");
    assert_eq!(table(&run, "a").1.counts.frames, 20);

    expect_exit(0, &mut workspace.annotate(&videos, &run));
    let idle = summary(&run);
    assert_eq!(idle["totals"]["frames_per_second"], Value::Null);
    assert_eq!(idle["totals"]["seconds"], resumed["totals"]["seconds"]);
}
