//! From a run to a challenge: submissions, scores, other post-processing, tuning. Whole program.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use abaw::affwild2::{Challenge, Labels};
use abaw::labels::Affect;
use abaw::metrics::{Annotation, Tally};
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};
use abaw::postprocess::Postprocess;
use abaw::table::{self, Footer, Row};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{abaw, output_of, root, sample, stderr_of, stdout_of};

/// Frames of each video.
const FRAMES: u32 = 24;

/// Random weights, so that decisions are near thresholds and no test hangs on what was trained.
static WEIGHTS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    weights(folder.path(), SEED);
    std::fs::write(folder.path().join("unsmoothed.toml"), "").unwrap();
    folder
});
const SEED: u64 = 2407_12390;

/// A short run without smoothing, which no test changes.
static RUN: LazyLock<TempDir> = LazyLock::new(|| annotate(None));

fn recipe(name: &str) -> PathBuf {
    root().join("pipelines").join(name)
}

/// Runs a command that must succeed; what it printed.
fn run(words: &[&str], paths: &[(&str, &Path)]) -> String {
    let paths = paths
        .iter()
        .flat_map(|(flag, path)| [flag.as_ref(), path.as_os_str()])
        .filter(|word| !word.is_empty());
    let output = output_of(words.iter().map(|word| word.as_ref()).chain(paths));
    assert!(output.status.success(), "{words:?}: {}", stderr_of(&output));
    stdout_of(&output)
}

fn annotate_into(folder: &Path, pipeline: Option<&Path>) -> Output {
    let mut command = abaw();
    command.args([
        "annotate",
        "--device",
        "cpu",
        "--limit-frames",
        &FRAMES.to_string(),
        "--out",
    ]);
    command.arg(folder);
    command.args(["two_people.mp4", "carphone.mp4"].map(sample));
    command
        .arg("--weights")
        .arg(WEIGHTS.path().join(format!("{SEED}.safetensors")));
    let unsmoothed = WEIGHTS.path().join("unsmoothed.toml");
    command.arg("--pipeline").arg(pipeline.unwrap_or(&unsmoothed));
    command.output().unwrap()
}

fn annotate(pipeline: Option<&Path>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = annotate_into(folder.path(), pipeline);
    assert!(output.status.success(), "{}", stderr_of(&output));
    folder
}

/// A copy of [`RUN`] to change.
fn copy_of_run() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("frames")).unwrap();
    for name in [
        "plan.json",
        "run.json",
        "frames/two_people.parquet",
        "frames/carphone.parquet",
    ] {
        std::fs::copy(RUN.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn tables(run: &Path) -> Vec<(Vec<Row>, Footer)> {
    ["two_people", "carphone"]
        .iter()
        .map(|video| table::read(&run.join(format!("frames/{video}.parquet"))).unwrap())
        .collect()
}

fn labels() -> PathBuf {
    sample("aff-wild2/6th_ABAW_Annotations")
}

/// A list of 50 frames of both videos, more than the run has.
fn frame_list(folder: &Path, header: &str) -> PathBuf {
    let mut list = header.to_owned() + "\n";
    for video in ["two_people", "carphone"] {
        for frame in 1..=50 {
            list += &format!("{video}/{frame:05}.jpg,\n");
        }
    }
    let path = folder.join("list.txt");
    std::fs::write(&path, list).unwrap();
    path
}

#[test]
fn every_challenge_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    for challenge in Challenge::ALL {
        let list = frame_list(folder.path(), &challenge.submission_header());
        let out = folder.path().join(format!("{challenge}.txt"));
        let output = run(
            &["submit", "--challenge", challenge.name()],
            &[("", RUN.path()), ("--template", &list), ("--out", &out)],
        );
        assert!(
            output.contains("100 lines, 2 videos, 52 lines filled"),
            "{output}"
        );
        let lines = std::fs::read_to_string(&out).unwrap();
        assert_eq!(lines.lines().count(), 101);
        assert_eq!(
            lines.lines().nth(1).unwrap().split(',').count(),
            1 + challenge.values()
        );
    }
    let names = folder.path().join("names.txt");
    std::fs::write(&names, "two_people\ncarphone\n").unwrap();
    for challenge in ["va", "expr", "au"] {
        let out = folder.path().join(format!("{challenge}_files"));
        run(
            &["submit", "--per-video", "--challenge", challenge],
            &[("", RUN.path()), ("--template", &names), ("--out", &out)],
        );
        let lines = std::fs::read_to_string(out.join("carphone.txt")).unwrap();
        assert_eq!(lines.lines().count(), 25, "{challenge}");
    }
}

fn evaluated(run_folder: &Path, labels: &Path) -> Value {
    let json = run(&["evaluate", "--json"], &[("", run_folder), ("--labels", labels)]);
    serde_json::from_str(&json).unwrap()
}

#[test]
fn a_submission_read_back_scores_as_evaluate_says() {
    let folder = tempfile::tempdir().unwrap();
    let list = sample("aff-wild2/MTL/frame_list.txt");
    // The list has a third video; its frames take neutral values, and are left out here.
    let out = folder.path().join("mtl.txt");
    run(
        &["submit", "--challenge", "mtl", "--allow-missing"],
        &[("", RUN.path()), ("--template", &list), ("--out", &out)],
    );
    let annotations = sample("aff-wild2/MTL/validation_set_annotations.txt");
    let of = |labels: &Labels| -> Vec<(String, u32, Annotation)> {
        let annotation = |row: &abaw::affwild2::LabelRow| Annotation {
            valence_arousal: row.label.valence_arousal,
            expression: row.label.expression,
            action_units: row.label.all_action_units(),
        };
        let named = labels.rows().iter().map(|row| {
            let video = labels.videos().name(row.video).to_owned();
            (video, row.frame.number(), annotation(row))
        });
        named.filter(|(video, ..)| video != "astronaut").collect()
    };
    let submitted = of(&Labels::read(&out).unwrap());
    let mut tally = Tally::default();
    let mut past_the_end = 0;
    for (video, frame, label) in of(&Labels::read(&annotations).unwrap()) {
        let (_, _, answer) = submitted
            .iter()
            .find(|(other, number, _)| *other == video && *number == frame)
            .unwrap();
        past_the_end += u32::from(frame > FRAMES);
        tally.add(&label, answer);
    }
    assert!(past_the_end > 0, "no labelled frame is filled");
    let expected = serde_json::to_value(tally.report()).unwrap();
    assert_close(&evaluated(RUN.path(), &annotations), &expected);
}

/// The same JSON; numbers may differ by what adding up in another order does.
fn assert_close(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()));
            a.values().zip(b.values()).for_each(|(a, b)| assert_close(a, b));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_close(a, b));
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{a} {b}"),
            _ => assert_eq!(a, b),
        },
    }
}

#[test]
fn evaluate_prints_json_of_the_promised_shape_and_a_table() {
    let report = evaluated(RUN.path(), &labels());
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&report), ["per_task", "strict"]);
    for mask in ["per_task", "strict"] {
        assert_eq!(
            keys(&report[mask]),
            [
                "au",
                "ccc_arousal",
                "ccc_valence",
                "expression",
                "f1_au",
                "f1_expression",
                "frames",
                "p",
                "va"
            ]
        );
        assert_eq!(report[mask]["f1_au"].as_array().unwrap().len(), 12);
        assert_eq!(report[mask]["f1_expression"].as_array().unwrap().len(), 8);
    }
    // 120 frames of each video, without each 29th, 17th, 23rd and, for the last unit, 41st.
    assert_eq!(
        report["per_task"]["frames"],
        serde_json::json!({"va": 232, "expression": 226, "au": 226})
    );
    let one_task = evaluated(RUN.path(), &labels().join("VA_Estimation_Challenge"));
    assert_eq!(one_task["per_task"]["va"], report["per_task"]["va"]);
    assert_eq!(one_task["per_task"]["expression"], Value::Null);

    let output = run(&["evaluate"], &[("", RUN.path()), ("--labels", &labels())]);
    for words in [
        "CCC valence",
        "F1 Surprise",
        "F1 AU26",
        "(one mask a task)",
        "192 of them filled",
    ] {
        assert!(output.contains(words), "no `{words}` in\n{output}");
    }
    let strict = run(
        &["evaluate", "--strict"],
        &[("", RUN.path()), ("--labels", &labels())],
    );
    assert!(strict.lines().next().unwrap().contains("(strict)"), "{strict}");
}

#[test]
fn postprocess_is_annotate_with_other_settings_and_does_nothing_twice() {
    let pipeline = recipe("annotate.toml");
    let smooth = annotate(Some(&pipeline));
    let changed = copy_of_run();
    let raw: Vec<_> = tables(RUN.path())
        .iter()
        .map(|(rows, _)| rows.iter().map(|row| row.raw.clone()).collect::<Vec<_>>())
        .collect();
    assert_ne!(tables(changed.path()), tables(smooth.path()));
    let postprocess = || {
        run(
            &["postprocess"],
            &[("", changed.path()), ("--pipeline", &pipeline)],
        )
    };
    let output = postprocess();
    assert!(output.contains("2 tables rewritten (48 frames"), "{output}");
    for (((rows, footer), (same, like)), raw) in
        tables(changed.path()).iter().zip(&tables(smooth.path())).zip(raw)
    {
        assert!(rows == same, "the rows differ");
        assert_eq!(footer.postprocess, like.postprocess);
        assert_eq!(footer.stream, like.stream);
        assert!(rows.iter().map(|row| row.raw.clone()).eq(raw));
    }
    let table = changed.path().join("frames/carphone.parquet");
    let written = || std::fs::metadata(&table).unwrap().modified().unwrap();
    let before = written();
    assert!(postprocess().contains("0 tables rewritten"));
    assert_eq!(written(), before);

    // The run goes on with its new settings, and names what differs from others.
    let settings: Value =
        serde_json::from_slice(&std::fs::read(changed.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(
        settings["settings_hash"],
        tables(changed.path())[0].1.settings_hash
    );
    let refused = annotate_into(changed.path(), None);
    assert_eq!(refused.status.code(), Some(2));
    let reason = stderr_of(&refused);
    assert!(
        reason.contains("abaw postprocess") && reason.contains("half_width"),
        "{reason}"
    );
}

#[test]
fn annotate_goes_on_with_a_postprocessed_run_without_reading_a_video_again() {
    let changed = copy_of_run();
    let settings = changed.path().join("settings.toml");
    std::fs::write(
        &settings,
        "[postprocess]\nsmoothing.expression = { kernel = \"box\", half_width = \"2 frames\" }\n",
    )
    .unwrap();
    run(
        &["postprocess"],
        &[("", changed.path()), ("--pipeline", &settings)],
    );
    let after = tables(changed.path());
    let again = annotate_into(changed.path(), Some(&settings));
    assert!(again.status.success(), "{}", stderr_of(&again));
    assert_eq!(tables(changed.path()), after);
    // A run left half way: one table is as it was before.
    let table = "frames/carphone.parquet";
    std::fs::copy(RUN.path().join(table), changed.path().join(table)).unwrap();
    let refused = output_of([
        "evaluate".as_ref(),
        changed.path().as_os_str(),
        "--labels".as_ref(),
        labels().as_os_str(),
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr_of(&refused).contains("carphone: its table has other settings"));
    let again = annotate_into(changed.path(), Some(&settings));
    assert!(again.status.success(), "{}", stderr_of(&again));
    assert_eq!(tables(changed.path()), after);
}

/// Labels in which the left person of `two_people` is always happy, the right one never.
fn two_sides(folder: &Path) -> PathBuf {
    let mut list = Challenge::Mtl.submission_header() + "\n";
    for (side, class) in [("left", 4), ("right", 0)] {
        for frame in 1..=FRAMES {
            list += &format!("two_people_{side}/{frame:05}.jpg,-5,-5,{class}");
            list += &",-1".repeat(12);
            list += "\n";
        }
    }
    let path = folder.join("sides.txt");
    std::fs::write(&path, list).unwrap();
    path
}

#[test]
fn left_and_right_are_the_two_people_of_one_video() {
    let folder = tempfile::tempdir().unwrap();
    let list = two_sides(folder.path());
    let out = folder.path().join("out.txt");
    run(
        &["submit", "--challenge", "mtl"],
        &[("", RUN.path()), ("--template", &list), ("--out", &out)],
    );
    let submitted = Labels::read(&out).unwrap();
    let rows = &tables(RUN.path())[0].0;
    for (video, answers) in submitted.by_video() {
        for answer in answers {
            let on_side = rows
                .iter()
                .filter(|row| row.frame == answer.frame)
                .find(|row| {
                    let is_left = row.sighting.location().unwrap().0.centre().x < 320.0;
                    is_left == video.ends_with("_left")
                })
                .unwrap();
            assert_eq!(
                answer.label.valence_arousal, on_side.raw.valence_arousal,
                "{video}"
            );
        }
    }
    let frames = evaluated(RUN.path(), &list)["per_task"]["frames"]["expression"].clone();
    assert_eq!(frames, 48);
}

#[test]
fn a_calibration_is_found_applied_and_overruled_by_a_pipeline_file() {
    // Tuning needs three videos: three copies of one table under names of their own.
    let many = copy_of_run();
    let plan_path = many.path().join("plan.json");
    let mut plan: Value = serde_json::from_slice(&std::fs::read(&plan_path).unwrap()).unwrap();
    let labels = many.path().join("labels");
    std::fs::create_dir(&labels).unwrap();
    let mut inputs = plan["inputs"].as_array().unwrap().clone();
    let mut first = inputs
        .iter()
        .find(|input| input["id"] == "carphone")
        .unwrap()
        .clone();
    for copy in ["a", "b", "c", "d"] {
        first["id"] = copy.into();
        inputs.push(first.clone());
        let table = many.path().join(format!("frames/{copy}.parquet"));
        std::fs::copy(RUN.path().join("frames/carphone.parquet"), table).unwrap();
        let of_task =
            sample("aff-wild2/6th_ABAW_Annotations/AU_Detection_Challenge/Validation_Set/carphone.txt");
        std::fs::copy(of_task, labels.join(format!("{copy}.txt"))).unwrap();
    }
    plan["inputs"] = inputs.into();
    std::fs::write(&plan_path, plan.to_string()).unwrap();

    let calibration = many.path().join("calibration.toml");
    let output = run(
        &["tune", "--folds", "4"],
        &[("", many.path()), ("--labels", &labels), ("--out", &calibration)],
    );
    assert!(
        output.contains("tuning set") && output.contains("new videos"),
        "{output}"
    );
    let found: abaw::tuning::Calibration =
        toml::from_str(&std::fs::read_to_string(&calibration).unwrap()).unwrap();
    assert_eq!(found.folds, 4);
    assert_eq!(found.videos, 4);
    // All folds are alike, so what helps on one helps on the others.
    assert!(found.total.held_out > 0.0);

    run(
        &["postprocess"],
        &[("", many.path()), ("--calibration", &calibration)],
    );
    let step: Postprocess = serde_json::from_value(tables(many.path())[0].1.postprocess.clone()).unwrap();
    assert_eq!(step.thresholds, found.thresholds.unwrap_or_default());
    let tuned = evaluated(many.path(), &labels)["per_task"]["au"]
        .as_f64()
        .unwrap();
    let before = evaluated(RUN.path(), &{
        let one = many.path().join("one");
        std::fs::create_dir(&one).unwrap();
        std::fs::copy(labels.join("a.txt"), one.join("carphone.txt")).unwrap();
        one
    });
    let gain = tuned - before["per_task"]["au"].as_f64().unwrap();
    assert!(
        (gain - found.total.tuning).abs() < 1e-6,
        "{gain} {:?}",
        found.total
    );

    let pipeline = many.path().join("pipeline.toml");
    std::fs::write(
        &pipeline,
        "[postprocess]\nthresholds = [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]\n",
    )
    .unwrap();
    run(
        &["postprocess"],
        &[
            ("", many.path()),
            ("--calibration", &calibration),
            ("--pipeline", &pipeline),
        ],
    );
    let step: Postprocess = serde_json::from_value(tables(many.path())[0].1.postprocess.clone()).unwrap();
    assert_eq!(step.thresholds.values(), [0.9; 12]);
}

/// Weights of a network that was never trained, each seed its own.
fn weights(folder: &Path, seed: u64) -> PathBuf {
    let tensors = initial_weights(&Architecture::MULTITASK, seed).unwrap();
    let weights = Weights::new(tensors, Card::as_published(format!("seed {seed}"))).unwrap();
    let path = folder.join(format!("{seed}.safetensors"));
    weights.save(&path, NumberFormat::F32).unwrap();
    path
}

/// The raw numbers of three frames under a `[model]` table.
fn raw_with(folder: &Path, name: &str, model: &str) -> (Vec<Affect>, Footer) {
    let pipeline = folder.join(format!("{name}.toml"));
    std::fs::write(&pipeline, model).unwrap();
    let out = folder.join(name);
    run(
        &["annotate", "--device", "cpu", "--limit-frames", "3"],
        &[
            ("", &sample("carphone.mp4")),
            ("--pipeline", &pipeline),
            ("--out", &out),
        ],
    );
    let (rows, footer) = table::read(&out.join("frames/carphone.parquet")).unwrap();
    (rows.iter().map(|row| row.raw.clone()).collect(), footer)
}

#[test]
fn several_networks_are_blended_task_by_task() {
    let folder = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        weights(folder.path(), seed);
    }
    let (first, _) = raw_with(folder.path(), "first", "[model]\nweights = \"1.safetensors\"\n");
    let (second, _) = raw_with(folder.path(), "second", "[model]\nweights = \"2.safetensors\"\n");
    let (both, footer) = raw_with(
        folder.path(),
        "both",
        "[[model.member]]\nweights = \"1.safetensors\"\nvalence_arousal = 1.0\nexpression = 1.0\n\
         [[model.member]]\nweights = \"2.safetensors\"\nexpression = 3.0\n",
    );
    assert_ne!(first, second);
    for ((both, first), second) in both.iter().zip(&first).zip(&second) {
        assert_eq!(both.valence_arousal, first.valence_arousal);
        assert_eq!(both.action_units, [None; 12], "no run counts there");
        let probabilities = [first, second].map(|affect| affect.expression.unwrap());
        for (class, blended) in both.expression.unwrap().iter().enumerate() {
            let mean = (probabilities[0][class] + 3.0 * probabilities[1][class]) / 4.0;
            assert!((blended - mean).abs() < 1e-6);
        }
    }
    let sources: Vec<&str> = footer.weights.iter().map(|weights| &*weights.source).collect();
    assert_eq!(sources[1..3], ["1.safetensors", "2.safetensors"]);
    let summary = std::fs::read_to_string(folder.path().join("both/run.json")).unwrap();
    assert!(summary.contains("1.safetensors") && summary.contains("2.safetensors"));
}

#[test]
fn weights_carry_a_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = weights(folder.path(), 1);
    let calibration = folder.path().join("calibration.toml");
    std::fs::write(&calibration, format!("thresholds = {:?}\n", [0.25; 12])).unwrap();
    let carrying = folder.path().join("carrying.safetensors");
    run(
        &["weights", "import"],
        &[
            ("", &checkpoint),
            ("--calibration", &calibration),
            ("--out", &carrying),
        ],
    );
    let (_, footer) = raw_with(
        folder.path(),
        "run",
        "[model]\nweights = \"carrying.safetensors\"\n",
    );
    let step: Postprocess = serde_json::from_value(footer.postprocess).unwrap();
    assert_eq!(step.thresholds.values(), [0.25; 12]);
}
