//! What the overview shows of a run's weights.

use std::fs;

use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};
use serde_json::json;

use crate::browser::{Job, look};
use crate::pages::strings;
use crate::report;
use crate::support::{abaw_with, sample, stderr_of};

#[test]
fn the_card_of_trained_weights_is_shown_while_their_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let weights = at("network.safetensors");
    let tensors = initial_weights(&Architecture::MULTITASK, 7).unwrap();
    // A seeded network that passes for trained: cards are believed.
    let network = Weights::new(tensors, Card::as_published("a <test>".to_owned())).unwrap();
    network.save(&weights, NumberFormat::F32).unwrap();
    let mut annotate = abaw_with(&[&"annotate", &"--device", &"cpu", &"--limit-frames", &"3"]);
    let done = annotate
        .arg(sample("astronaut.mp4"))
        .arg("--out")
        .arg(at("run"))
        .arg("--weights")
        .arg(&weights)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr_of(&done));
    assert!(report(&at("run"), &at("known"), None).status.success());
    fs::remove_file(&weights).unwrap();
    assert!(report(&at("run"), &at("gone"), None).status.success());

    let page = |out: &str| {
        Job::new(&at(out).join("index.html"), 1280)
            .then("text", &[json!(".weights")])
            .then("text", &[json!(".warning")])
    };
    let seen = look(vec![page("known"), page("gone")]);
    let network = |at: usize| strings(&seen[at]["did"][0])[1].to_owned();
    for said in [
        "network.safetensors trained",
        "sha256",
        "112 x 112 RGB",
        "a <test>",
        "not stated",
        "thresholds are 0.5",
    ] {
        assert!(network(0).contains(said), "{}", network(0));
    }
    assert!(
        network(1).contains("network.safetensors: No such file"),
        "{}",
        network(1)
    );
    for page in &seen {
        assert_eq!(page["did"][1], json!([]), "no warning of untrained weights");
    }
}
