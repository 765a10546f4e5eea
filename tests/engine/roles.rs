//! Which threads serve which steps, and how many devices there are, does not change a table.

use std::path::Path;
use std::time::Duration;

use abaw::engine::{self, AnnotateOptions, Outcome, PassTimes, Publication, StandIn, Threads, Worker};
use abaw::run::{Plan, RunFolder};
use abaw::stop::Stop;
use tch::Device;

use crate::support::workspace::{Workspace, columns, tables};
use crate::support::{abaw, expect_exit, summary};

/// Plans a run as the program does and annotates it with other threads than it would take.
fn annotate(workspace: &Workspace, run: &Path, threads: impl FnOnce(&engine::Networks) -> Threads) {
    let mut plan = abaw();
    plan.args(["plan", "--shards", "1", "--device", "cpu", "--pipeline"])
        .arg(workspace.path("pipeline.toml"))
        .arg("--out")
        .arg(run)
        .arg(workspace.path("videos"));
    expect_exit(0, &mut plan);
    let folder = RunFolder::new(run);
    let plan = Plan::read(&folder.plan()).unwrap();
    let loaded = engine::load(&plan, &[Device::Cpu]).unwrap();
    let publication = Publication::new(folder, &plan, engine::versions(), loaded.inference).unwrap();
    let outcome = engine::annotate(
        &plan.inputs,
        &plan.settings.pipeline,
        AnnotateOptions::default(),
        threads(&loaded.networks[0]),
        &publication,
        &Stop::default(),
        &mut |_| {},
    );
    assert!(matches!(outcome.unwrap(), Outcome::Complete(totals) if totals.failed == 1));
    expect_exit(3, abaw().arg("merge").arg(run));
}

/// Clips with a face and without one, and a file that is no video.
fn clips() -> Workspace {
    let workspace = Workspace::new();
    workspace.pipeline("[detector]\nlong_side = 96\nevery = 2\nbatch = 4\n[model]\nbatch = 8\n");
    for video in 0..4 {
        workspace.face_clip(format!("videos/face{video}.mkv"), 9 + video);
        workspace.clip(format!("videos/none{video}.mkv"), 5);
    }
    std::fs::write(workspace.path("videos/broken.mkv"), b"not a video").unwrap();
    workspace
}

fn assert_equal_runs(run: &Path, other: &Path) {
    assert_eq!(tables(other).len(), 8);
    for ((path, (rows, footer)), (_, (other_rows, other_footer))) in
        tables(run).iter().zip(tables(other).iter())
    {
        assert_eq!(footer, other_footer, "{}", path.display());
        for (row, other) in rows.iter().zip(other_rows) {
            assert_eq!(row, other, "{}", path.display());
        }
    }
    assert!(tables(run) == tables(other));
    assert!(columns(run) == columns(other), "bytes differ");
    assert_eq!(summary(run)["totals"]["failed"], 1);
}

/// A GPU's threads, with networks on the CPU: one runs passes, one ahead of what is read, and others do all else.
#[test]
fn one_network_thread_and_workers_around_it_write_the_same_tables() {
    let workspace = clips();
    let both = workspace.path("both");
    annotate(&workspace, &both, |networks| {
        Threads::new(std::slice::from_ref(networks), Some(2))
    });
    let apart = workspace.path("apart");
    annotate(&workspace, &apart, |networks| Threads {
        readers: 3,
        workers: vec![Worker::Cpu, Worker::Network(networks.clone()), Worker::Cpu],
    });
    assert_equal_runs(&apart, &both);
}

/// Stand-ins for GPUs of different speed, whose passes end later than they are given: the tables are those of the CPU.
#[test]
fn two_devices_write_the_tables_of_one() {
    let workspace = clips();
    let one = workspace.path("one");
    annotate(&workspace, &one, |networks| {
        Threads::new(std::slice::from_ref(networks), Some(2))
    });
    let device = |networks: &engine::Networks, milliseconds: u64| {
        let mut networks = networks.clone();
        networks.stand_in = Some(StandIn::new(PassTimes {
            launch: Duration::from_millis(milliseconds),
            picture: Duration::from_micros(200),
            face: Duration::from_micros(200),
        }));
        Worker::Network(networks)
    };
    let two = workspace.path("two");
    annotate(&workspace, &two, |networks| Threads {
        readers: 3,
        workers: vec![device(networks, 1), Worker::Cpu, device(networks, 5), Worker::Cpu],
    });
    assert_equal_runs(&two, &one);
}
