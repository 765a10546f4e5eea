//! What a recipe trains: all layers or some, all tasks or one; and that it learns.

use std::collections::HashMap;

use abaw::model::weights::Weights;
use serde_json::Value;

use super::small_data_set::SmallDataSet;

use crate::support::{abaw, stderr_of};

#[test]
fn a_frozen_backbone_keeps_every_bit_and_the_classifier_learns() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1", "average = 0.0"]);
    set.trained("start");
    set.recipe(&[
        "start = \"start/last.safetensors\"",
        "average = 0.0",
        "epochs = 2",
        "layers = \"classifier\"",
    ]);
    set.trained("heads");
    let weights = |out: &str| Weights::load(&set.path(out).join("last.safetensors")).unwrap();
    let (before, after) = (weights("start"), weights("heads"));
    for (name, tensor) in after.tensors() {
        let same = tensor.equal(&before.tensors()[name]);
        assert_eq!(same, !name.starts_with("custom_classifier."), "{name}");
    }
}

#[test]
fn one_task_alone_gives_a_network_of_one_task_that_annotates() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1", "tasks = [\"va\"]"]);
    let trained = set.trained("va");
    assert_eq!(trained.epochs[0]["losses"]["expression"], Value::Null);
    assert!(trained.epochs[0]["losses"]["valence_arousal"].is_f64());
    let annotated = abaw()
        .args(["annotate", "--crops", "--device", "cpu"])
        .arg(set.path("crops"))
        .arg("--out")
        .arg(set.path("run"))
        .arg("--weights")
        .arg(set.path("va/best.safetensors"))
        .output()
        .unwrap();
    assert!(annotated.status.success(), "{}", stderr_of(&annotated));
    assert!(stderr_of(&annotated).contains("no output for expressions and action units"));
}

/// 24 images are learnt by heart: without augmentation every loss falls, and the scores tell.
#[test]
fn it_learns_with_every_optimiser_and_in_mixed_precision() {
    for setting in [
        "precision = \"bf16\"",
        "optimizer = { name = \"adamw\", learning_rate = 2e-3, weight_decay = 0.01 }",
        "optimizer = { name = \"sam\", learning_rate = 2e-3, rho = 0.05 }",
    ] {
        let set = SmallDataSet::new();
        set.recipe(&[
            setting,
            "epochs = 6",
            "average = 0.0",
            "[augmentation]=",
            "colour = { }",
            "schedule = { name = \"constant\" }",
        ]);
        let text = std::fs::read_to_string(set.path("recipe.toml")).unwrap();
        let still =
            "[augmentation]\nflip = 0.0\naffine = { probability = 0.0 }\nerasing = { probability = 0.0 }";
        std::fs::write(set.path("recipe.toml"), text.replace("[augmentation]=", still)).unwrap();
        let epochs = set.trained("run").epochs;
        let loss = |epoch: usize, task: &str| epochs[epoch]["losses"][task].as_f64().unwrap();
        for task in ["valence_arousal", "expression", "action_units"] {
            let (first, last) = (loss(0, task), loss(5, task));
            println!("{setting}: {task} {first:.3} -> {last:.3}");
            assert!(last < 0.9 * first, "{task}: {first} -> {last}");
        }
    }
}

/// Mixed precision: other weights, and the same bytes again.
#[test]
fn maps_of_bf16_give_other_weights_but_always_the_same() {
    let set = SmallDataSet::new();
    let trained = |precision: &str, out: &str| {
        set.recipe(&["epochs = 1", &format!("precision = \"{precision}\"")]);
        set.trained(out)
    };
    let (f32, bf16) = (trained("f32", "f32"), trained("bf16", "bf16"));
    assert!(f32.weights != bf16.weights);
    assert!(trained("bf16", "again") == bf16);
}

/// Images in a `.tar` file, with their labels in folders of one task each: the same weights.
#[test]
fn tar_files_and_label_folders_are_the_same_data_set() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1"]);
    let folders = set.trained("folders");

    let mut archive = tar::Builder::new(std::fs::File::create(set.path("crops.tar")).unwrap());
    archive
        .append_dir_all("cropped_aligned", set.path("crops"))
        .unwrap();
    archive.finish().unwrap();
    let mtl = std::fs::read_to_string(set.path("labels.txt")).unwrap();
    let mut tasks: HashMap<&str, Vec<String>> = HashMap::from([
        ("VA_Estimation_Challenge", vec!["valence,arousal".to_owned()]),
        (
            "EXPR_Recognition_Challenge",
            vec!["Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other".to_owned()],
        ),
        (
            "AU_Detection_Challenge",
            vec!["AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26".to_owned()],
        ),
    ]);
    for line in mtl.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let mut push = |task: &str, values: &[&str]| tasks.get_mut(task).unwrap().push(values.join(","));
        push("VA_Estimation_Challenge", &fields[1..3]);
        push("EXPR_Recognition_Challenge", &fields[3..4]);
        push("AU_Detection_Challenge", &fields[4..]);
    }
    for (task, lines) in tasks {
        let folder = set.path("annotations").join(task).join("Train_Set");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("v.txt"), lines.join("\n")).unwrap();
    }
    set.recipe(&[
        "epochs = 1",
        "train = { labels = \"annotations\", images = \"crops.tar\" }",
    ]);
    assert!(set.trained("archive").weights == folders.weights);
}
