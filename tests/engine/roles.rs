//! Which threads serve which steps does not change a table.

use std::path::Path;

use abaw::engine::{self, AnnotateOptions, Outcome, Publication, Threads, Worker};
use abaw::run::{Plan, RunFolder};
use abaw::stop::Stop;
use tch::Device;

use super::workplace::{Workplace, abaw, columns, ends_with, summary, tables};

/// Plans a run as the program does and annotates it with other threads than it would take.
fn annotate(workplace: &Workplace, run: &Path, threads: impl FnOnce(&engine::Networks) -> Threads) {
    let mut plan = abaw();
    plan.args(["plan", "--shards", "1", "--device", "cpu", "--pipeline"])
        .arg(workplace.path("pipeline.toml"))
        .arg("--out")
        .arg(run)
        .arg(workplace.path("videos"));
    ends_with(0, &mut plan);
    let folder = RunFolder::new(run);
    let plan = Plan::read(&folder.plan()).unwrap();
    let loaded = engine::load(&plan, Device::Cpu).unwrap();
    let publication = Publication::new(folder, &plan, engine::versions(), loaded.inference).unwrap();
    let outcome = engine::annotate(
        &plan.inputs,
        &plan.settings.pipeline,
        AnnotateOptions::default(),
        threads(&loaded.networks),
        &publication,
        &Stop::default(),
        &mut |_| {},
    );
    assert!(matches!(outcome.unwrap(), Outcome::Complete(totals) if totals.failed == 1));
    ends_with(3, abaw().arg("merge").arg(run));
}

/// A GPU's threads, with networks on the CPU: one runs passes, one ahead of what is read, and others do all else.
#[test]
fn one_network_thread_and_workers_around_it_write_the_same_tables() {
    let workplace = Workplace::new();
    workplace.pipeline("[detector]\nlong_side = 96\nevery = 2\nbatch = 3\n[model]\nbatch = 5\n");
    for video in 0..4 {
        workplace.face_clip(format!("videos/face{video}.mkv"), 9 + video);
        workplace.clip(format!("videos/none{video}.mkv"), 5);
    }
    std::fs::write(workplace.path("videos/broken.mkv"), b"not a video").unwrap();

    let both = workplace.path("both");
    annotate(&workplace, &both, |networks| {
        Threads::new(networks, Device::Cpu, Some(2))
    });
    let apart = workplace.path("apart");
    annotate(&workplace, &apart, |networks| Threads {
        readers: 3,
        workers: vec![Worker::Cpu, Worker::Network(networks.clone()), Worker::Cpu],
    });
    assert_eq!(tables(&both).len(), 8);
    assert!(tables(&apart) == tables(&both));
    assert!(columns(&apart) == columns(&both), "bytes differ");
    assert_eq!(summary(&apart)["totals"]["failed"], 1);
}
