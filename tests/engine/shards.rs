//! A run in parts: how it is split, what is missing from it, what an earlier run has.

use std::path::Path;
use std::process::Command;

use abaw::run::Plan;

use super::workplace::{Workplace, abaw, ends_with, errors, files, said, summary, tables};

fn plan(workplace: &Workplace, shards: &str, run: &Path) -> Command {
    plan_for("cpu", workplace, shards, run)
}

fn plan_for(device: &str, workplace: &Workplace, shards: &str, run: &Path) -> Command {
    let mut plan = abaw();
    plan.args(["plan", "--device", device, "--shards", shards, "--pipeline"])
        .arg(workplace.path("pipeline.toml"))
        .arg(workplace.path("videos"))
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
    let workplace = Workplace::new();
    // Bytes: noise is large, a still picture hardly anything.
    workplace.ffmpeg(
        "-f lavfi -i nullsrc=s=96x64,geq=random(1)*255:128:128",
        20,
        Path::new("videos/a_noise.mkv"),
    );
    workplace.ffmpeg("-f lavfi -i color=s=96x64", 60, Path::new("videos/b_still.mkv"));
    workplace.ffmpeg("-f lavfi -i color=s=96x64", 30, Path::new("videos/c_still.mkv"));
    let runs = ["run", "same"].map(|name| workplace.path(name));
    for run in &runs {
        ends_with(0, &mut plan(&workplace, "2", run));
    }
    let [first, second] = runs.map(|run| Plan::read(&run.join("plan.json")).unwrap());
    assert_eq!(ids(&first, 0), ["b_still"]);
    assert_eq!(ids(&first, 1), ["a_noise", "c_still"]);
    assert_eq!(first, second);
    assert!(first.inputs[0].bytes > first.inputs[1].bytes);
}

#[test]
fn merge_says_which_shards_to_do_again() {
    let workplace = Workplace::new();
    for name in ["a", "b", "c", "d"] {
        workplace.clip(format!("videos/{name}.mkv"), 2);
    }
    let run = workplace.path("run");
    ends_with(0, &mut plan(&workplace, "5", &run));
    ends_with(0, &mut shard(&run, 1));
    let output = ends_with(2, &mut merge(&run));
    let [error] = errors(&output).try_into().unwrap();
    assert!(error.contains("3 of 4 inputs"), "{error}");
    assert!(error.contains("--array=0,2-3)"), "{error}");
    assert!(!run.join("run.json").exists());
    // The last shard has nothing to do, which is no mistake.
    for number in [0, 2, 3, 4, 2] {
        ends_with(0, &mut shard(&run, number));
    }
    ends_with(0, &mut merge(&run));
    ends_with(0, &mut merge(&run));
    assert_eq!(summary(&run)["totals"]["done"], 4);

    // A table that is not whole, and one of a video that has been replaced since, are missing.
    std::fs::write(run.join("frames/b.parquet"), b"PAR1").unwrap();
    workplace.clip("videos/c.mkv", 3);
    ends_with(0, &mut plan(&workplace, "5", &run));
    let planned = Plan::read(&run.join("plan.json")).unwrap();
    let output = ends_with(2, &mut merge(&run));
    assert!(said(&output).contains("2 of 4 inputs"), "{}", said(&output));
    for input in planned
        .inputs
        .iter()
        .filter(|input| ["b", "c"].contains(&input.id.as_str()))
    {
        ends_with(0, &mut shard(&run, input.shard));
    }
    ends_with(0, &mut merge(&run));
    assert_eq!(summary(&run)["totals"]["frames"], 9);
}

#[test]
fn a_plan_can_leave_out_what_earlier_runs_have() {
    let workplace = Workplace::new();
    workplace.clip("videos/a.mkv", 2);
    workplace.clip("videos/b.mkv", 2);
    let nights = ["1", "2", "3"].map(|night| workplace.path(night));
    ends_with(0, &mut plan(&workplace, "1", &nights[0]));
    let since = |earlier: &[&Path], run: &Path| {
        let mut plan = plan(&workplace, "1", run);
        for run in earlier {
            plan.arg("--new-since").arg(run);
        }
        plan
    };
    let output = ends_with(0, &mut since(&[&nights[0]], &nights[1]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing new"));
    assert!(!nights[1].exists());

    workplace.clip("videos/b.mkv", 3);
    workplace.clip("videos/c.mkv", 2);
    ends_with(0, &mut since(&[&nights[0]], &nights[1]));
    assert_eq!(
        ids(&Plan::read(&nights[1].join("plan.json")).unwrap(), 0),
        ["b", "c"]
    );

    workplace.clip("videos/d.mkv", 2);
    ends_with(0, &mut since(&[&nights[0], &nights[1]], &nights[2]));
    assert_eq!(ids(&Plan::read(&nights[2].join("plan.json")).unwrap(), 0), ["d"]);
    let nowhere = workplace.path("nowhere");
    let output = ends_with(2, &mut since(&[&nowhere], &workplace.path("4")));
    assert!(errors(&output)[0].contains("nowhere"), "{}", said(&output));
}

/// Login nodes have no GPU; a node without one must not compute other numbers.
#[test]
fn a_plan_for_a_gpu_can_be_made_without_one() {
    let workplace = Workplace::new();
    workplace.clip("videos/a.mkv", 2);
    let run = workplace.path("run");
    ends_with(0, &mut plan_for("cuda", &workplace, "1", &run));
    assert_eq!(
        Plan::read(&run.join("plan.json")).unwrap().settings.device_kind,
        "cuda"
    );
    let output = ends_with(2, shard(&run, 0).arg("--device=cpu"));
    assert!(
        errors(&output)[0].contains("planned for cuda"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_scratch_folder_changes_nothing_and_is_left_empty() {
    let workplace = Workplace::new();
    let videos = [
        workplace.clip("videos/a.mkv", 4),
        workplace.face_clip("videos/b.mkv", 2),
    ];
    std::fs::write(
        workplace.path("videos/damaged.mkv"),
        &std::fs::read(&videos[0]).unwrap()[..60],
    )
    .unwrap();
    let scratch = workplace.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let (with, without) = (workplace.path("with"), workplace.path("without"));
    let options = ["--scratch", scratch.to_str().unwrap()];
    let videos = [workplace.path("videos")];
    ends_with(3, &mut workplace.annotate_with(&options, &videos, &with));
    ends_with(3, &mut workplace.annotate(&videos, &without));
    assert!(tables(&with) == tables(&without));
    assert!(files(&scratch).is_empty());

    let options = ["--scratch", "nowhere"];
    let output = ends_with(2, &mut workplace.annotate_with(&options, &videos, &with));
    assert!(
        errors(&output)[0].contains("--scratch nowhere"),
        "{}",
        said(&output)
    );
}
