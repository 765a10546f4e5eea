//! The weights that training starts from.

use super::error::TrainingError;
use super::recipe::Recipe;
use crate::model::weights::Weights;
use crate::model::{Architecture, NamedTensors, initial_weights};

/// The tensors that training starts from: those of the recipe's weights that fit, the rest at random.
///
/// # Errors
/// Weights that cannot be read, or libtorch's.
pub fn start_weights(recipe: &Recipe, architecture: &Architecture) -> Result<NamedTensors, TrainingError> {
    let mut tensors = initial_weights(architecture, recipe.seed)?;
    let Some(start) = &recipe.start else {
        return Ok(tensors);
    };
    for (name, tensor) in Weights::load(start)?.tensors() {
        let Some(target) = tensors.get_mut(name) else {
            continue;
        };
        if target.size() == tensor.size() {
            *target = tensor.shallow_clone();
        } else if target.size()[1..] == tensor.size()[1..] && target.size()[0] < tensor.size()[0] {
            // A ninth expression that was never a label.
            *target = tensor.f_narrow(0, 0, target.size()[0])?;
        }
    }
    Ok(tensors)
}
