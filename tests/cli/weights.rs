//! `abaw weights` as a user meets it, and runs with the weights that it made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use abaw::face::template::TemplateSet;
use abaw::labels::Expression;
use abaw::model::weights::{Card, NumberFormat, Weights, write_tensors};
use abaw::model::{AffectNet, Architecture, NamedTensors, initial_weights};
use abaw::table::{self, Footer, Row};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::support::workspace::files;
use crate::support::{
    abaw, checkpoint, expect_exit, output_of, root, sample, shared_golden, stderr_of, succeeded, unpacked,
};

fn import(checkpoint: &Path, out: &Path) -> Output {
    output_of(["weights", "import", name(checkpoint), "--out", name(out)])
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The one line on stderr of a command that refused.
fn refused(output: &Output) -> String {
    let said = stderr_of(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    said.strip_prefix("error: ").unwrap().to_owned()
}

/// A folder with one aligned crop, three times.
fn crops(folder: &Path) -> PathBuf {
    let face = root().join("tests/golden/face/alignment/face_at_border_float.png");
    let crops = folder.join("crops/man");
    fs::create_dir_all(&crops).unwrap();
    for frame in 1..=3 {
        fs::copy(&face, crops.join(format!("{frame:05}.png"))).unwrap();
    }
    crops
}

fn annotate_crops(folder: &Path, weights: &Path) -> Output {
    let run = folder.join("run");
    let crops = crops(folder);
    let arguments = [
        "annotate",
        name(&crops),
        "--crops",
        "--device",
        "cpu",
        "--weights",
    ];
    output_of([&arguments[..], &[name(weights), "--out", name(&run)]].concat())
}

fn table_of(folder: &Path) -> (Vec<Row>, Footer) {
    table::read(&folder.join("run/frames/man.parquet")).unwrap()
}

fn summary_of(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run/run.json")).unwrap()).unwrap()
}

/// Weights of a seeded network that pass for trained.
fn seeded(card: Card) -> Weights {
    Weights::new(initial_weights(&Architecture::MULTITASK, 7).unwrap(), card).unwrap()
}

#[test]
fn a_checkpoint_is_imported_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = unpacked(&checkpoint("multitask_constant.pth.gz"), folder.path());
    let out = folder.path().join("weights.safetensors");
    let said = succeeded(&import(&checkpoint, &out));
    for part in [
        "model_state_dict",
        "num_batches_tracked",
        "CoordAtt.Linear",
        name(&out),
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let shown = succeeded(&output_of(["weights", "show", name(&out)]));
    for part in [
        "4376863",
        "Neutral, Anger",
        "ddamfn",
        "multitask_constant.pth",
        "trained",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let json: Value =
        serde_json::from_str(&succeeded(&output_of(["weights", "show", "--json", name(&out)]))).unwrap();
    assert_eq!(json["parameters"], 4_376_863);
    assert_eq!(json["class_order"][4], "Happiness");
    assert_eq!(json["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(json["alignment"], "ddamfn");
    // What can be imported can be shown too.
    assert!(succeeded(&output_of(["weights", "show", name(&checkpoint)])).contains("4376863"));
}

/// Those of DDAMFN++ are of the same layers, under the same names; RAF-DB's have the classes in AffectNet's order.
#[test]
fn the_seven_class_networks_of_the_authors_need_no_card() {
    let folder = tempfile::tempdir().unwrap();
    let seven = Architecture::Official(AffectNet::Seven);
    let mut tensors = NamedTensors::new();
    for (name, tensor) in initial_weights(&seven, 7).unwrap() {
        tensors.insert(format!("module.{name}"), tensor);
    }
    for name in ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"] {
        tensors.insert(
            format!("module.{name}"),
            Tensor::ones([7], (Kind::Float, tch::Device::Cpu)),
        );
    }
    let checkpoint = folder.path().join("rafdb_epoch20_acc0.9204.safetensors");
    write_tensors(&checkpoint, &tensors, &BTreeMap::new(), NumberFormat::F32).unwrap();
    let out = folder.path().join("weights.safetensors");
    succeeded(&import(&checkpoint, &out));
    let shown = succeeded(&output_of(["weights", "show", name(&out)]));
    let order = "Neutral, Happy, Sad, Surprise, Fear, Disgust, Angry\n";
    assert!(
        shown.contains(order) && shown.contains("official DDAMFN with 7 expressions"),
        "{shown}"
    );
    succeeded(&annotate_crops(folder.path(), &out));
    let (rows, _) = table_of(folder.path());
    let expression = rows[0].raw.expression.unwrap();
    assert_eq!(expression[7], 0.0, "no contempt");
    assert!((expression.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(
        (rows[0].raw.valence_arousal, rows[0].raw.action_units),
        (None, [None; 12])
    );
}

#[test]
fn what_is_there_is_overwritten_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = unpacked(&checkpoint("affectnet8_half_constant.pth.gz"), folder.path());
    let out = folder.path().join("weights.safetensors");
    fs::write(&out, "another's").unwrap();
    assert!(refused(&import(&checkpoint, &out)).contains("--force"));
    assert_eq!(fs::read(&out).unwrap(), b"another's");
    let arguments = ["weights", "import", name(&checkpoint), "--out", name(&out)];
    succeeded(&output_of(
        [&arguments[..], &["--force", "--store", "f16"]].concat(),
    ));
    let size = fs::metadata(&out).unwrap().len();
    assert!(
        size < fs::metadata(&checkpoint).unwrap().len() * 3 / 2,
        "{size} bytes are not f16"
    );
}

#[test]
fn what_cannot_be_imported_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("weights.safetensors");
    let cut = folder.path().join("cut.pth");
    let whole = fs::read(unpacked(&checkpoint("multitask_constant.pth.gz"), folder.path())).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let empty = folder.path().join("empty.pth");
    fs::write(&empty, b"").unwrap();
    for (checkpoint, part) in [
        (checkpoint("refused_os_system.pth"), "python3 -c"),
        (checkpoint("refused_os_system_legacy.pth"), "posix.system"),
        (checkpoint("refused_whole_module.pth"), "python3 -c"),
        (checkpoint("refused_torchscript.pt"), "torch.jit.load"),
        (checkpoint("refused_two_models.pth"), "several networks"),
        (checkpoint("model.pth"), "not a DDAMFN"),
        (cut, "cut.pth"),
        (empty, "empty.pth"),
        (folder.path().join("missing.pth"), "No such file"),
        (folder.path().to_owned(), name(folder.path())),
        (root().join("Cargo.toml"), "Cargo.toml"),
    ] {
        let line = refused(&import(&checkpoint, &out));
        assert!(line.contains(part), "no {part} in {line}");
        assert!(!out.exists());
    }
    let shown = output_of(["weights", "show", name(&checkpoint("refused_whole_module.pth"))]);
    assert!(refused(&shown).contains("python3 -c"));
    assert!(!root().join("executed_by_a_pickle").exists());
    let nowhere = folder.path().join("empty.pth/weights.safetensors");
    let good = folder.path().join("multitask_constant.pth");
    assert!(refused(&import(&good, &nowhere)).contains(name(&nowhere)));
}

#[test]
fn a_strangers_control_characters_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2Jfine\nweights        trained\r";
    let path = folder.path().join("weights.safetensors");
    let card = Card {
        licence: Some(hostile.to_owned()),
        calibration: Some(hostile.to_owned()),
        trained: false,
        ..Card::as_published(hostile.to_owned())
    };
    seeded(card).save(&path, NumberFormat::F32).unwrap();
    let shown = succeeded(&output_of(["weights", "show", name(&path)]));
    let json = succeeded(&output_of(["weights", "show", "--json", name(&path)]));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["licence"], hostile);
    let calibration = refused_last(&annotate_crops(folder.path(), &path));
    assert!(!folder.path().join("run").exists());
    for said in [&shown, &json, &calibration] {
        let control = said.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{said:?}");
    }
    assert_eq!(
        shown.lines().filter(|line| line.starts_with("weights ")).count(),
        1,
        "{shown}"
    );

    // Names of tensors are a stranger's too.
    let tensors = initial_weights(&Architecture::MULTITASK, 7).unwrap();
    let odd = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu));
    let mut named: Vec<(&String, &Tensor)> = tensors.iter().collect();
    let odd_name = "odd\u{1b}[2J".to_owned();
    named.push((&odd_name, &odd));
    Tensor::write_safetensors(&named, &path).unwrap();
    let line = refused(&import(&path, &folder.path().join("out.safetensors")));
    assert!(
        line.contains("not printable") && !line.contains('\u{1b}'),
        "{line:?}"
    );
}

/// AffectNet's classes are in another order than ABAW's, and its contempt is none of them.
#[test]
fn an_affectnet_checkpoint_annotates_expressions_alone() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = unpacked(&checkpoint("affectnet8_half_constant.pth.gz"), folder.path());
    let mut tensors: NamedTensors = Weights::load(&checkpoint)
        .unwrap()
        .tensors()
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.copy()))
        .collect();
    // Only the biases speak: class c of AffectNet has probability (c + 1) / 36.
    let biases: Vec<f32> = (1..=8u8).map(|class| f32::from(class).ln()).collect();
    let official = initial_weights(Weights::load(&checkpoint).unwrap().architecture(), 7).unwrap();
    tensors.extend(official);
    tensors.insert(
        "fc.weight".to_owned(),
        Tensor::zeros([8, 512], (Kind::Float, tch::Device::Cpu)),
    );
    tensors.insert("fc.bias".to_owned(), Tensor::from_slice(&biases));
    let raw = folder.path().join("affectnet8.safetensors");
    Tensor::write_safetensors(&tensors.iter().collect::<Vec<_>>(), &raw).unwrap();
    let weights = folder.path().join("weights.safetensors");
    succeeded(&import(&raw, &weights));

    let output = annotate_crops(folder.path(), &weights);
    let said = succeeded(&output);
    let silent = "no output for valence and arousal";
    assert!(
        said.contains(silent) && stderr_of(&output).contains(silent),
        "{said}"
    );
    let (rows, footer) = table_of(folder.path());
    // Neutral, anger, disgust, fear, happiness, sadness, surprise, other, by AffectNet's numbers.
    let expected = [0, 6, 5, 4, 1, 2, 3, 7].map(|class| (class + 1) as f32 / 36.0);
    for row in &rows {
        for affect in [&row.raw, &row.postprocessed.affect] {
            assert!(affect.valence_arousal.is_none() && affect.action_units == [None; 12]);
            let found = affect.expression.unwrap();
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
                "{found:?}"
            );
        }
        assert_eq!(row.postprocessed.action_units, [None; 12]);
    }
    let recorded = &summary_of(folder.path())["weights"];
    assert_eq!(recorded, &serde_json::to_value(&footer.weights).unwrap());
    assert_eq!(
        recorded[1]["silent_tasks"].as_array().unwrap().len(),
        2,
        "{recorded}"
    );
}

#[test]
fn damaged_weights_are_a_usage_error_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    seeded(Card::as_published("a test".to_owned()))
        .save(&path, NumberFormat::F32)
        .unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1000]).unwrap();
    assert!(refused_last(&annotate_crops(folder.path(), &path)).contains("damaged"));
    assert!(refused_last(&annotate_crops(folder.path(), &folder.path().join("missing"))).contains("missing"));
    assert!(!folder.path().join("run").exists());
}

/// The last line on stderr, an error, of a command that had other things to say before.
fn refused_last(output: &Output) -> String {
    let said = stderr_of(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    errors[0].to_owned()
}

#[test]
fn weights_that_changed_after_planning_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let save = |source: &str| {
        let weights = seeded(Card::as_published(source.to_owned()));
        weights.save(&path, NumberFormat::F32).unwrap();
    };
    save("the first");
    let (run, crops) = (folder.path().join("run"), crops(folder.path()));
    let arguments = [
        "plan",
        name(&crops),
        "--crops",
        "--device",
        "cpu",
        "--shards",
        "1",
        "--weights",
    ];
    succeeded(&output_of(
        [&arguments[..], &[name(&path), "--out", name(&run)]].concat(),
    ));
    let plan = run.join("plan.json");
    let shard = || {
        output_of([
            "annotate",
            "--plan",
            name(&plan),
            "--shard",
            "0",
            "--device",
            "cpu",
        ])
    };

    save("the second");
    let line = refused_last(&shard());
    assert!(line.contains("has changed since the run was planned"), "{line}");
    fs::remove_file(&path).unwrap();
    assert!(refused_last(&shard()).contains("weights.safetensors"));
    assert!(!run.join("frames/man.parquet").exists());
    save("the first");
    succeeded(&shard());
    let (rows, footer) = table_of(folder.path());
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter()
            .all(|row| row.raw.valence_arousal.is_some() && row.raw.all_action_units().is_some())
    );
    assert_eq!(
        (
            footer.weights[1].source.as_str(),
            footer.weights[1].weights.as_str()
        ),
        ("weights.safetensors", "trained")
    );
}

#[test]
fn weights_of_another_alignment_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let card = Card {
        alignment: TemplateSet::Arcface,
        ..Card::as_published("a test".to_owned())
    };
    seeded(card).save(&path, NumberFormat::F32).unwrap();
    let pipeline = folder.path().join("pipeline.toml");
    let video = root().join("sample_data/carphone.mp4");
    for (settings, warned) in [("", true), ("[alignment]\ntemplates = \"arcface\"\n", false)] {
        fs::write(&pipeline, settings).unwrap();
        let run = folder.path().join("run");
        let arguments = [
            "annotate",
            name(&video),
            "--limit-frames",
            "2",
            "--device",
            "cpu",
            "--force",
        ];
        let files = [
            "--weights",
            name(&path),
            "--pipeline",
            name(&pipeline),
            "--out",
            name(&run),
        ];
        let output = output_of([&arguments[..], &files].concat());
        succeeded(&output);
        let said = stderr_of(&output);
        assert_eq!(said.contains("aligned to arcface"), warned, "{said}");
    }
}

/// The authors' weights give the authors' numbers: reference checkpoint and crops beside the repository.
#[test]
fn golden_checkpoints_give_the_golden_numbers() {
    let Some(golden) = shared_golden() else { return };
    let cases: BTreeMap<String, Tensor> = Tensor::read_safetensors(golden.join("ddamfn_cases.safetensors"))
        .unwrap()
        .into_iter()
        .collect();
    let numbers =
        |name: &str, row: usize| -> Vec<f32> { Vec::try_from(cases[name].get(row as i64)).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let crops = folder.path().join("crops/man");
    fs::create_dir_all(&crops).unwrap();
    for row in 0..4 {
        let pixels: Vec<u8> = Vec::try_from(cases["eval.crops_rgb_u8"].get(row).flatten(0, -1)).unwrap();
        let picture = image::RgbImage::from_raw(112, 112, pixels).unwrap();
        picture.save(crops.join(format!("{:05}.png", row + 1))).unwrap();
    }
    let multitask = unpacked(&golden.join("ddamfn_multitask.pth.gz"), folder.path());
    for (checkpoint, is_multitask) in [
        (multitask, true),
        (golden.join("ddamfn_affectnet8_like.pth"), false),
    ] {
        let (weights, run) = (
            folder.path().join("weights.safetensors"),
            folder.path().join("run"),
        );
        let arguments = [
            "weights",
            "import",
            name(&checkpoint),
            "--force",
            "--out",
            name(&weights),
        ];
        succeeded(&output_of(arguments));
        let arguments = [
            "annotate",
            name(&crops),
            "--crops",
            "--force",
            "--device",
            "cpu",
            "--weights",
        ];
        succeeded(&output_of(
            [&arguments[..], &[name(&weights), "--out", name(&run)]].concat(),
        ));
        for (at, row) in table_of(folder.path()).0.iter().enumerate() {
            let close = |found: &[f32], expected: &[f32]| {
                assert_eq!(found.len(), expected.len());
                let furthest = found
                    .iter()
                    .zip(expected)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(furthest < 1e-4, "crop {at}: {found:?} is not {expected:?}");
            };
            let expression = row.raw.expression.unwrap();
            if is_multitask {
                let point = row.raw.valence_arousal.unwrap();
                close(&[point.valence, point.arousal], &numbers("eval.val_arousal", at));
                close(
                    &row.raw.all_action_units().unwrap(),
                    &numbers("eval.actions_sigmoid", at),
                );
                let eight = &numbers("eval.emotions_softmax", at)[..8];
                let sum: f32 = eight.iter().sum();
                close(&expression, &eight.iter().map(|p| p / sum).collect::<Vec<_>>());
            } else {
                let affectnet = numbers("affectnet8.softmax", at);
                close(
                    &expression,
                    &[0, 6, 5, 4, 1, 2, 3, 7].map(|class| affectnet[class]),
                );
            }
        }
    }
}

#[test]
fn a_listing_that_nobody_reads_on_ends_quietly() {
    let weights = root().join("models/ddamfn-demo.safetensors");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = abaw()
        .args(["weights", "show", name(&weights)])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr_of(&output), "");
}

#[test]
fn weak_expressions_are_marked_in_summary_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weak.safetensors");
    let card = Card {
        weak_expressions: Expression::ALL.to_vec(),
        ..Card::as_published("a test".to_owned())
    };
    seeded(card).save(&path, NumberFormat::F16).unwrap();
    let shown = succeeded(&output_of(["weights", "show", name(&path)]));
    assert!(shown.contains("weak           Neutral, Anger,"), "{shown}");

    let (run, pages) = (folder.path().join("run"), folder.path().join("pages"));
    let mut annotate = abaw();
    annotate
        .args(["annotate", "--device", "cpu", "--limit-frames", "4", "--weights"])
        .arg(&path)
        .arg(sample("carphone.mp4"))
        .arg("--out")
        .arg(&run);
    expect_exit(0, &mut annotate);
    let summary = succeeded(&output_of(["summary", name(&run)]));
    assert!(summary.contains("(weak) "), "{summary}");
    succeeded(&output_of(["report", name(&run), "--out", name(&pages)]));
    let overview = std::fs::read_to_string(pages.join("index.html")).unwrap();
    assert!(overview.contains("Neutral (weak)"));
    let data = files(&pages).into_iter().map(|file| std::fs::read(file).unwrap());
    let weak = b"\"weak\":[0,1,2,3,4,5,6,7]";
    assert!(
        data.into_iter()
            .any(|bytes| bytes.windows(weak.len()).any(|part| part == weak))
    );
}
