//! The network that tells people apart, against dlib's own numbers.

use std::path::{Path, PathBuf};

use abaw::error_chain::sentence;
use abaw::model::IdentityNetwork;
use serde::Deserialize;

use crate::support::{read_json, read_picture};

#[derive(Deserialize)]
struct Golden {
    chips: Vec<GoldenChip>,
}

#[derive(Deserialize)]
struct GoldenChip {
    /// 150x150 pixels.
    chip: PathBuf,
    feature: Vec<f32>,
}

/// The weights are stored in half precision, dlib's are not. A feature's length is 1.4.
const MOST: f32 = 2e-3;

#[test]
fn features_are_those_of_dlib() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let network = IdentityNetwork::open(&root.join("models/dlib-resnet-v1.safetensors")).unwrap();
    let folder = root.join("tests/golden/identity");
    let golden: Golden = read_json(&folder.join("features.json"));
    for GoldenChip { chip, feature } in &golden.chips {
        let picture = read_picture(&folder.join(chip));
        let found = network.features(&[picture.clone(), picture]).unwrap();
        assert_eq!(found[0], found[1], "a feature does not depend on what was before");
        let apart = |(a, b): (&f32, &f32)| (a - b).abs();
        let greatest = found[0].iter().zip(feature).map(apart).fold(0.0, f32::max);
        println!("{}: {greatest}", chip.display());
        assert_eq!(feature.len(), found[0].len());
        assert!(greatest < MOST, "{}: {greatest}", chip.display());
    }
}

#[test]
fn other_weights_and_half_a_file_are_refused_at_once() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let error = IdentityNetwork::open(&models.join("ddamfn-demo.safetensors")).unwrap_err();
    assert!(error.to_string().contains("ddamfn-demo.safetensors"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("half.safetensors");
    let bytes = std::fs::read(models.join("dlib-resnet-v1.safetensors")).unwrap();
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let error = sentence(&IdentityNetwork::open(&half).unwrap_err());
    assert!(
        error.contains("half.safetensors") && error.contains("ends before"),
        "{error}"
    );
}
