//! A disk that is full or cannot be written.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::workspace::{Workspace, assert_tidy, files, tables};
use crate::support::{abaw, errors, expect_exit, stderr_of, summary};

/// A file system in memory; it goes with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a printed reason, where nothing may be mounted.
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => {
                println!("skipped: cannot mount: {}", stderr_of(&output));
                None
            }
            Err(error) => {
                println!("skipped: cannot mount: {error}");
                None
            }
        }
    }

    /// Leaves only so many bytes free, in a file that can be removed.
    fn fill_but(&self, free: u64, size: u64) -> PathBuf {
        let filler = self.0.join("filler");
        std::fs::write(&filler, vec![1; (size - free) as usize]).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

const SIZE: u64 = 4 << 20;

fn three_videos(workspace: &Workspace) -> [PathBuf; 3] {
    ["a", "b", "c"].map(|name| workspace.clip(format!("{name}.mkv"), 3))
}

/// Annotates videos on a disk that is filled but for so many bytes once the run has begun.
fn annotate_while_the_disk_fills(
    workspace: &Workspace,
    videos: &[PathBuf],
    disk: &SmallDisk,
    run: &Path,
    free: u64,
) -> (Output, PathBuf) {
    let mut annotate = workspace.annotate(videos, run);
    let child = annotate
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !run.join("plan.json").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let filler = disk.fill_but(free + (8 << 10), SIZE);
    (child.wait_with_output().unwrap(), filler)
}

#[test]
fn on_a_disk_that_fills_up_failures_are_recorded_and_the_rest_is_done_when_there_is_room() {
    let workspace = Workspace::new();
    let videos = three_videos(&workspace);
    let Some(disk) = SmallDisk::mount(workspace.path("disk"), &format!("size={SIZE}")) else {
        return;
    };
    let undisturbed = workspace.path("undisturbed");
    expect_exit(0, &mut workspace.annotate(&videos, &undisturbed));

    // Room for one or two tables of 18 kB, and records.
    let run = disk.0.join("run");
    let (output, filler) = annotate_while_the_disk_fills(&workspace, &videos, &disk, &run, 52 << 10);
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    let done = tables(&run);
    assert!((1..3).contains(&done.len()), "{} done", done.len());
    let errors = errors(&output);
    assert_eq!(errors.len(), 3 - done.len(), "{errors:#?}");
    assert!(
        errors.iter().all(|line| line.contains("No space left")),
        "{errors:#?}"
    );
    assert_eq!(summary(&run)["totals"]["failed"], 3 - done.len());
    assert_tidy(&run);

    std::fs::remove_file(filler).unwrap();
    expect_exit(0, &mut workspace.annotate(&videos, &run));
    assert!(tables(&run) == tables(&undisturbed));
    assert_eq!(files(&run.join("failures")), Vec::<PathBuf>::new());
}

#[test]
fn on_a_disk_too_full_for_records_the_failures_are_told() {
    let workspace = Workspace::new();
    let videos = three_videos(&workspace);
    let Some(disk) = SmallDisk::mount(workspace.path("disk"), &format!("size={SIZE}")) else {
        return;
    };
    // Room for one record.
    let run = disk.0.join("run");
    let (output, filler) = annotate_while_the_disk_fills(&workspace, &videos, &disk, &run, 0);
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    let errors = errors(&output);
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert!(
        errors[..3]
            .iter()
            .any(|line| line.contains("could not be recorded")),
        "{errors:#?}"
    );
    for word in ["disk/run", "could not be recorded", "run the same command again"] {
        assert!(errors[3].contains(word), "no `{word}` in {}", errors[3]);
    }
    assert!(!run.join("run.json").exists());
    assert_tidy(&run);

    std::fs::remove_file(filler).unwrap();
    expect_exit(0, &mut workspace.annotate(&videos, &run));
    assert_eq!(summary(&run)["totals"]["done"], 3);
}

#[test]
fn a_full_disk_is_found_before_the_first_video_is_computed() {
    let workspace = Workspace::new();
    let videos = three_videos(&workspace);
    let Some(disk) = SmallDisk::mount(workspace.path("disk"), &format!("size={SIZE}")) else {
        return;
    };
    let run = disk.0.join("run");
    let mut plan = abaw();
    plan.args(["plan", "--device", "cpu", "--shards", "1", "--pipeline"])
        .arg(workspace.path("pipeline.toml"));
    expect_exit(0, plan.args(&videos).arg("--out").arg(&run));
    disk.fill_but(64 << 10, SIZE);
    let mut shard = abaw();
    shard
        .arg("annotate")
        .arg("--plan")
        .arg(run.join("plan.json"))
        .args(["--shard", "0"]);
    for mut command in [workspace.annotate(&videos, &run), shard] {
        let output = expect_exit(2, &mut command);
        let [error] = errors(&output).try_into().unwrap();
        assert!(
            error.contains("disk/run") && error.contains("No space left"),
            "{error}"
        );
        assert!(tables(&run).is_empty());
    }
}

#[test]
fn an_output_on_a_read_only_disk_is_a_usage_error() {
    let workspace = Workspace::new();
    let videos = three_videos(&workspace);
    let Some(disk) = SmallDisk::mount(workspace.path("disk"), "ro") else {
        return;
    };
    let output = expect_exit(2, &mut workspace.annotate(&videos, &disk.0.join("run")));
    assert_eq!(errors(&output).len(), 1, "{}", stderr_of(&output));
    assert!(errors(&output)[0].contains("disk/run"), "{}", stderr_of(&output));
}

#[test]
fn a_table_that_cannot_be_put_in_its_place_fails_alone() {
    let workspace = Workspace::new();
    let videos = three_videos(&workspace);
    let run = workspace.path("run");
    let in_the_way = run.join("frames/b.parquet");
    std::fs::create_dir_all(in_the_way.join("something")).unwrap();
    let output = expect_exit(3, &mut workspace.annotate(&videos, &run));
    assert!(errors(&output)[0].contains("b.parquet"), "{}", stderr_of(&output));
    assert_eq!(summary(&run)["totals"]["done"], 2);
    assert!(run.join("failures/b.json").exists());
    assert_eq!(files(&in_the_way), Vec::<PathBuf>::new());
    assert!(Path::new(&in_the_way).is_dir());
}
