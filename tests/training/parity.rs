//! Steps of the trainer beside steps of a plain PyTorch loop (`benches/peers/training.py`), same weights and batches.

use std::path::Path;

use abaw::model::{Architecture, NamedTensors, Precision};
use abaw::training::{
    Adam, Batch, Labels, Layers, Learner, LossSettings, OptimizerSettings, Phase, Schedule,
};
use serde_json::Value;
use tch::{Device, Tensor};

use crate::support::{golden, read_json, shared_golden};

/// Steps that a curve is averaged over before it is compared.
const WINDOW: usize = 20;
/// Of the 200 that the reference has: a step takes half a second of a core.
const STEPS: usize = 60;

/// Two PyTorch runs that differ in the number of threads alone drift apart, since Adam turns rounding
/// noise into steps. The trainer's curve must not be further from them than they are from each other.
#[test]
fn sixty_steps_stay_within_the_spread_of_pytorch() {
    let Some(reference) = shared_golden() else {
        return;
    };
    let expected: Value = read_json(&golden("training/curves.json"));
    let runs: Vec<Vec<f64>> = expected["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| numbers(&run["total"])[..STEPS].to_vec())
        .collect();

    let ours = curve(&reference, STEPS);
    // Before any step there is nothing to drift.
    assert!(
        (ours[0] / runs[0][0] - 1.0).abs() < 1e-5,
        "{} {}",
        ours[0],
        runs[0][0]
    );
    for (window, ours) in ours.chunks(WINDOW).enumerate() {
        let theirs: Vec<f64> = runs
            .iter()
            .map(|run| mean(&run[window * WINDOW..][..WINDOW]))
            .collect();
        let low = theirs.iter().copied().fold(f64::MAX, f64::min);
        let high = theirs.iter().copied().fold(f64::MIN, f64::max);
        let ours = mean(ours);
        println!(
            "steps {:>3} on: {ours:.4}, PyTorch {low:.4} to {high:.4}",
            window * WINDOW
        );
        // Two runs do not show the whole spread.
        let margin = (high - low).max(0.01 * high);
        assert!(
            ours > low - margin && ours < high + margin,
            "window {window}: {ours}, {low} to {high}"
        );
    }
}

/// The total loss of each step.
fn curve(golden: &Path, steps: usize) -> Vec<f64> {
    let read = |file: &str| -> NamedTensors {
        Tensor::read_safetensors(golden.join(file))
            .unwrap()
            .into_iter()
            .collect()
    };
    let cases = read("ddamfn_cases.safetensors");
    let crops = Tensor::cat(&[&cases["train.crops_rgb_u8"], &cases["eval.crops_rgb_u8"]], 0);
    let architecture = Architecture::MULTITASK;
    let weights = read("ddamfn_multitask.safetensors");
    let mut learner = Learner::new(&architecture, &weights, 1, Precision::F32, Device::Cpu).unwrap();
    let phase = Phase {
        layers: Layers::All,
        epochs: 1,
        optimizer: OptimizerSettings::Adam { learning_rate: 1e-4 },
        schedule: Schedule::default(),
    };
    let trained = learner.set_trained_layers(phase.layers);
    let mut adam = Adam::new(&trained, &phase.optimizer).unwrap();
    let settings = LossSettings::default();
    (0..steps)
        .map(|step| {
            let batch = batch_of_step(&crops, step as i64);
            let losses = learner.step(&batch, &phase, &settings, None, &mut adam, 1e-4);
            losses.unwrap().total
        })
        .collect()
}

/// As `batch_of_step` of the PyTorch loop.
fn batch_of_step(crops: &Tensor, step: i64) -> Batch {
    let count = crops.size()[0];
    let (mut images, mut points, mut classes, mut units) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for place in 0..8 {
        let number = (step * 5 + place * 7) % count;
        let crop = crops.get(number);
        images.push(if (step + place) % 2 == 1 {
            crop.flip([1])
        } else {
            crop
        });
        points.extend([number as f32 / 6.0 - 1.0, 0.5 - number as f32 / 12.0]);
        classes.push(number % 8);
        units.extend((0..12).map(|unit| ((number >> (unit % 4)) & 1) as f32));
    }
    Batch {
        step: step as usize,
        crops: Tensor::stack(&images, 0),
        labels: Labels {
            valence_arousal: Tensor::from_slice(&points).view([8, 2]),
            expression: Tensor::from_slice(&classes),
            action_units: Tensor::from_slice(&units).view([8, 12]),
        },
        names: vec!["crop".to_owned(); 8],
        unreadable: Vec::new(),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
