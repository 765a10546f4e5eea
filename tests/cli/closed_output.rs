//! Every command ends quietly when nobody reads its output any more.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::workspace::Workspace;
use crate::support::{abaw, errors, expect_exit, sample, stderr_of};

/// Longer than any of these commands takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(120);

/// Waits for the end of a command, which must come.
#[track_caller]
fn end_of(command: &mut Command) -> ExitStatus {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn assert_quiet(command: &Command, status: ExitStatus) {
    let is_quiet = status.signal() == Some(libc::SIGPIPE) || matches!(status.code(), Some(0 | 2 | 3 | 141));
    assert!(is_quiet, "{command:?}: {status}");
}

/// The writing end of a pipe that nobody reads.
fn pipe_without_reader() -> io::PipeWriter {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer
}

/// A terminal that was closed.
fn closed_terminal() -> OwnedFd {
    let (mut master, mut slave) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: two descriptors are written; name, settings and size may be null.
    let opened = unsafe { libc::openpty(&mut master, &mut slave, none, none.cast(), none.cast()) };
    assert_eq!(opened, 0);
    // SAFETY: both descriptors are new and owned by nothing else.
    let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    drop(master);
    slave
}

/// Commands of every kind, about the run `run` of `clip.mkv`.
const COMMANDS: &[&str] = &[
    "annotate clip.mkv --device cpu --out annotated",
    "annotate clip.mkv --device cpu --out dry --dry-run",
    "plan clip.mkv --device cpu --shards 1 --out planned",
    "merge run",
    "postprocess run",
    "submit run --challenge va --template list.txt --out va.txt",
    "evaluate run --labels labels",
    "tune run --labels labels --out calibration.toml",
    "train --recipe none.toml --out training",
    "report run --out report",
    "summary run",
    "summary run --json",
    "export run --format csv --out table.csv",
    "pipelines",
    "pipelines new",
    "completions bash",
    "help table",
    "weights show weights.safetensors",
    "render run clip --out film.mp4",
    "export run --format elan --out elan",
    "import-labels run elan --format elan --out imported",
    "doctor",
    "--help",
    "annotate --help",
    "no-such-command",
];

#[test]
fn every_command_ends_where_nobody_reads() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mkv", 2);
    let run = workspace.path("run");
    expect_exit(0, &mut workspace.annotate(&[&clip], &run));
    std::fs::create_dir_all(workspace.path("labels/VA_Set")).unwrap();
    std::fs::write(
        workspace.path("labels/VA_Set/clip.txt"),
        "valence,arousal\n0,0\n0.5,0.5\n",
    )
    .unwrap();
    std::fs::write(
        workspace.path("list.txt"),
        "image,valence,arousal\nclip/00001.jpg,0,0\n",
    )
    .unwrap();
    std::fs::copy(
        sample("../models/ddamfn-demo.safetensors"),
        workspace.path("weights.safetensors"),
    )
    .unwrap();
    let terminal = closed_terminal();
    for line in COMMANDS {
        let started = || {
            let mut command = abaw();
            command.args(line.split(' ')).current_dir(workspace.path(""));
            command
        };
        let mut command = started();
        let status = end_of(
            command
                .stdout(pipe_without_reader())
                .stderr(pipe_without_reader()),
        );
        assert_quiet(&command, status);
        let mut command = started();
        let status = end_of(
            command
                .stdout(terminal.try_clone().unwrap())
                .stderr(terminal.try_clone().unwrap()),
        );
        assert_quiet(&command, status);
    }
}

#[test]
fn a_full_disk_under_stdout_is_an_error_and_under_stderr_none() {
    let workspace = Workspace::new();
    let clip = workspace.clip("clip.mkv", 2);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut dry = workspace.annotate_with(&["--dry-run"], &[&clip], &workspace.path("run"));
    let output = dry
        .stdout(full())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr_of(&output));
    assert!(
        errors(&output)[0].contains("stdout cannot be written: No space left"),
        "{}",
        stderr_of(&output)
    );
    let mut annotate = workspace.annotate(&[&clip], &workspace.path("run"));
    assert_eq!(
        end_of(annotate.stdout(Stdio::null()).stderr(full())).code(),
        Some(0)
    );
    assert!(workspace.path("run/frames/clip.parquet").exists());
}
