//! A network is tried out before it is taken: whether it gives what its card names, the same for a face alone and among
//! others.

use std::time::Duration;

use tch::{Device, Kind, Tensor, no_grad};

use super::card::{NetworkCard, OutputForm};
use super::error::TorchScriptError;
use super::network::{ScriptNetwork, forward};
use super::program::Program;
use super::shapes::OutputShapes;
use crate::model::error::ModelError;
use crate::time_limit;

/// Seconds that a trial may take.
const TRIAL: Duration = Duration::from_secs(120);
/// Faces in a batch of a trial.
const FACES: i64 = 3;
/// How far outputs for a face may differ between batches: rounding.
const TOLERANCE: f64 = 1e-3;
/// Sides of crops that are tried where no card names one.
const SIDES: [u32; 9] = [224, 112, 260, 128, 96, 64, 48, 256, 299];

/// What a program returns for crops of the first usual size that it takes.
///
/// # Errors
/// [`TorchScriptError`] if it cannot be loaded or takes no usual size; the reason is the one at the first size.
pub fn output_shapes(program: &Program) -> Result<OutputShapes, TorchScriptError> {
    let program = program.clone();
    limited(move || {
        let module = program.load(Device::Cpu)?;
        let mut reason = None;
        for size in SIDES {
            let input = Tensor::f_zeros([FACES, 3, size.into(), size.into()], (Kind::Float, Device::Cpu))?;
            match no_grad(|| forward(&module, &input)) {
                Ok(tensors) => {
                    let columns = |tensor: &Tensor| tensor.numel() / FACES as usize;
                    return Ok(OutputShapes {
                        size,
                        columns: tensors.iter().map(columns).collect(),
                    });
                }
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        Err(reason.unwrap_or_else(|| TorchScriptError::DoesNotFit("it takes no size".to_owned())))
    })
}

/// Runs a network on a batch of made-up pictures.
///
/// # Errors
/// [`TorchScriptError::DoesNotFit`] if its outputs are not what the card names, differ from one pass to the next or with the other
/// faces in the batch; [`ModelError::NotFinite`]; others if it does not load or fails.
pub fn try_out(program: &Program, card: &NetworkCard) -> Result<(), ModelError> {
    let (program, card) = (program.clone(), card.clone());
    limited(move || Ok(try_out_unlimited(&program, &card)))?
}

fn limited<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TorchScriptError> + Send + 'static,
) -> Result<T, TorchScriptError> {
    let too_slow = TorchScriptError::TooSlow {
        what: "trying it out",
        limit: TRIAL,
    };
    time_limit::within(TRIAL, work).ok_or(too_slow)?
}

fn try_out_unlimited(program: &Program, card: &NetworkCard) -> Result<(), ModelError> {
    let network = ScriptNetwork::new(program, card, Device::Cpu, &card.extra_units())?;
    let side = card.input.crop.size();
    let pictures = made_up(side)?;
    let batch = network.submit(&pictures)?;
    network.finish(&batch, FACES as usize)?;
    let again = network.submit(&pictures)?;
    let apart = |a: &Tensor, b: &Tensor| -> Result<f64, ModelError> {
        Ok(f64::try_from(a.f_sub(b)?.f_abs()?.f_max()?)?)
    };
    let alike = |apart: f64| apart <= TOLERANCE * (1.0 + largest(&batch));
    if !alike(apart(&batch, &again)?) {
        return Err(does_not_fit(
            "two passes over the same faces give different numbers: export it after `model.eval()`, without random numbers",
        ));
    }
    let alone = network.submit(&pictures.f_narrow(0, 1, 1)?)?;
    if !alike(apart(&batch.f_narrow(0, 1, 1)?, &alone)?) {
        return Err(does_not_fit(
            "a face's outputs change with the other faces of the batch: export it after `model.eval()`",
        ));
    }
    check_probabilities(card, &batch)?;
    Ok(())
}

fn largest(table: &Tensor) -> f64 {
    let largest = table.f_abs().and_then(|table| table.f_max());
    largest.map_or(0.0, |largest| f64::try_from(largest).unwrap_or(0.0))
}

/// Probabilities of expressions that are none, and logits that were made probabilities already.
fn check_probabilities(card: &NetworkCard, table: &Tensor) -> Result<(), ModelError> {
    let within = |columns: &Tensor| -> Result<bool, ModelError> {
        let inside = columns.f_ge(-1e-4)?.f_logical_and(&columns.f_le(1.0 + 1e-4)?)?;
        Ok(bool::try_from(inside.f_all()?)?)
    };
    if let Some(outputs) = &card.outputs.expression {
        let columns = table.f_narrow(1, outputs.first as i64, outputs.classes.len() as i64)?;
        let sums = columns.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)?;
        let of_one = bool::try_from(sums.f_sub_scalar(1.0)?.f_abs()?.f_le(1e-3)?.f_all()?)?;
        let are_probabilities = within(&columns)? && of_one;
        match outputs.form {
            OutputForm::Probabilities if !are_probabilities => {
                return Err(does_not_fit(
                    "expression: its numbers are not in [0, 1] with sum 1; if they are logits, write form = \"logits\"",
                ));
            }
            OutputForm::Logits if are_probabilities && outputs.classes.len() > 1 => {
                return Err(does_not_fit(
                    "expression: its numbers are in [0, 1] with sum 1 already: write form = \"probabilities\"",
                ));
            }
            _ => {}
        }
    }
    if let Some(outputs) = &card.outputs.action_units {
        let columns = table.f_narrow(1, outputs.first as i64, outputs.units.len() as i64)?;
        if outputs.form == OutputForm::Probabilities && !within(&columns)? {
            return Err(does_not_fit(
                "action_units: its numbers are not in [0, 1]; if they are logits, write form = \"logits\"",
            ));
        }
    }
    Ok(())
}

fn does_not_fit(reason: &str) -> ModelError {
    TorchScriptError::DoesNotFit(reason.to_owned()).into()
}

/// Pictures that differ: noise of three levels of contrast.
fn made_up(side: u32) -> Result<Tensor, ModelError> {
    let mut state = 1_u32;
    let mut bytes = Vec::with_capacity((FACES as usize) * (side * side * 3) as usize);
    for face in 1..=FACES as u32 {
        for _ in 0..side * side * 3 {
            // Numerical Recipes' linear congruential generator.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push(((state >> 24) * face / FACES as u32) as u8);
        }
    }
    let side = i64::from(side);
    Ok(Tensor::f_from_data_size(
        &bytes,
        &[FACES, side, side, 3],
        Kind::Uint8,
    )?)
}
