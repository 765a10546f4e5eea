//! The project's own job scripts on a real Slurm cluster whose nodes and daemons die: `make test-cluster`.
//! Whatever happens, the tables are those of an undisturbed run on one machine.

#![allow(clippy::unwrap_used)]

mod slurm;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use abaw::run::Plan;
use abaw::table;
use serde_json::Value;

use slurm::{Cluster, NODES, Task, await_that, signal, text};
use support::workspace::{Workspace, files, is_unfinished};
use support::{abaw, expect_exit, stderr_of, summary};

const SHARDS: u32 = 3;
/// A shard holds a short and a long video: when the first has its table, the second is in work.
const SHORT: u32 = 3;
const LONG: u32 = 300;

#[test]
#[ignore = "starts a Slurm cluster; make test-cluster installs Slurm and runs it"]
fn whatever_dies_each_frame_is_annotated_once() {
    let began = Instant::now();
    let mut cluster = Cluster::start();
    report("cluster up", began);
    let lab = Lab::new(&cluster);

    nothing_dies(&cluster, &lab);
    a_node_dies(&mut cluster, &lab);
    slurmd_dies_and_attempts_overlap(&mut cluster, &lab);
    the_controller_dies(&mut cluster, &lab);
    tasks_are_told_to_stop(&cluster, &lab);
    nights(&cluster, &lab);
    each_task_has_a_gpu_of_its_own(&cluster, &lab);
    a_shard_lists_no_folder(&cluster, &lab);
    report("all", began);
}

/// Videos, their tables by an undisturbed run, and plans.
struct Lab {
    workspace: Workspace,
    videos: PathBuf,
    reference: PathBuf,
}

impl Lab {
    fn new(cluster: &Cluster) -> Self {
        let workspace = Workspace::new();
        let videos = cluster.path("videos");
        for shard in 0..SHARDS {
            for (kind, frames) in [("long", LONG), ("short", SHORT)] {
                // No two alike.
                let clip = workspace.face_clip(format!("{kind}.mkv"), frames + shard);
                let name = format!("{kind}{shard}.mkv");
                fs::copy(clip, videos.join(name)).unwrap();
            }
        }
        let reference = cluster.path("reference");
        let began = Instant::now();
        // As many threads as the cluster has in use at once.
        expect_exit(
            0,
            &mut workspace.annotate_with(&["--threads=2"], &[&videos], &reference),
        );
        report("single-machine run", began);
        Self {
            workspace,
            videos,
            reference,
        }
    }

    /// Plans a run of all videos.
    fn plan(&self, cluster: &Cluster, name: &str) -> PathBuf {
        let run = cluster.path(name);
        let mut plan = abaw();
        plan.args(["plan", "--device=cpu", "--pipeline"])
            .arg(self.workspace.path("pipeline.toml"))
            .arg(&self.videos)
            .args(["--shards", &SHARDS.to_string(), "--out"])
            .arg(&run);
        expect_exit(0, &mut plan);
        run
    }

    /// Asserts that a run has what the undisturbed one has, to the byte but for the seconds it took: each frame
    /// of each video once.
    #[track_caller]
    fn assert_same(&self, run: &Path) {
        assert_nothing_unfinished(run);
        let (ours, theirs) = (summary(run), summary(&self.reference));
        assert_eq!(ours["totals"]["done"], 2 * SHARDS);
        assert_eq!(frames(&ours), frames(&theirs));
        for shard in 0..SHARDS {
            for (kind, frames) in [("long", LONG), ("short", SHORT)] {
                let name = format!("frames/{kind}{shard}.parquet");
                assert_same_table(&run.join(&name), &self.reference.join(&name), frames + shard);
            }
        }
    }
}

#[track_caller]
fn assert_nothing_unfinished(run: &Path) {
    let left: Vec<PathBuf> = files(run)
        .into_iter()
        .filter(|path| is_unfinished(path))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[track_caller]
fn assert_same_table(ours: &Path, theirs: &Path, frames: u32) {
    assert!(columns(ours) == columns(theirs), "{} differs", ours.display());
    let (rows, mut footer) = table::read(ours).unwrap();
    let expected = table::read(theirs).unwrap().1;
    // A copy of a video is younger than the video.
    footer.input_modified = expected.input_modified;
    assert_eq!(footer, expected);
    let numbers = rows
        .iter()
        .filter(|row| row.subject)
        .map(|row| row.frame.number());
    assert!(numbers.eq(1..=frames), "{}: not each frame once", ours.display());
}

/// The bytes of a Parquet file but for its footer, whose length stands before the last four.
fn columns(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
    bytes.truncate(end - footer as usize);
    bytes
}

fn frames(summary: &Value) -> Vec<(Value, Value)> {
    let videos = summary["videos"].as_array().unwrap().iter();
    videos
        .map(|video| (video["id"].clone(), video["frames"].clone()))
        .collect()
}

fn report(what: &str, began: Instant) {
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
}

fn nothing_dies(cluster: &Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "undisturbed");
    let began = Instant::now();
    let job = cluster.submit(&run, SHARDS);
    assert_eq!(cluster.merge(&run, &job), 0);
    report("array of all shards and merge", began);
    lab.assert_same(&run);
    for shard in 0..SHARDS {
        let log = fs::read_to_string(run.join(format!("shard-{shard}.log"))).unwrap();
        assert!(log.contains(&format!("shard {shard}: 2 done")), "{log}");
    }
    // All that is published stays as it is, however often shards and merge are done again.
    let before = fs::metadata(run.join("frames/long0.parquet"))
        .unwrap()
        .modified()
        .unwrap();
    let job = cluster.submit(&run, 1);
    assert_eq!(cluster.merge(&run, &job), 0);
    assert_eq!(
        fs::metadata(run.join("frames/long0.parquet"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    lab.assert_same(&run);
}

/// Waits until a node is in the middle of a shard: one video published, one in work. Its program is halted, so
/// that what follows finds it there.
fn halt_mid_shard(cluster: &Cluster, run: &Path, job: &str, node: &str) -> (Task, u32) {
    let plan = Plan::read(&run.join("plan.json")).unwrap();
    let mut found = None;
    await_that("a node in the middle of a shard", || {
        let tasks = cluster.tasks(job);
        let on_node = tasks
            .into_iter()
            .find(|task| task.state == "RUNNING" && task.node == node);
        let Some(task) = on_node else { return false };
        let tables = || {
            let inputs = plan.shard(task.shard.parse().unwrap());
            let tables = inputs.filter(|input| run.join(format!("frames/{}.parquet", input.id)).exists());
            tables.count()
        };
        // The answer of scontrol is old by now; the files are not.
        if let (1, Some(process)) = (tables(), cluster.abaw_on(node)) {
            signal("STOP", process);
            if tables() == 1 {
                found = Some((task, process));
            } else {
                signal("CONT", process);
            }
        }
        found.is_some()
    });
    found.unwrap()
}

fn task_of(cluster: &Cluster, job: &str, shard: &str) -> Task {
    let mut tasks = cluster.tasks(job).into_iter();
    tasks.find(|task| task.shard == shard).unwrap()
}

fn a_node_dies(cluster: &mut Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "node");
    let job = cluster.submit(&run, SHARDS);
    let (task, process) = halt_mid_shard(cluster, &run, &job, NODES[0]);
    let began = Instant::now();
    cluster.kill_node(NODES[0]);
    await_that("the end of all on the node", || {
        !Path::new(&format!("/proc/{process}")).exists()
    });
    cluster.await_end(&job);
    report("a node dies, its shard is done by the other", began);
    assert_eq!(cluster.merge(&run, &job), 0);
    let again = task_of(cluster, &job, &task.shard);
    assert_eq!((again.restarts, again.node.as_str()), (1, NODES[1]));
    lab.assert_same(&run);
    cluster.start_node(NODES[0]);
    cluster.await_idle(NODES[0]);
}

fn slurmd_dies_and_attempts_overlap(cluster: &mut Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "slurmd");
    let job = cluster.submit(&run, SHARDS);
    let (task, first_attempt) = halt_mid_shard(cluster, &run, &job, NODES[0]);
    let began = Instant::now();
    cluster.kill_slurmd(NODES[0]);
    cluster.declare_down(NODES[0]);
    let log = run.join(format!("shard-{}.log", task.shard));
    let mut second_attempt = None;
    await_that("a second attempt beside the first", || {
        cluster.hurry(&job);
        if fs::read_to_string(&log).unwrap().contains("attempt 1,") {
            second_attempt = cluster.abaw_on(NODES[1]);
        }
        second_attempt.is_some()
    });
    signal("CONT", first_attempt);
    report("slurmd dies, a second attempt begins", began);
    await_that("the end of the first attempt", || {
        cluster.abaw_on(NODES[0]).is_none()
    });
    cluster.await_end(&job);
    assert_eq!(cluster.merge(&run, &job), 0);
    let log = fs::read_to_string(&log).unwrap();
    let reports = log
        .lines()
        .filter(|line| line.starts_with(&format!("shard {}: ", task.shard)));
    assert_eq!(reports.count(), 2, "both attempts end well:\n{log}");
    lab.assert_same(&run);
    cluster.start_node(NODES[0]);
    cluster.await_idle(NODES[0]);
}

fn the_controller_dies(cluster: &mut Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "controller");
    let job = cluster.submit(&run, SHARDS);
    // Both nodes stand still, so that what the controller has written down last is how things are. A task begun
    // after that would be begun twice, at which Slurm drains the node.
    let (task, process) = halt_mid_shard(cluster, &run, &job, NODES[0]);
    let (_, other) = halt_mid_shard(cluster, &run, &job, NODES[1]);
    let halted = SystemTime::now();
    // Something to write down.
    cluster.scontrol(&["update", &format!("jobid={}", task.job), "comment=halted"]);
    cluster.kill_controller(halted);
    signal("CONT", process);
    signal("CONT", other);
    let log = run.join(format!("shard-{}.log", task.shard));
    // The task ends while nobody hears of it.
    await_that("the shard's end", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains(&format!("shard {}: 2 done", task.shard))
    });
    let began = Instant::now();
    cluster.start_controller();
    report("the controller is back", began);
    cluster.await_end(&job);
    assert_eq!(cluster.merge(&run, &job), 0);
    report("the controller is back, the rest is done and merged", began);
    lab.assert_same(&run);
}

fn tasks_are_told_to_stop(cluster: &Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "stopped");
    let job = cluster.submit(&run, SHARDS);
    let (warned, first) = halt_mid_shard(cluster, &run, &job, NODES[0]);
    let (requeued, second) = halt_mid_shard(cluster, &run, &job, NODES[1]);
    let began = Instant::now();
    // As a time limit does it: TERM to the script alone, which abaw has become. While other tasks of the array
    // wait, scancel delivers the signal, takes that for a failure (22.05) and goes on trying.
    let mut scancel = cluster.command("timeout");
    let _ = scancel
        .args(["1", "scancel", "--batch", "--signal=TERM", &warned.job])
        .output();
    // As preemption does it.
    cluster.scontrol(&["requeue", &requeued.job]);
    for process in [first, second] {
        signal("CONT", process);
        await_that("the end of the attempt", || {
            !Path::new(&format!("/proc/{process}")).exists()
        });
    }
    report("TERM and requeue, both attempts have ended", began);
    cluster.await_end(&job);
    report("both are done again", began);
    assert_eq!(cluster.merge(&run, &job), 0);
    for task in [&warned, &requeued] {
        assert_eq!(task_of(cluster, &job, &task.shard).restarts, 1);
        let log = fs::read_to_string(run.join(format!("shard-{}.log", task.shard))).unwrap();
        assert!(log.contains("attempt 1,"), "{log}");
        // scancel may have sent TERM twice, and the second ends the program at once.
        if task.shard == requeued.shard {
            assert!(log.contains("run the same command again"), "{log}");
        }
    }
    lab.assert_same(&run);
}

/// Three nights of `nightly.sh`: a damaged video among others, nothing new, one new video and a submission.
fn nights(cluster: &Cluster, lab: &Lab) {
    let (videos, runs) = (cluster.path("coming"), cluster.path("runs"));
    fs::create_dir(&videos).unwrap();
    let bring = |name: &str| fs::copy(lab.videos.join(name), videos.join(name)).unwrap();
    bring("short0.mkv");
    let whole = fs::read(lab.videos.join("short1.mkv")).unwrap();
    fs::write(videos.join("damaged.mkv"), &whole[..60]).unwrap();
    let night = |code: i32, template: &Path| {
        let pipeline = lab.workspace.path("pipeline.toml");
        let mut script = cluster.command("pipelines/slurm/nightly.sh");
        script
            .env("VIDEOS", &videos)
            .env("RUNS", &runs)
            .env("SHARDS", "2")
            .env("SCRATCH", cluster.path(""))
            .env("TEMPLATE", template)
            .env("REPORT", "yes")
            .env("PLAN", format!("--device cpu --pipeline {}", pipeline.display()));
        let output = expect_exit(code, &mut script);
        assert_eq!(stderr_of(&output), "");
        let said = text(output);
        print!("{said}");
        assert_eq!(said.lines().count(), 1);
        said
    };
    let runs_there = || {
        let entries = fs::read_dir(&runs).unwrap().flatten();
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        folders
    };
    let template = cluster.path("template.txt");
    let lines = (1..=SHORT + 2).map(|frame| format!("short2/{frame:05}.jpg,\n"));
    let lines: String = std::iter::once("image,valence,arousal,expression,aus\n".to_owned())
        .chain(lines)
        .collect();
    fs::write(&template, &lines).unwrap();
    let none = Path::new("");
    let began = Instant::now();
    assert!(night(3, none).contains("1 of 2 videos done, 3 frames"));
    report("a night", began);
    assert!(night(0, none).contains("nothing new: earlier runs have all 2 inputs"));
    bring("short2.mkv");
    assert!(night(0, &template).contains("1 of 1 videos done, 5 frames"));

    let [first, second] = runs_there().try_into().unwrap();
    assert_nothing_unfinished(&first);
    assert_eq!(summary(&first)["videos"][0]["failure"]["stage"], "decode");
    assert!(second.join("report/index.html").exists());
    let submission = fs::read_to_string(second.join("submissions/mtl.txt")).unwrap();
    assert_eq!(submission.lines().count(), lines.lines().count());
    let reference = |name: &str| lab.reference.join("frames").join(name);
    assert_same_table(
        &first.join("frames/short0.parquet"),
        &reference("short0.parquet"),
        SHORT,
    );
    assert_same_table(
        &second.join("frames/short2.parquet"),
        &reference("short2.parquet"),
        SHORT + 2,
    );
}

/// As far as that can be seen where there is none: Slurm's GPUs are files here.
fn each_task_has_a_gpu_of_its_own(cluster: &Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "gpu");
    let options = ["--array=0-1", "--cpus-per-task=1", "--gres=gpu:1"];
    let job = cluster.sbatch(
        &run,
        &[&options[..], &["pipelines/slurm/annotate.sbatch"]].concat(),
    );
    cluster.await_end(&job);
    for shard in 0..2 {
        let log = fs::read_to_string(run.join(format!("shard-{shard}.log"))).unwrap();
        assert!(log.contains(&format!("n1, GPU {shard}\n")), "{log}");
    }
}

/// On a file system with slow metadata, listing is what must not be done by each task.
fn a_shard_lists_no_folder(cluster: &Cluster, lab: &Lab) {
    let run = lab.plan(cluster, "traced");
    let (trace, scratch) = (cluster.path("trace"), cluster.path("scratch"));
    fs::create_dir(&scratch).unwrap();
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-e", "trace=getdents64,getdents,openat", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_abaw"))
        .args(["annotate", "--shard=0", "--threads=1", "--plan"])
        .arg(run.join("plan.json"))
        .arg("--scratch")
        .arg(&scratch);
    expect_exit(0, &mut strace);
    let shared = cluster.path("").display().to_string();
    let trace = fs::read_to_string(trace).unwrap();
    let calls = |name: &str, place: &str| {
        trace
            .lines()
            .filter(|line| line.contains(name) && line.contains(place))
            .count()
    };
    assert_eq!(calls("getdents", &shared), 0, "{trace}");
    // One to see whether it can be written to, one a video; they have no names.
    assert_eq!(calls("O_TMPFILE", scratch.to_str().unwrap()), 3);
}
