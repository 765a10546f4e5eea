//! Parts of the network against the original's numbers, in every clone.
//!
//! `tests/golden/ddamfn_parts.safetensors` is cut from the reference data (1.4 MB instead of
//! 21): one crop, the weights of `features.0` to `features.3`, of the attention heads, the
//! embedding and the output layers (`weights.*`, bf16, which is exact for them), and the
//! original's outputs. What lies between, `features.4` to `features.8`, repeats the same blocks
//! with other sizes; `model.rs` checks the whole network where the reference data is.

use abaw::frame::Picture;
use abaw::labels::{Affect, Expression};
use abaw::model::weights::Weights;
use abaw::model::{
    AffectNet, AlignedFace, Architecture, Ddamfn, InferenceForm, Mode, ModelError, NamedTensors, NotFinite,
    Precision, Predictor, Tasks, initial_weights,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::support::root;

fn parts() -> NamedTensors {
    let path = root().join("tests/golden/ddamfn_parts.safetensors");
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Random weights with the reference's where the parts hold them.
fn weights(parts: &NamedTensors) -> NamedTensors {
    let mut weights = initial_weights(&Architecture::MULTITASK, 1).unwrap();
    for (name, tensor) in parts {
        if let Some(name) = name.strip_prefix("weights.") {
            assert!(weights.contains_key(name), "the network has no {name}");
            weights.insert(name.to_owned(), tensor.shallow_clone());
        }
    }
    weights
}

fn network(weights: &NamedTensors, architecture: &Architecture) -> Ddamfn {
    Ddamfn::from_tensors(&VarStore::new(Device::Cpu), architecture, weights).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

fn crop(parts: &NamedTensors) -> AlignedFace {
    let bytes = Vec::<u8>::try_from(parts["crops_rgb_u8"].flatten(0, -1)).unwrap();
    AlignedFace::new(Picture::from_rgb(112, 112, bytes).unwrap()).unwrap()
}

#[test]
fn the_first_stages_give_the_originals_features() {
    let parts = parts();
    let network = network(&weights(&parts), &Architecture::MULTITASK);
    let mean = Tensor::from_slice(&[0.485f32, 0.456, 0.406]);
    let deviation = Tensor::from_slice(&[0.229f32, 0.224, 0.225]);
    let pixels = parts["crops_rgb_u8"].to_kind(Kind::Float) / 255.0;
    let x = ((pixels - mean) / deviation).permute([0, 3, 1, 2]).contiguous();
    let stages = no_grad(|| network.backbone().stage_outputs(&x)).unwrap();
    let found = stages[3].narrow(1, 0, 16);
    assert!(difference(&found, &parts["features_3_first_16_channels"]) <= 1e-4);
}

#[test]
fn attention_embedding_and_heads_give_the_originals_outputs() {
    let parts = parts();
    let network = network(&weights(&parts), &Architecture::MULTITASK);
    let outputs = no_grad(|| network.attend(&parts["features_out"], Mode::Inference)).unwrap();
    let heads = outputs.heads;
    for (name, found) in [
        ("embedding", outputs.embedding),
        ("val_arousal", heads.valence_arousal.unwrap()),
        ("emotions_logits", heads.expression_logits.unwrap()),
        ("actions_logits", heads.action_unit_logits.unwrap()),
    ] {
        let difference = difference(&found, &parts[name]);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn prepared_attention_gives_the_originals_outputs() {
    let parts = parts();
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.02)] {
        let mut network = network(&weights(&parts), &Architecture::MULTITASK);
        network
            .prepare(InferenceForm::fast(Device::Cpu, precision))
            .unwrap();
        let heads = no_grad(|| network.attend(&parts["features_out"], Mode::Inference))
            .unwrap()
            .heads;
        let softmax = |logits: &Tensor| logits.softmax(1, Kind::Float);
        for (name, found, expected) in [
            (
                "va",
                heads.valence_arousal.unwrap(),
                parts["val_arousal"].shallow_clone(),
            ),
            (
                "expression",
                softmax(&heads.expression_logits.unwrap()),
                softmax(&parts["emotions_logits"]),
            ),
            (
                "units",
                heads.action_unit_logits.unwrap().sigmoid(),
                parts["actions_logits"].sigmoid(),
            ),
        ] {
            let difference = difference(&found, &expected);
            println!("{precision}, {name}: {difference:e}");
            assert!(difference <= tolerance, "{precision}, {name}: {difference:e}");
        }
    }
}

fn predict(
    weights: &NamedTensors,
    architecture: &Architecture,
    form: InferenceForm,
    face: &AlignedFace,
) -> Affect {
    let predictor = Predictor::new(weights, architecture, form).unwrap();
    predictor.predict(&[face]).unwrap().remove(0)
}

#[test]
fn the_fast_form_predicts_what_the_plain_one_does() {
    let parts = parts();
    let face = crop(&parts);
    // Random weights let what is rounded grow on its way, ten million times in the sixteen blocks of one stage; trained
    // ones do not.
    let shipped = root().join("models/ddamfn-demo.safetensors");
    let shipped = Weights::load(&shipped).unwrap();
    for (weights, architecture, precision, tolerance) in [
        (shipped.tensors(), shipped.architecture(), Precision::F32, 1e-4),
        (shipped.tensors(), shipped.architecture(), Precision::Bf16, 0.02),
    ] {
        let predict = |form| predict(weights, architecture, form, &face);
        let plain = predict(InferenceForm::plain(Device::Cpu));
        let fast = predict(InferenceForm::fast(Device::Cpu, precision));
        let pairs = plain
            .expression
            .unwrap()
            .into_iter()
            .zip(fast.expression.unwrap());
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference <= tolerance, "{precision}: {difference}");
        assert!((fast.expression.unwrap().iter().sum::<f32>() - 1.0).abs() <= 1e-5);
    }
}

#[test]
fn the_fast_form_of_random_weights_agrees_as_far_as_rounding_does_not_grow() {
    let parts = parts();
    let random = weights(&parts);
    let plain = network(&random, &Architecture::MULTITASK);
    let mut fast = network(&random, &Architecture::MULTITASK);
    fast.prepare(InferenceForm::fast(Device::Cpu, Precision::F32))
        .unwrap();
    let pixels = parts["crops_rgb_u8"].to_kind(Kind::Float) / 127.5 - 1.0;
    let x = pixels.permute([0, 3, 1, 2]).contiguous();
    let stages = |network: &Ddamfn| no_grad(|| network.backbone().stage_outputs(&x)).unwrap();
    for (stage, (plain, fast)) in stages(&plain).iter().zip(stages(&fast)).enumerate().take(5) {
        let scale = plain.abs().max().double_value(&[]);
        let off = difference(plain, &fast) / scale;
        assert!(off <= 2e-5, "stage {stage}: {off}");
    }
}

#[test]
fn the_ninth_output_is_no_class() {
    let parts = parts();
    let mut weights = weights(&parts);
    let form = InferenceForm::plain(Device::Cpu);
    let before = predict(&weights, &Architecture::MULTITASK, form, &crop(&parts));
    let bias = weights["custom_classifier.emotions.bias"].copy();
    let _ = bias.get(8).fill_(1e3);
    weights.insert("custom_classifier.emotions.bias".to_owned(), bias);
    let after = predict(&weights, &Architecture::MULTITASK, form, &crop(&parts));
    assert_eq!(before, after);
}

/// Weights for another head, with what fits of the given ones.
fn refitted(weights: &NamedTensors, architecture: &Architecture) -> NamedTensors {
    let mut refitted = initial_weights(architecture, 2).unwrap();
    for (name, tensor) in &mut refitted {
        if let Some(weight) = weights.get(name).filter(|weight| weight.size() == tensor.size()) {
            *tensor = weight.shallow_clone();
        }
    }
    refitted
}

#[test]
fn a_network_says_only_what_it_has_output_layers_for() {
    let parts = parts();
    let architecture = Architecture::Linear(Tasks {
        valence_arousal: false,
        expressions: None,
        action_units: true,
    });
    let weights = refitted(&weights(&parts), &architecture);
    let affect = predict(
        &weights,
        &architecture,
        InferenceForm::plain(Device::Cpu),
        &crop(&parts),
    );
    assert_eq!((affect.valence_arousal, affect.expression), (None, None));
    assert!(
        affect
            .all_action_units()
            .unwrap()
            .iter()
            .all(|p| (0.0..=1.0).contains(p))
    );
}

#[test]
fn affectnet_classes_are_turned_into_abaws() {
    let parts = parts();
    // One class after the other is made certain by its bias.
    let expected = [
        "Neutral",
        "Happiness",
        "Sadness",
        "Surprise",
        "Fear",
        "Disgust",
        "Anger",
        "Other",
    ];
    for architecture in [
        Architecture::Official(AffectNet::Eight),
        Architecture::Official(AffectNet::Seven),
    ] {
        let mut weights = refitted(&weights(&parts), &architecture);
        let classes = architecture.class_order().unwrap().expressions().len();
        for (class, expected) in expected.iter().enumerate().take(classes) {
            let bias: Vec<f32> = (0..classes).map(|i| if i == class { 1e4 } else { 0.0 }).collect();
            weights.insert("fc.bias".to_owned(), Tensor::from_slice(&bias));
            let affect = predict(
                &weights,
                &architecture,
                InferenceForm::plain(Device::Cpu),
                &crop(&parts),
            );
            let probabilities = affect.expression.unwrap();
            assert_eq!(Expression::most_probable(&probabilities).name(), *expected);
            assert_eq!((affect.valence_arousal, affect.action_units), (None, [None; 12]));
        }
    }
}

#[test]
fn weights_that_do_not_fit_are_all_listed() {
    let mut weights = initial_weights(&Architecture::MULTITASK, 1).unwrap();
    weights.remove("Linear.bn.running_var");
    weights.remove("features.8.prelu.weight");
    weights.insert(
        "features.1.conv.weight".to_owned(),
        Tensor::zeros([64, 1, 5, 5], (Kind::Float, Device::Cpu)),
    );
    let error =
        Ddamfn::from_tensors(&VarStore::new(Device::Cpu), &Architecture::MULTITASK, &weights).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the weights do not fit the DDAMFN with a hidden layer and valence/arousal, 9 expressions, 12 action units: \
         missing Linear.bn.running_var, features.8.prelu.weight; \
         misshapen features.1.conv.weight is [64, 1, 5, 5] instead of [64, 1, 3, 3]"
    );
}

#[test]
fn outputs_that_are_no_numbers_are_an_error() {
    let parts = parts();
    let mut weights = weights(&parts);
    let bias = Tensor::from_slice(&[0.0f32, f32::NAN]);
    weights.insert("custom_classifier.val_arousal.bias".to_owned(), bias);
    let predictor = Predictor::new(
        &weights,
        &Architecture::MULTITASK,
        InferenceForm::plain(Device::Cpu),
    )
    .unwrap();
    let error = predictor.predict(&[&crop(&parts)]).unwrap_err();
    assert!(matches!(
        error,
        ModelError::NotFinite {
            crop: 0,
            output: NotFinite::ValenceArousal
        }
    ));
}

#[test]
fn no_faces_are_no_predictions() {
    let weights = initial_weights(&Architecture::MULTITASK, 1).unwrap();
    let predictor = Predictor::new(
        &weights,
        &Architecture::MULTITASK,
        InferenceForm::plain(Device::Cpu),
    )
    .unwrap();
    assert!(predictor.predict(&[]).unwrap().is_empty());
}

#[test]
fn half_precision_on_the_cpu_is_refused() {
    let weights = initial_weights(&Architecture::MULTITASK, 1).unwrap();
    let form = InferenceForm::fast(Device::Cpu, Precision::F16);
    let error = Predictor::new(&weights, &Architecture::MULTITASK, form).unwrap_err();
    assert!(matches!(error, ModelError::NeedsCuda(Precision::F16)));
}

#[test]
fn the_form_in_words() {
    let form = InferenceForm::fast(Device::Cuda(1), Precision::Bf16);
    assert_eq!(form.to_string(), "cuda:1, bf16, folded batch normalisation");
    assert_eq!(InferenceForm::plain(Device::Cpu).to_string(), "cpu, f32");
}
