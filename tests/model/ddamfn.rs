//! DDAMFN against the numbers of PyTorch: with the weights that come with the program, in every clone
//! (`tests/golden/ddamfn/`); with the original's weights, layer by layer, where their 18 MB are (`../shared/golden`,
//! README "DDAMFN").

use std::collections::BTreeMap;
use std::path::PathBuf;

use abaw::frame::Picture;
use abaw::labels::Affect;
use abaw::model::weights::Weights;
use abaw::model::{
    AlignedFace, Architecture, Ddamfn, InferenceForm, Mode, NamedTensors, Outputs, Precision, Predictor,
    is_unused, parameter_shapes,
};
use abaw::training::{ActionUnitMask, Adam, Labels, LossWeights, Losses, OptimizerSettings, ccc};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::support::{golden, root, shared_golden};

/// The reference data, if this machine has it.
struct Golden {
    folder: PathBuf,
    weights: NamedTensors,
    cases: NamedTensors,
}

impl Golden {
    fn find() -> Option<Self> {
        let folder = shared_golden()?;
        tch::set_num_threads(1);
        let read = |file: &str| {
            Tensor::read_safetensors(folder.join(file))
                .unwrap()
                .into_iter()
                .collect()
        };
        Some(Self {
            weights: read("ddamfn_multitask.safetensors"),
            cases: read("ddamfn_cases.safetensors"),
            folder,
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.join("ddamfn_cases.json")).unwrap()).unwrap()
    }

    fn case(&self, name: &str) -> &Tensor {
        &self.cases[name]
    }

    fn crops(&self, name: &str) -> Vec<AlignedFace> {
        let pixels = self.case(name);
        (0..pixels.size()[0]).map(|i| face(&pixels.get(i))).collect()
    }

    fn predictor(&self, form: InferenceForm) -> Predictor {
        Predictor::new(&self.weights, &Architecture::MULTITASK, form).unwrap()
    }
}

fn face(pixels: &Tensor) -> AlignedFace {
    let bytes = Vec::<u8>::try_from(pixels.flatten(0, -1)).unwrap();
    AlignedFace::new(Picture::from_rgb(112, 112, bytes).unwrap()).unwrap()
}

/// Largest absolute difference of two tensors.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

fn assert_near(what: &str, found: &Tensor, golden: &Tensor, tolerance: f64) {
    let difference = difference(found, golden);
    println!("{what}: {difference:.2e}");
    assert!(difference <= tolerance, "{what} is off by {difference:e}");
}

/// The cases are made by an implementation that gives the original's numbers with the original's weights
/// (`make_cases.py`).
#[test]
fn the_weights_that_come_along_predict_what_pytorch_does() {
    let cases: NamedTensors = Tensor::read_safetensors(golden("ddamfn/cases.safetensors"))
        .unwrap()
        .into_iter()
        .collect();
    let crops = &cases["crops"];
    let crops: Vec<_> = (0..crops.size()[0]).map(|i| face(&crops.get(i))).collect();
    let faces: Vec<_> = crops.iter().collect();
    let expected = probabilities(
        &cases["val_arousal"],
        &cases["emotions_logits"],
        &cases["actions_logits"].sigmoid(),
    );
    for form in [
        InferenceForm::plain(Device::Cpu),
        InferenceForm::fast(Device::Cpu, Precision::F32),
    ] {
        let difference = apart(&predict(&shipped(form), &faces), &expected);
        println!("{form}: {difference:.2e}");
        assert!(difference <= 1e-4, "{form} is off by {difference}");
    }
}

#[test]
fn every_layer_gives_the_originals_numbers() {
    let Some(golden) = Golden::find() else { return };
    let store = VarStore::new(Device::Cpu);
    let network = Ddamfn::from_tensors(&store, &Architecture::MULTITASK, &golden.weights).unwrap();
    no_grad(|| {
        let x = golden.case("eval.x");
        let stages = network.backbone().stage_outputs(x).unwrap();
        for stage in [0, 2, 3, 4, 5, 6, 7] {
            let name = format!("eval.features_{stage}_first");
            assert_near(&name, &stages[stage].narrow(0, 0, 1), golden.case(&name), 1e-4);
        }
        let outputs = network.forward(x, Mode::Inference).unwrap();
        let heads = &outputs.heads;
        // The embedding's values reach 32: the original's own float32 is 8e-5 from its float64.
        for (name, found, tolerance) in [
            ("eval.features_out", &stages[8], 1e-4),
            ("eval.head_0", &outputs.attention[0], 1e-4),
            ("eval.head_1", &outputs.attention[1], 1e-4),
            ("eval.embedding", &outputs.embedding, 2e-4),
            ("eval.val_arousal", heads.valence_arousal.as_ref().unwrap(), 1e-4),
            (
                "eval.emotions_logits",
                heads.expression_logits.as_ref().unwrap(),
                1e-4,
            ),
            (
                "eval.actions_logits",
                heads.action_unit_logits.as_ref().unwrap(),
                1e-4,
            ),
        ] {
            assert_near(name, found, golden.case(name), tolerance);
        }
    });
}

#[test]
fn the_checkpoint_holds_the_networks_parameters_and_known_unused_ones() {
    let Some(golden) = Golden::find() else { return };
    let shapes: BTreeMap<_, _> = golden
        .weights
        .iter()
        .map(|(name, t)| (name.clone(), t.size()))
        .collect();
    let architecture = Architecture::of_shapes(&shapes).unwrap();
    assert_eq!(architecture, Architecture::MULTITASK);
    let used: BTreeMap<_, _> = shapes.into_iter().filter(|(name, _)| !is_unused(name)).collect();
    assert_eq!(used, parameter_shapes(&architecture).unwrap());
}

/// The predictions of the reference crops.
fn reference(golden: &Golden) -> Vec<[f32; 22]> {
    probabilities(
        golden.case("eval.val_arousal"),
        golden.case("eval.emotions_logits"),
        golden.case("eval.actions_sigmoid"),
    )
}

/// The original's outputs as a table holds them; of its expressions, the 8 classes of ABAW.
fn probabilities(valence_arousal: &Tensor, emotion_logits: &Tensor, action_units: &Tensor) -> Vec<[f32; 22]> {
    let emotions = emotion_logits.narrow(1, 0, 8).softmax(1, Kind::Float);
    let rows = Tensor::cat(&[valence_arousal, &emotions, action_units], 1);
    (0..rows.size()[0])
        .map(|i| Vec::<f32>::try_from(rows.get(i)).unwrap().try_into().unwrap())
        .collect()
}

fn flat(affect: &Affect) -> [f32; 22] {
    let va = affect.valence_arousal.unwrap();
    let mut row = vec![va.valence, va.arousal];
    row.extend(affect.expression.unwrap());
    row.extend(affect.all_action_units().unwrap());
    row.try_into().unwrap()
}

/// Largest absolute difference of two tables of predictions.
fn apart(a: &[[f32; 22]], b: &[[f32; 22]]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .flatten()
        .zip(b.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn predict(predictor: &Predictor, faces: &[&AlignedFace]) -> Vec<[f32; 22]> {
    predictor.predict(faces).unwrap().iter().map(flat).collect()
}

#[test]
fn every_inference_form_predicts_what_the_original_does() {
    let Some(golden) = Golden::find() else { return };
    let crops = golden.crops("eval.crops_rgb_u8");
    let faces: Vec<_> = crops.iter().collect();
    let expected = reference(&golden);
    for (form, tolerance) in [
        (InferenceForm::plain(Device::Cpu), 1e-4),
        (InferenceForm::fast(Device::Cpu, Precision::F32), 1e-4),
    ] {
        let predictions = predict(&golden.predictor(form), &faces);
        let difference = apart(&predictions, &expected);
        println!("{form}: {difference:.2e}");
        assert!(difference <= tolerance, "{form} is off by {difference}");
        for row in predictions {
            assert!((row[2..10].iter().sum::<f32>() - 1.0).abs() <= 1e-5);
        }
    }
}

/// The weights that come with the program: rounding stays small in a trained network, where the random
/// reference weights let it grow.
fn shipped(form: InferenceForm) -> Predictor {
    let path = root().join("models/ddamfn-demo.safetensors");
    let weights = Weights::load(&path).unwrap();
    Predictor::new(weights.tensors(), weights.architecture(), form).unwrap()
}

#[test]
fn bf16_predicts_what_f32_does() {
    let Some(golden) = Golden::find() else { return };
    let mut crops = golden.crops("eval.crops_rgb_u8");
    crops.extend(sixteen(&golden));
    let faces: Vec<_> = crops.iter().collect();
    let exact = predict(&shipped(InferenceForm::fast(Device::Cpu, Precision::F32)), &faces);
    let rounded = predict(
        &shipped(InferenceForm::fast(Device::Cpu, Precision::Bf16)),
        &faces,
    );
    let difference = apart(&rounded, &exact);
    println!("bf16: {difference:.2e}");
    assert!(0.0 < difference && difference <= 0.02, "{difference}");
}

/// Sixteen different crops: the reference's eight, and those mirrored.
fn sixteen(golden: &Golden) -> Vec<AlignedFace> {
    let crops = golden.case("train.crops_rgb_u8");
    let all = Tensor::cat(&[crops, &crops.flip([2])], 0);
    (0..16).map(|i| face(&all.get(i))).collect()
}

#[test]
fn a_prediction_does_not_depend_on_its_place_in_the_batch() {
    let Some(golden) = Golden::find() else { return };
    let crops = sixteen(&golden);
    for precision in [Precision::F32, Precision::Bf16] {
        let predictor = golden.predictor(InferenceForm::fast(Device::Cpu, precision));
        let faces: Vec<_> = crops.iter().collect();
        let reversed: Vec<_> = crops.iter().rev().collect();
        let mut turned = predict(&predictor, &reversed);
        turned.reverse();
        assert_eq!(predict(&predictor, &faces), turned, "{precision}");
    }
}

#[test]
fn a_prediction_hardly_depends_on_the_size_of_the_batch() {
    let Some(golden) = Golden::find() else { return };
    let crops = sixteen(&golden);
    let faces: Vec<_> = crops.iter().collect();
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.02)] {
        let predictor = shipped(InferenceForm::fast(Device::Cpu, precision));
        let whole = predict(&predictor, &faces);
        for size in [1, 5] {
            let parts: Vec<_> = faces
                .chunks(size)
                .flat_map(|faces| predict(&predictor, faces))
                .collect();
            let difference = apart(&parts, &whole);
            println!("{precision}, batches of {size} and 16: {difference:.2e}");
            assert!(difference <= tolerance, "{precision}, {size}: {difference}");
        }
    }
}

#[test]
fn clones_in_threads_predict_the_same() {
    let Some(golden) = Golden::find() else { return };
    let crops = golden.crops("eval.crops_rgb_u8");
    let predictor = golden.predictor(InferenceForm::fast(Device::Cpu, Precision::F32));
    let expected = predict(&predictor, &crops.iter().collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let clone = predictor.clone();
            let (crops, expected) = (&crops, &expected);
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(
                        apart(&predict(&clone, &crops.iter().collect::<Vec<_>>()), expected),
                        0.0
                    );
                }
            });
        }
    });
}

/// The labels of the reference training batch, or those with invalid ones ("masked").
fn labels(golden: &Golden, set: &str, kind: Kind) -> Labels {
    let case = |name: &str| golden.case(&format!("{set}.{name}"));
    Labels {
        valence_arousal: case("valence_arousal").to_kind(kind),
        expression: case("emotion").shallow_clone(),
        action_units: case("aus").to_kind(kind),
    }
}

/// The reference training batch as the network's input.
fn training_crops(golden: &Golden, kind: Kind) -> Tensor {
    let mean = Tensor::from_slice(&[0.485f32, 0.456, 0.406]);
    let deviation = Tensor::from_slice(&[0.229f32, 0.224, 0.225]);
    let crops = golden.case("train.crops_rgb_u8").to_kind(Kind::Float) / 255.0;
    ((crops - mean) / deviation)
        .permute([0, 3, 1, 2])
        .contiguous()
        .to_kind(kind)
}

/// The network in double precision, with its variables.
fn double_network(golden: &Golden) -> (VarStore, Ddamfn) {
    let mut store = VarStore::new(Device::Cpu);
    store.set_kind(Kind::Double);
    let network = Ddamfn::from_tensors(&store, &Architecture::MULTITASK, &golden.weights).unwrap();
    (store, network)
}

fn assert_equal(what: &str, found: f64, golden: f64, tolerance: f64) {
    let off = (found - golden).abs() / golden.abs().max(1.0);
    assert!(off <= tolerance, "{what}: {found} instead of {golden}");
}

fn value(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

/// Every term of the loss, as the reference's JSON names them.
fn terms(outputs: &Outputs, losses: &Losses, labels: &Labels) -> Vec<(&'static str, f64)> {
    let va = outputs.heads.valence_arousal.as_ref().unwrap();
    let concordance = |i| value(&ccc(&va.select(1, i), &labels.valence_arousal.select(1, i)).unwrap());
    vec![
        ("ccc_valence", concordance(0)),
        ("ccc_arousal", concordance(1)),
        ("loss_va", value(losses.valence_arousal.as_ref().unwrap())),
        ("loss_expr", value(losses.expression.as_ref().unwrap())),
        ("loss_au", value(losses.action_units.as_ref().unwrap())),
        ("attention_raw", value(losses.attention.as_ref().unwrap())),
        ("total", value(&losses.total(&LossWeights::default()).unwrap())),
    ]
}

#[test]
fn twenty_training_steps_in_double_follow_the_original() {
    let Some(golden) = Golden::find() else { return };
    let json = golden.json();
    let expected = &json["train"]["ours"];
    let (store, network) = double_network(&golden);
    let (crops, labels) = (
        training_crops(&golden, Kind::Double),
        labels(&golden, "train", Kind::Double),
    );
    let mut trained: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    trained.retain(|(_, tensor)| tensor.requires_grad());
    let settings = OptimizerSettings::Adam { learning_rate: 1e-4 };
    let mut optimizer = Adam::new(&trained, &settings).unwrap();
    for (step, expected_terms) in expected["curve_float64"].as_array().unwrap().iter().enumerate() {
        let outputs = network.forward(&crops, Mode::Training).unwrap();
        let losses = Losses::of(&outputs, &labels, ActionUnitMask::Rows, None).unwrap();
        for (name, found) in terms(&outputs, &losses, &labels) {
            let golden = expected_terms[name].as_f64().unwrap();
            assert_equal(&format!("{name} after {step} steps"), found, golden, 1e-8);
        }
        if step == 20 {
            break;
        }
        for (_, tensor) in &mut trained {
            tensor.zero_grad();
        }
        losses.total(&LossWeights::default()).unwrap().backward();
        if step == 0 {
            let variables = store.variables();
            for (name, norm) in expected["gradient_norms_float64"].as_object().unwrap() {
                let found = value(&variables[name].grad().norm());
                assert_equal(
                    &format!("gradient of {name}"),
                    found,
                    norm.as_f64().unwrap(),
                    1e-8,
                );
            }
        }
        let gradients: Vec<Option<Tensor>> = trained
            .iter()
            .map(|(_, tensor)| Some(tensor.grad()).filter(Tensor::defined))
            .collect();
        optimizer.step(&gradients, 1e-4).unwrap();
    }
    let outputs = no_grad(|| network.forward(&crops, Mode::Inference)).unwrap();
    let heads = &outputs.heads;
    for (name, found) in [
        (
            "val_arousal",
            heads.valence_arousal.as_ref().unwrap().shallow_clone(),
        ),
        (
            "emotions_softmax",
            heads.expression_logits.as_ref().unwrap().softmax(1, Kind::Double),
        ),
        (
            "actions_sigmoid",
            heads.action_unit_logits.as_ref().unwrap().sigmoid(),
        ),
    ] {
        let rows: Vec<Vec<f64>> =
            serde_json::from_value(expected["eval_after_20_steps_float64"][name].clone()).unwrap();
        assert_near(name, &found, &Tensor::from_slice2(&rows), 1e-7);
    }
}

#[test]
fn losses_skip_labels_that_are_not_valid() {
    let Some(golden) = Golden::find() else { return };
    let json = golden.json();
    let expected = &json["train"]["masked"];
    let (_store, network) = double_network(&golden);
    let labels = labels(&golden, "masked", Kind::Double);
    let outputs =
        no_grad(|| network.forward(&training_crops(&golden, Kind::Double), Mode::Training)).unwrap();
    for (mask, action_units) in [
        (ActionUnitMask::Rows, "loss_au_rows"),
        (ActionUnitMask::Cells, "loss_au_cells"),
    ] {
        let losses = Losses::of(&outputs, &labels, mask, None).unwrap();
        for (name, loss) in [
            ("loss_va", losses.valence_arousal),
            ("loss_expr", losses.expression),
            (action_units, losses.action_units),
        ] {
            assert_equal(
                name,
                value(&loss.unwrap()),
                expected[name].as_f64().unwrap(),
                1e-5,
            );
        }
    }
}

#[test]
fn a_training_step_updates_running_statistics_as_the_original_does() {
    let Some(golden) = Golden::find() else { return };
    let store = VarStore::new(Device::Cpu);
    let network = Ddamfn::from_tensors(&store, &Architecture::MULTITASK, &golden.weights).unwrap();
    no_grad(|| network.forward(&training_crops(&golden, Kind::Float), Mode::Training)).unwrap();
    let variables = store.variables();
    for layer in ["Linear.bn", "features.0.bn"] {
        for statistic in ["running_mean", "running_var"] {
            let name = format!("{layer}.{statistic}");
            let expected = golden.case(&format!("train.after_first_forward.{name}"));
            let scale = expected.abs().max().double_value(&[]);
            assert_near(&name, &variables[&name], expected, 1e-5 * scale);
        }
    }
}
