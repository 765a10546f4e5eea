//! A run in parts: how it is split, what is missing from it, what an earlier run has.

use std::path::Path;
use std::process::Command;

use abaw::run::Plan;

use crate::support::workspace::{Workspace, files, tables};
use crate::support::{abaw, errors, expect_exit, stderr_of, stdout_of, summary};

fn plan(workspace: &Workspace, shards: &str, run: &Path) -> Command {
    plan_for("cpu", workspace, shards, run)
}

fn plan_for(device: &str, workspace: &Workspace, shards: &str, run: &Path) -> Command {
    let mut plan = abaw();
    plan.args(["plan", "--device", device, "--shards", shards, "--pipeline"])
        .arg(workspace.path("pipeline.toml"))
        .arg(workspace.path("videos"))
        .arg("--out")
        .arg(run);
    plan
}

fn shard(run: &Path, number: u32) -> Command {
    let mut shard = abaw();
    shard.arg("annotate").arg("--plan").arg(run.join("plan.json"));
    shard.args(["--shard", &number.to_string()]);
    shard
}

fn merge(run: &Path) -> Command {
    let mut merge = abaw();
    merge.arg("merge").arg(run);
    merge
}

fn ids(plan: &Plan, shard: u32) -> Vec<&str> {
    plan.shard(shard).map(|input| input.id.as_str()).collect()
}

#[test]
fn shards_are_balanced_by_frames_and_pixels_not_by_bytes() {
    let workspace = Workspace::new();
    // Bytes: noise is large, a still picture hardly anything.
    workspace.ffmpeg(
        "-f lavfi -i nullsrc=s=96x64,geq=random(1)*255:128:128",
        20,
        Path::new("videos/a_noise.mkv"),
    );
    workspace.ffmpeg("-f lavfi -i color=s=96x64", 60, Path::new("videos/b_still.mkv"));
    workspace.ffmpeg("-f lavfi -i color=s=96x64", 30, Path::new("videos/c_still.mkv"));
    let runs = ["run", "same"].map(|name| workspace.path(name));
    for run in &runs {
        expect_exit(0, &mut plan(&workspace, "2", run));
    }
    let [first, second] = runs.map(|run| Plan::read(&run.join("plan.json")).unwrap());
    assert_eq!(ids(&first, 0), ["b_still"]);
    assert_eq!(ids(&first, 1), ["a_noise", "c_still"]);
    assert_eq!(first, second);
    assert!(first.inputs[0].bytes > first.inputs[1].bytes);
}

#[test]
fn merge_says_which_shards_to_do_again() {
    let workspace = Workspace::new();
    for name in ["a", "b", "c", "d"] {
        workspace.clip(format!("videos/{name}.mkv"), 2);
    }
    let run = workspace.path("run");
    expect_exit(0, &mut plan(&workspace, "5", &run));
    expect_exit(0, &mut shard(&run, 1));
    let output = expect_exit(2, &mut merge(&run));
    let [error] = errors(&output).try_into().unwrap();
    assert!(error.contains("3 of 4 inputs"), "{error}");
    assert!(error.contains("--array=0,2-3)"), "{error}");
    assert!(!run.join("run.json").exists());
    // The last shard has nothing to do, which is no mistake.
    for number in [0, 2, 3, 4, 2] {
        expect_exit(0, &mut shard(&run, number));
    }
    expect_exit(0, &mut merge(&run));
    expect_exit(0, &mut merge(&run));
    assert_eq!(summary(&run)["totals"]["done"], 4);

    // A table that is not whole, and one of a video that has been replaced since, are missing.
    std::fs::write(run.join("frames/b.parquet"), b"PAR1").unwrap();
    workspace.clip("videos/c.mkv", 3);
    expect_exit(0, &mut plan(&workspace, "5", &run));
    let planned = Plan::read(&run.join("plan.json")).unwrap();
    let output = expect_exit(2, &mut merge(&run));
    assert!(
        stderr_of(&output).contains("2 of 4 inputs"),
        "{}",
        stderr_of(&output)
    );
    for input in planned
        .inputs
        .iter()
        .filter(|input| ["b", "c"].contains(&input.id.as_str()))
    {
        expect_exit(0, &mut shard(&run, input.shard));
    }
    expect_exit(0, &mut merge(&run));
    assert_eq!(summary(&run)["totals"]["frames"], 9);
}

#[test]
fn a_plan_can_leave_out_what_earlier_runs_have() {
    let workspace = Workspace::new();
    workspace.clip("videos/a.mkv", 2);
    workspace.clip("videos/b.mkv", 2);
    let nights = ["1", "2", "3"].map(|night| workspace.path(night));
    expect_exit(0, &mut plan(&workspace, "1", &nights[0]));
    let since = |earlier: &[&Path], run: &Path| {
        let mut plan = plan(&workspace, "1", run);
        for run in earlier {
            plan.arg("--new-since").arg(run);
        }
        plan
    };
    let output = expect_exit(0, &mut since(&[&nights[0]], &nights[1]));
    assert!(stdout_of(&output).contains("nothing new"));
    assert!(!nights[1].exists());

    workspace.clip("videos/b.mkv", 3);
    workspace.clip("videos/c.mkv", 2);
    expect_exit(0, &mut since(&[&nights[0]], &nights[1]));
    assert_eq!(
        ids(&Plan::read(&nights[1].join("plan.json")).unwrap(), 0),
        ["b", "c"]
    );

    workspace.clip("videos/d.mkv", 2);
    expect_exit(0, &mut since(&[&nights[0], &nights[1]], &nights[2]));
    assert_eq!(ids(&Plan::read(&nights[2].join("plan.json")).unwrap(), 0), ["d"]);
    let nowhere = workspace.path("nowhere");
    let output = expect_exit(2, &mut since(&[&nowhere], &workspace.path("4")));
    assert!(errors(&output)[0].contains("nowhere"), "{}", stderr_of(&output));
}

/// Login nodes have no GPU; a node without one must not compute other numbers.
#[test]
fn a_plan_for_a_gpu_can_be_made_without_one() {
    let workspace = Workspace::new();
    workspace.clip("videos/a.mkv", 2);
    let run = workspace.path("run");
    expect_exit(0, &mut plan_for("cuda", &workspace, "1", &run));
    assert_eq!(
        Plan::read(&run.join("plan.json")).unwrap().settings.device_kind,
        "cuda"
    );
    let output = expect_exit(2, shard(&run, 0).arg("--device=cpu"));
    assert!(
        errors(&output)[0].contains("planned for cuda"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn a_scratch_folder_changes_nothing_and_is_left_empty() {
    let workspace = Workspace::new();
    let videos = [
        workspace.clip("videos/a.mkv", 4),
        workspace.face_clip("videos/b.mkv", 2),
    ];
    std::fs::write(
        workspace.path("videos/damaged.mkv"),
        &std::fs::read(&videos[0]).unwrap()[..60],
    )
    .unwrap();
    let scratch = workspace.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let (with, without) = (workspace.path("with"), workspace.path("without"));
    let options = ["--scratch", scratch.to_str().unwrap()];
    let videos = [workspace.path("videos")];
    expect_exit(3, &mut workspace.annotate_with(&options, &videos, &with));
    expect_exit(3, &mut workspace.annotate(&videos, &without));
    assert!(tables(&with) == tables(&without));
    assert!(files(&scratch).is_empty());

    let options = ["--scratch", "nowhere"];
    let output = expect_exit(2, &mut workspace.annotate_with(&options, &videos, &with));
    assert!(
        errors(&output)[0].contains("--scratch nowhere"),
        "{}",
        stderr_of(&output)
    );
}
