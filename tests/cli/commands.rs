//! What a shell user expects of every command: recipes, help, completions, man pages, quiet and coloured messages.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use abaw::run::Plan;

use crate::support::workspace::{Workspace, columns};
use crate::support::{abaw, errors, expect_exit, output_of, root, stderr_of, stdout_of, succeeded};

/// A run of a clip with options.
fn annotate(workspace: &Workspace, run: &str, options: &[&str]) -> Output {
    let mut annotate = abaw();
    annotate
        .arg("annotate")
        .arg(workspace.path("clip.mkv"))
        .args(["--device", "cpu", "--out"]);
    annotate.arg(workspace.path(run)).args(options).output().unwrap()
}

fn plan(run: &Path) -> Plan {
    Plan::read(&run.join("plan.json")).unwrap()
}

#[test]
fn without_a_pipeline_the_everyday_recipe_is_used() {
    let workspace = Workspace::new();
    workspace.face_clip("clip.mkv", 30);
    let file = root().join("pipelines/annotate.toml");
    let new = workspace.path("new.toml");
    std::fs::write(&new, succeeded(&output_of(["pipelines", "new"]))).unwrap();
    let ways: [&[&str]; 4] = [
        &[],
        &["--pipeline", "annotate"],
        &["--pipeline", file.to_str().unwrap()],
        &["--pipeline", new.to_str().unwrap()],
    ];
    let runs: Vec<_> = (0..4).map(|way| workspace.path(way.to_string())).collect();
    for (way, options) in ways.iter().enumerate() {
        succeeded(&annotate(&workspace, &way.to_string(), options));
    }
    for run in &runs[1..] {
        assert_eq!(plan(run).settings_hash, plan(&runs[0]).settings_hash);
        assert!(columns(run) == columns(&runs[0]));
    }
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(
        makefile.contains("\nPIPELINE =\n"),
        "`make annotate` names no other recipe"
    );
}

#[test]
fn single_settings_are_changed_on_the_command_line() {
    let workspace = Workspace::new();
    workspace.clip("clip.mkv", 3);
    let options = [
        "--every",
        "3",
        "--batch",
        "2",
        "--set",
        "detector.long_side=96",
        "--set",
        "model.precision=f32",
    ];
    succeeded(&annotate(&workspace, "run", &options));
    let settings = plan(&workspace.path("run")).settings.pipeline;
    assert_eq!(
        (settings.detector.every.get(), settings.detector.long_side),
        (3, 96)
    );
    assert_eq!(
        (settings.detector.batch.or(0), settings.model.batch.or(0)),
        (2, 2)
    );
    for (options, reason) in [
        (["--set", "detector.evry=3"], "unknown field `evry`"),
        (["--set", "detector.every"], "expected KEY=VALUE"),
        (
            ["--pipeline", "everyday"],
            "neither a recipe (annotate, prelabel, calibrated, abaw6-video, abaw7-mtl) nor a file",
        ),
    ] {
        let output = annotate(&workspace, "other", &options);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr_of(&output).contains(reason), "{}", stderr_of(&output));
    }
}

#[test]
fn a_calibration_counts_where_no_pipeline_is_named() {
    let workspace = Workspace::new();
    workspace.face_clip("clip.mkv", 10);
    let calibration = workspace.path("calibration.toml");
    std::fs::write(
        &calibration,
        "smoothing.expression = { kernel = \"box\", half_width = \"1 frames\" }\n",
    )
    .unwrap();
    let calibrated = ["--calibration", calibration.to_str().unwrap()];
    let output = annotate(&workspace, "run", &calibrated);
    assert!(
        !succeeded(&output).is_empty() && !stderr_of(&output).contains("not used"),
        "{}",
        stderr_of(&output)
    );
    let smoothing = plan(&workspace.path("run")).postprocess().unwrap().smoothing;
    assert_eq!(smoothing.expression.to_string(), "box of 1 frames");
    assert_eq!(smoothing.valence_arousal.to_string(), "box of 10 frames");
}

#[test]
fn recipes_are_listed_and_printed() {
    let list = succeeded(&output_of(["pipelines"]));
    assert_eq!(list, succeeded(&output_of(["pipelines", "list"])));
    for line in list.lines() {
        let name = line.split_whitespace().next().unwrap();
        let shown = succeeded(&output_of(["pipelines", "show", name]));
        let file = std::fs::read_to_string(root().join(format!("pipelines/{name}.toml"))).unwrap();
        assert_eq!(shown.trim_end(), file.trim_end());
    }
    assert_eq!(list.lines().count(), 5);
    let refused = output_of(["pipelines", "show", "nothing"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused)[0].contains("abaw6-video"));
}

/// The commands that `abaw --help` lists.
fn listed_commands() -> Vec<String> {
    let help = succeeded(&output_of(["--help"]));
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '));
    names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_command_and_topic_has_help_completions_and_a_man_page() {
    let commands = listed_commands();
    for expected in [
        "annotate",
        "summary",
        "pipelines",
        "completions",
        "import-labels",
        "help",
    ] {
        assert!(commands.iter().any(|name| name == expected), "{commands:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    succeeded(&output_of([OsStr::new("man"), folder.path().as_os_str()]));
    for name in &commands {
        let help = succeeded(&output_of(["help", name]));
        assert!(help.contains("Usage:"), "{name}: {help}");
        let page = std::fs::read_to_string(folder.path().join(format!("abaw-{name}.1"))).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
    assert!(folder.path().join("abaw.1").exists());
    for topic in ["inputs", "table", "settings", "labels", "exit-codes"] {
        let text = succeeded(&output_of(["help", topic]));
        assert!(
            text.lines().count() > 5 && text.lines().all(|line| line.chars().count() <= 130),
            "{text}"
        );
    }
    assert!(succeeded(&output_of(["help", "weights", "import"])).contains("--out"));
    let unknown = output_of(["help", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown)[0].contains("exit-codes"));
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeded(&output_of(["completions", shell]));
        for word in ["annotate", "import-labels", "replace-inputs"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        if shell == "bash" {
            let path = folder.path().join("completions");
            std::fs::write(&path, script).unwrap();
            expect_exit(0, Command::new("bash").arg("-n").arg(path));
        }
    }
}

#[test]
fn quiet_is_for_cron_and_verbose_tells_more() {
    let workspace = Workspace::new();
    workspace.clip("clip.mkv", 2);
    let quiet = annotate(&workspace, "run", &["-q"]);
    assert!(quiet.status.success());
    assert_eq!(
        (stdout_of(&quiet), stderr_of(&quiet)),
        (String::new(), String::new())
    );
    std::fs::write(workspace.path("clip.mkv"), "no video").unwrap();
    let failed = annotate(&workspace, "other", &["-q"]);
    assert_eq!(failed.status.code(), Some(3));
    assert_eq!(
        errors(&failed).len(),
        stderr_of(&failed).lines().count(),
        "{}",
        stderr_of(&failed)
    );
    assert_eq!(output_of(["doctor", "-q", "-v"]).status.code(), Some(2));
}

#[test]
fn messages_are_coloured_where_they_should_be() {
    let refused = |options: &[&str]| {
        let mut merge = abaw();
        merge
            .args(["merge", "nowhere"])
            .args(options)
            .env_remove("NO_COLOR");
        merge
    };
    let is_coloured = |output: &Output| {
        let printed = format!("{}{}", stdout_of(output), stderr_of(output));
        // Bold, as errors and headings are.
        ["\u{1b}[1m", "\u{1b}[1;31m"]
            .iter()
            .any(|bold| printed.contains(bold))
    };
    assert!(!is_coloured(&refused(&[]).output().unwrap()), "no terminal");
    assert!(is_coloured(&refused(&["--color", "always"]).output().unwrap()));
    let on_a_terminal = |color: &str, no_color: &str| {
        let line = format!("'{}' merge nowhere --color {color}", env!("CARGO_BIN_EXE_abaw"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        is_coloured(
            &script
                .env("TERM", "xterm")
                .env("NO_COLOR", no_color)
                .output()
                .unwrap(),
        )
    };
    assert!(on_a_terminal("auto", ""));
    assert!(!on_a_terminal("auto", "1"));
    assert!(!on_a_terminal("never", ""));
    assert!(!is_coloured(&output_of(["--help"])));
    assert!(is_coloured(&output_of(["--help", "--color=always"])));
}
