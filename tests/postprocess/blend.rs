//! Finished runs blended by `abaw postprocess`. Whole program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use abaw::labels::Affect;
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, Tasks, initial_weights};
use abaw::table::{self, Footer, Row};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{abaw, root, stderr_of, succeeded};

const FRAMES: u32 = 8;
const VIDEOS: [&str; 2] = ["two_people", "carphone"];

/// Runs over the same videos with different weights, which no test changes:
/// `own`; `other`, whose detector sees other boxes; `va`, of a network that says nothing but valence and
/// arousal; `short`, which has fewer frames.
static RUNS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let va = Tasks {
        valence_arousal: true,
        expressions: None,
        action_units: false,
    };
    for (seed, tasks) in [(1, Tasks::ALL), (2, Tasks::ALL), (3, va)] {
        let architecture = Architecture::Hidden(tasks);
        let tensors = initial_weights(&architecture, seed).unwrap();
        let weights = Weights::new(tensors, Card::as_published(format!("seed {seed}"))).unwrap();
        weights
            .save(
                &folder.path().join(format!("{seed}.safetensors")),
                NumberFormat::F32,
            )
            .unwrap();
    }
    annotate(folder.path(), "own", 1, FRAMES, "");
    annotate(folder.path(), "other", 2, FRAMES, "[detector]\nlong_side = 480\n");
    annotate(folder.path(), "va", 3, FRAMES, "");
    annotate(folder.path(), "short", 2, FRAMES - 3, "");
    folder
});

fn annotate(folder: &Path, name: &str, seed: u64, frames: u32, pipeline: &str) {
    let settings = folder.join(format!("{name}.toml"));
    std::fs::write(
        &settings,
        format!("{pipeline}[model]\nweights = \"{seed}.safetensors\"\n"),
    )
    .unwrap();
    succeeded(&annotate_command(folder, name, &settings, frames, &[]));
}

fn annotate_command(folder: &Path, name: &str, settings: &Path, frames: u32, words: &[&str]) -> Output {
    let samples = VIDEOS.map(|video| root().join(format!("sample_data/{video}.mp4")));
    let mut command = abaw();
    command.args([
        "annotate",
        "--device",
        "cpu",
        "--limit-frames",
        &frames.to_string(),
    ]);
    command.args(words).args(samples);
    command
        .arg("--out")
        .arg(folder.join(name))
        .arg("--pipeline")
        .arg(settings);
    command.output().unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", stderr_of(output));
    stderr_of(output)
}

/// A copy of all runs to change.
fn copy_of_runs() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(RUNS.path().join("."))
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    copy
}

fn postprocess(run: &Path, pipeline: Option<&Path>) -> Output {
    let mut command = abaw();
    command.arg("postprocess").arg(run);
    if let Some(pipeline) = pipeline {
        command.arg("--pipeline").arg(pipeline);
    }
    command.output().unwrap()
}

/// A pipeline file in `folder` that blends; `(run, [valence_arousal, expression, action_units])`, the run
/// itself without a name.
fn recipe(folder: &Path, members: &[(&str, [f64; 3])]) -> PathBuf {
    let mut settings = "[postprocess]\nfill_gap_s = \"all\"\n".to_owned();
    for (run, [va, expression, units]) in members {
        settings += "[[postprocess.blend.member]]\n";
        if !run.is_empty() {
            settings += &format!("run = \"{run}\"\n");
        }
        settings += &format!("valence_arousal = {va}\nexpression = {expression}\naction_units = {units}\n");
    }
    let path = folder.join("blend.toml");
    std::fs::write(&path, settings).unwrap();
    path
}

fn read(folder: &Path, run: &str, video: &str) -> (Vec<Row>, Footer) {
    table::read(&folder.join(run).join(format!("frames/{video}.parquet"))).unwrap()
}

/// The row of the other run's same face: by hand, the one whose box has its middle nearest.
fn same_face<'a>(row: &Row, others: &'a [Row]) -> Option<&'a Row> {
    let middle = |row: &Row| row.sighting.location().unwrap().0.centre();
    let distance = |other: &&Row| (middle(other).x - middle(row).x).hypot(middle(other).y - middle(row).y);
    let same_frame = others.iter().filter(|other| other.frame == row.frame);
    same_frame.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

fn assert_mean<const N: usize>(found: [f32; N], rows: [([f32; N], f32); 2], what: &str) {
    let total = rows[0].1 + rows[1].1;
    for (at, found) in found.into_iter().enumerate() {
        let mean = (rows[0].0[at] * rows[0].1 + rows[1].0[at] * rows[1].1) / total;
        assert!((found - mean).abs() < 1e-6, "{what}: {found} is not {mean}");
    }
}

fn point(affect: &Affect) -> [f32; 2] {
    let point = affect.valence_arousal.unwrap();
    [point.valence, point.arousal]
}

#[test]
fn two_runs_are_blended_face_by_face_and_task_by_task() {
    let folder = copy_of_runs();
    let own = folder.path().join("own");
    let recipe = recipe(
        folder.path(),
        &[("", [1.0, 0.0, 1.0]), ("other", [3.0, 2.0, 1.0])],
    );
    let said = succeeded(&postprocess(&own, Some(&recipe)));
    assert!(
        said.contains("2 tables rewritten") && said.contains("blended with"),
        "{said}"
    );
    for video in VIDEOS {
        let (before, _) = read(RUNS.path(), "own", video);
        let (other, other_footer) = read(RUNS.path(), "other", video);
        let (after, footer) = read(folder.path(), "own", video);
        assert_eq!(before.len(), after.len());
        for (row, old) in after.iter().zip(&before) {
            assert_eq!(
                (&row.raw, row.sighting, row.person),
                (&old.raw, old.sighting, old.person)
            );
            let partner = same_face(old, &other).unwrap();
            assert_ne!(partner.sighting, old.sighting, "the boxes should differ a little");
            let (ours, theirs, last) = (&old.raw, &partner.raw, &row.postprocessed.affect);
            assert_mean(
                point(last),
                [(point(ours), 1.0), (point(theirs), 3.0)],
                "valence and arousal",
            );
            let expression = |affect: &Affect| affect.expression.unwrap();
            assert_mean(
                expression(last),
                [(expression(ours), 0.0), (expression(theirs), 2.0)],
                "expression",
            );
            let units = |affect: &Affect| affect.all_action_units().unwrap();
            assert_mean(
                units(last),
                [(units(ours), 1.0), (units(theirs), 1.0)],
                "action units",
            );
        }
        let record = &footer.postprocess["blend"]["others"][0];
        assert!(record["run"].as_str().unwrap().ends_with("other"));
        assert_eq!(
            record["weights"],
            serde_json::to_value(&other_footer.weights).unwrap()
        );
    }
    // A second time there is nothing to do, with the file and without it.
    for pipeline in [None, Some(&*recipe)] {
        assert!(succeeded(&postprocess(&own, pipeline)).contains("0 tables rewritten"));
    }
    // Annotated with the same pipeline file, a run comes out the same.
    let settings = folder.path().join("both.toml");
    let blend = std::fs::read_to_string(&recipe).unwrap();
    std::fs::write(
        &settings,
        format!("[model]\nweights = \"1.safetensors\"\n{blend}"),
    )
    .unwrap();
    succeeded(&annotate_command(folder.path(), "anew", &settings, FRAMES, &[]));
    for video in VIDEOS {
        let (anew, own) = (
            read(folder.path(), "anew", video),
            read(folder.path(), "own", video),
        );
        assert!(anew.0 == own.0, "{video}: the rows differ");
        assert_eq!(anew.1.settings_hash, own.1.settings_hash);
    }
    // Other post-processing of the other run changes nothing; the run itself can be had back.
    let smooth = folder.path().join("smooth.toml");
    std::fs::write(
        &smooth,
        "[postprocess]\nsmoothing.expression = { kernel = \"box\", half_width = \"2 frames\" }\n",
    )
    .unwrap();
    succeeded(&postprocess(&folder.path().join("other"), Some(&smooth)));
    assert!(succeeded(&postprocess(&own, None)).contains("0 tables rewritten"));
    succeeded(&postprocess(&own, Some(&folder.path().join("own.toml"))));
    let (back, first) = (
        read(folder.path(), "own", "carphone"),
        read(RUNS.path(), "own", "carphone"),
    );
    assert!(back.0 == first.0, "the rows differ");
    assert_eq!(back.1.settings_hash, first.1.settings_hash);
}

#[test]
fn individual_models_and_runs_that_say_little() {
    let folder = copy_of_runs();
    let own = folder.path().join("own");
    let members = [
        ("", [0.0, 1.0, 0.0]),
        ("va", [1.0, 1.0, 1.0]),
        ("short", [0.0, 0.0, 1.0]),
    ];
    succeeded(&postprocess(&own, Some(&recipe(folder.path(), &members))));
    let (rows, _) = read(folder.path(), "own", "carphone");
    let (va, _) = read(folder.path(), "va", "carphone");
    let (short, _) = read(folder.path(), "short", "carphone");
    assert_eq!((rows.len(), short.len()), (FRAMES as usize, FRAMES as usize - 3));
    for (at, row) in rows.iter().enumerate() {
        let last = &row.postprocessed.affect;
        assert_eq!(va[at].raw.expression, None);
        assert_eq!(point(last), point(&va[at].raw));
        assert_eq!(
            last.expression, row.raw.expression,
            "the other has no expressions"
        );
        // Frames that the other run lacks are gaps, and filled.
        let from = at.min(short.len() - 1);
        assert_eq!(last.action_units, short[from].raw.action_units);
    }
}

#[test]
fn a_run_that_changed_is_refused_until_it_is_named_again() {
    let folder = copy_of_runs();
    let own = folder.path().join("own");
    let recipe = recipe(folder.path(), &[("", [1.0; 3]), ("other", [1.0; 3])]);
    succeeded(&postprocess(&own, Some(&recipe)));
    let blended = read(folder.path(), "own", "carphone");
    let settings = folder.path().join("own.toml");
    succeeded(&annotate_command(
        folder.path(),
        "other",
        &settings,
        FRAMES,
        &["--force"],
    ));
    let reason = refused(&postprocess(&own, None));
    assert!(
        reason.contains("other") && reason.contains("holds other numbers than when it was named"),
        "{reason}"
    );
    assert_eq!(
        read(folder.path(), "own", "carphone"),
        blended,
        "nothing was touched"
    );
    // What is there can still be submitted; tuning needs the other run again.
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "carphone/00001.jpg\n").unwrap();
    let submit = |list: &Path| {
        let mut command = abaw();
        command
            .args(["submit", "--challenge", "va"])
            .arg(&own)
            .arg("--template")
            .arg(list);
        command
            .arg("--out")
            .arg(folder.path().join("va.txt"))
            .output()
            .unwrap()
    };
    succeeded(&submit(&list));
    std::fs::write(&list, "two_people_left/00001.jpg\n").unwrap();
    assert!(refused(&submit(&list)).contains("holds other numbers"));
    assert!(succeeded(&postprocess(&own, Some(&recipe))).contains("2 tables rewritten"));
    succeeded(&submit(&list));
    assert_ne!(read(folder.path(), "own", "carphone"), blended);
}

#[test]
fn runs_that_cannot_be_blended_are_named() {
    let folder = copy_of_runs();
    let own = folder.path().join("own");
    let refuse =
        |members: &[(&str, [f64; 3])]| refused(&postprocess(&own, Some(&recipe(folder.path(), members))));
    let nowhere = refuse(&[("", [1.0; 3]), ("nowhere", [1.0; 3])]);
    assert!(
        nowhere.contains("blended run") && nowhere.contains("nowhere/plan.json"),
        "{nowhere}"
    );
    assert!(refuse(&[("other", [1.0; 3])]).contains("name one without `run`"));
    assert!(refuse(&[("", [1.0; 3]), ("", [1.0; 3])]).contains("name one without `run`"));
    assert!(refuse(&[("", [1.0; 3]), ("other", [0.0; 3])]).contains("at least 0"));
    assert!(refuse(&[("", [1.0, -1.0, 1.0]), ("other", [1.0; 3])]).contains("at least 0"));

    // A video that the other run has not done, has failed on, does not know.
    let recipe = recipe(folder.path(), &[("", [1.0; 3]), ("other", [1.0; 3])]);
    let other = folder.path().join("other");
    std::fs::remove_file(other.join("frames/carphone.parquet")).unwrap();
    let output = postprocess(&own, Some(&recipe));
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    assert!(
        stderr_of(&output).contains("is not finished: carphone"),
        "{}",
        stderr_of(&output)
    );
    let failure = |reason: &str| {
        let record = serde_json::json!({
            "input": "carphone.mp4", "stage": "decode", "error": reason, "when": "2026-01-01T00:00:00Z"
        });
        std::fs::create_dir_all(other.join("failures")).unwrap();
        std::fs::write(other.join("failures/carphone.json"), record.to_string()).unwrap();
    };
    failure("broken");
    let said = succeeded(&postprocess(&own, Some(&recipe)));
    assert!(said.contains("1 tables rewritten"), "{said}");
    let (rows, _) = read(folder.path(), "own", "carphone");
    assert!(
        rows.iter()
            .all(|row| point(&row.postprocessed.affect) == point(&row.raw)),
        "alone it has all the say"
    );

    let plan_path = other.join("plan.json");
    let mut plan: Value = serde_json::from_slice(&std::fs::read(&plan_path).unwrap()).unwrap();
    plan["inputs"]
        .as_array_mut()
        .unwrap()
        .retain(|input| input["id"] != "carphone");
    std::fs::write(&plan_path, plan.to_string()).unwrap();
    std::fs::remove_file(own.join("frames/two_people.parquet")).unwrap();
    std::fs::copy(
        RUNS.path().join("own/frames/carphone.parquet"),
        own.join("frames/carphone.parquet"),
    )
    .unwrap();
    let output = postprocess(&own, Some(&recipe));
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr_of(&output).contains("has no video carphone"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn tuning_sees_the_blend() {
    let folder = copy_of_runs();
    let own = folder.path().join("own");
    // Labels that the other run's action units meet exactly: only the blend can reach an F1 of 1.
    let labels = folder.path().join("labels");
    std::fs::create_dir(&labels).unwrap();
    let plan_path = |run: &str| folder.path().join(run).join("plan.json");
    for run in ["own", "other"] {
        let mut plan: Value = serde_json::from_slice(&std::fs::read(plan_path(run)).unwrap()).unwrap();
        let inputs = plan["inputs"].as_array_mut().unwrap();
        let mut input = inputs
            .iter()
            .find(|input| input["id"] == "carphone")
            .unwrap()
            .clone();
        for copy in ["a", "b", "c"] {
            input["id"] = copy.into();
            inputs.push(input.clone());
            let frames = folder.path().join(run).join("frames");
            std::fs::copy(
                frames.join("carphone.parquet"),
                frames.join(format!("{copy}.parquet")),
            )
            .unwrap();
        }
        std::fs::write(plan_path(run), plan.to_string()).unwrap();
    }
    let (rows, _) = read(folder.path(), "other", "carphone");
    let middle = |unit: usize| {
        let mut values: Vec<f32> = rows
            .iter()
            .map(|row| row.raw.all_action_units().unwrap()[unit])
            .collect();
        values.sort_by(f32::total_cmp);
        values[rows.len() / 2]
    };
    let mut text = abaw::affwild2::Challenge::Au.columns().to_owned() + "\n";
    for row in &rows {
        let units = row.raw.all_action_units().unwrap();
        let active: Vec<&str> = (0..12)
            .map(|unit| if units[unit] >= middle(unit) { "1" } else { "0" })
            .collect();
        text += &(active.join(",") + "\n");
    }
    for copy in ["a", "b", "c"] {
        std::fs::write(labels.join(format!("{copy}.txt")), &text).unwrap();
    }
    let tune = || {
        let out = folder.path().join("calibration.toml");
        let mut command = abaw();
        command
            .args(["tune", "--folds", "3"])
            .arg(&own)
            .arg("--labels")
            .arg(&labels)
            .arg("--out")
            .arg(&out);
        succeeded(&command.output().unwrap());
        let found = std::fs::read_to_string(&out).unwrap();
        toml::from_str::<abaw::tuning::Calibration>(&found).unwrap()
    };
    let alone = tune();
    let members = [("", [1.0, 1.0, 0.0]), ("other", [0.0, 0.0, 1.0])];
    succeeded(&postprocess(&own, Some(&recipe(folder.path(), &members))));
    assert_ne!(tune().threshold_trials, alone.threshold_trials);
}
