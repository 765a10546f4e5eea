//! Weights to start training from when there are no trained ones.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::Tensor;

use super::architecture::Architecture;
use super::ddamfn::parameter_shapes;
use super::error::ModelError;
use super::named_tensors::NamedTensors;

/// PReLU's slope before training, PyTorch's default.
const SLOPE: f32 = 0.25;

/// Random weights, `f32` on the CPU. The same seed and architecture give the same weights on any
/// machine: the numbers come from a ChaCha stream of their own, drawn in the order of the names,
/// and never from torch's global generator.
///
/// Convolutions are uniform after He (arXiv 1502.01852), fully connected weights uniform within
/// `1 / sqrt(inputs)`, all biases zero, batch normalisation the identity.
pub fn initial_weights(architecture: &Architecture, seed: u64) -> Result<NamedTensors, ModelError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = NamedTensors::new();
    for (name, shape) in parameter_shapes(architecture)? {
        let length = shape.iter().product::<i64>() as usize;
        let inputs = shape.iter().skip(1).product::<i64>() as f32;
        let values = match shape.len() {
            4 => uniform(&mut random, (6.0 / inputs).sqrt(), length),
            2 => uniform(&mut random, 1.0 / inputs.sqrt(), length),
            _ => vec![constant(&name); length],
        };
        weights.insert(name, Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?);
    }
    Ok(weights)
}

fn uniform(random: &mut ChaCha8Rng, bound: f32, length: usize) -> Vec<f32> {
    (0..length).map(|_| random.random_range(-bound..bound)).collect()
}

/// The start value of a vector, by PyTorch's name.
fn constant(name: &str) -> f32 {
    if name.ends_with("prelu.weight") {
        SLOPE
    } else if name.ends_with(".weight") || name.ends_with(".running_var") {
        1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn sum(weights: &NamedTensors, name: &str) -> f64 {
        weights[name].sum(Kind::Double).double_value(&[])
    }

    #[test]
    fn same_seed_gives_the_same_weights_whatever_torch_drew_before() {
        tch::manual_seed(1);
        let first = initial_weights(&Architecture::MULTITASK, 7).unwrap();
        tch::manual_seed(2);
        let second = initial_weights(&Architecture::MULTITASK, 7).unwrap();
        assert!(first.iter().all(|(name, weight)| weight.equal(&second[name])));
        let other = initial_weights(&Architecture::MULTITASK, 8).unwrap();
        assert!(!first["features.0.conv.weight"].equal(&other["features.0.conv.weight"]));
    }

    #[test]
    fn vectors_start_as_their_role_says() {
        let weights = initial_weights(&Architecture::MULTITASK, 7).unwrap();
        assert_eq!(sum(&weights, "features.0.prelu.weight"), 64.0 * 0.25);
        assert_eq!(sum(&weights, "features.2.CA.bn1.weight"), 8.0);
        assert_eq!(sum(&weights, "features.2.CA.bn1.running_var"), 8.0);
        assert_eq!(sum(&weights, "features.2.CA.bn1.running_mean"), 0.0);
        assert_eq!(sum(&weights, "custom_classifier.dense.bias"), 0.0);
    }

    #[test]
    fn convolutions_have_the_spread_of_he() {
        let weights = initial_weights(&Architecture::MULTITASK, 7).unwrap();
        let spread = weights["features.6.conv.conv.weight"].std(true).double_value(&[]);
        assert!((spread / (2.0f64 / 128.0).sqrt() - 1.0).abs() < 0.01, "{spread}");
    }
}
