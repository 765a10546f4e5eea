//! `--features`: the network's feature of every face, beside the table.

use std::path::Path;
use std::process::Command;

use abaw::crops::read_crop;
use abaw::model::weights::Weights;
use abaw::model::{Ddamfn, Mode};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::support::workspace::Workspace;
use crate::support::{errors, expect_exit, golden, root, stderr_of, table};

/// What pyarrow reads of the features of a video.
fn read(run: &Path, id: &str) -> Value {
    let output = Command::new("python3")
        .arg(root().join("tests/python/read_features.py"))
        .arg(run.join(format!("features/{id}.parquet")))
        .env("PYTHONPATH", root().join(".deps/python"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr_of(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn there_is_a_feature_for_each_face_and_it_is_made_again_if_lost() {
    let workspace = Workspace::new();
    let clips = [
        workspace.face_clip("a/v.mkv", 12),
        workspace.clip("a/nobody.mkv", 3),
    ];
    let run = workspace.path("run");
    let annotate = |options: &[&str]| workspace.annotate_with(options, &[workspace.path("a")], &run);
    expect_exit(0, &mut annotate(&["--features"]));
    let read_again = || read(&run, "v");
    let found = read_again();
    assert_eq!(
        found["types"]["feature"],
        "fixed_size_list<item: halffloat not null>[512]"
    );
    assert_eq!(found["types"]["frame"], "int32");
    assert_eq!(found["videos"], serde_json::json!(["v"]));
    let (rows, footer) = table(&run, "v");
    let seen = rows.iter().filter(|row| row.sighting.is_face());
    let seen: Vec<(u32, u16)> = seen
        .map(|row| (row.frame.number(), row.person.unwrap().0))
        .collect();
    assert!(seen.len() >= 10);
    let frames = numbers(&found["frames"])
        .into_iter()
        .zip(numbers(&found["persons"]));
    let frames: Vec<(u32, u16)> = frames
        .map(|(frame, person)| (frame as u32, person as u16))
        .collect();
    assert_eq!(frames, seen);
    assert_eq!(
        found["card"]["weights"],
        serde_json::to_value(&footer.weights).unwrap()
    );
    assert_eq!(read(&run, "nobody")["frames"], serde_json::json!([]));
    assert_eq!(clips.len(), 2);

    // Without its features a video is not done.
    let lost = run.join("features/v.parquet");
    std::fs::remove_file(&lost).unwrap();
    expect_exit(0, &mut annotate(&["--features"]));
    assert_eq!(read_again(), found);
    let without = annotate(&[]).output().unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(errors(&without)[0].contains("features"), "{:?}", errors(&without));
}

/// Beside the network in f32 as it is in training, which golden numbers hold to PyTorch's (`tests/model/ddamfn.rs`).
#[test]
fn features_are_those_of_the_original_network() {
    let workspace = Workspace::new();
    let folder = workspace.path("crops/v");
    std::fs::create_dir_all(&folder).unwrap();
    let picture = image::open(golden("face/images/portrait_odd_size.png"))
        .unwrap()
        .into_rgb8();
    let weights = Weights::load(&root().join("models/ddamfn-demo.safetensors")).unwrap();
    let mut crops = Vec::new();
    for number in 1..=3 {
        let path = folder.join(format!("{number:05}.png"));
        let crop = image::imageops::crop_imm(&picture, 80 + 20 * number, 100, 112, 112);
        crop.to_image().save(&path).unwrap();
        let pixels = read_crop(&path).unwrap();
        let normalisation = weights.card.normalisation;
        let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([3, 1, 1]);
        let pixels = Tensor::from_slice(pixels.rgb())
            .view([112, 112, 3])
            .permute([2, 0, 1]);
        let pixels = pixels.to_kind(Kind::Float) / 255.0;
        crops.push((pixels - channel(normalisation.mean)) / channel(normalisation.std));
    }
    let run = workspace.path("run");
    expect_exit(
        0,
        &mut workspace.annotate_with(&["--crops", "--features"], &[workspace.path("crops")], &run),
    );
    let found = read(&run, "v");
    let store = VarStore::new(Device::Cpu);
    let network = Ddamfn::from_tensors(&store, weights.architecture(), weights.tensors()).unwrap();
    let outputs = no_grad(|| network.forward(&Tensor::stack(&crops, 0), Mode::Inference)).unwrap();
    for (at, feature) in found["features"].as_array().unwrap().iter().enumerate() {
        let expected = Vec::<f32>::try_from(outputs.embedding.get(at as i64)).unwrap();
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (found, expected) in numbers(feature).into_iter().zip(expected) {
            let difference = (found - f64::from(expected)).abs();
            assert!(
                difference <= 1e-3 * f64::from(largest),
                "{found} is not {expected}"
            );
        }
    }
}
