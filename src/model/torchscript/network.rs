//! A TorchScript network that annotates faces.

use std::sync::Arc;

use tch::{CModule, Device, IValue, Kind, Tensor, no_grad};

use super::card::{ColourOrder, NetworkCard};
use super::error::TorchScriptError;
use super::outputs;
use super::program::Program;
use crate::face::CropForm;
use crate::labels::{Affect, ExtraUnit};
use crate::model::crop::Normaliser;
use crate::model::error::ModelError;

/// A network on a device. It computes in `f32`. A clone shares the program.
#[derive(Debug, Clone)]
pub struct ScriptNetwork {
    module: Arc<CModule>,
    card: Arc<NetworkCard>,
    device: Device,
    /// Columns that the card names.
    columns: usize,
    /// Of the run, by their numbers.
    extra_units: Vec<ExtraUnit>,
    normaliser: Normaliser,
}

impl ScriptNetwork {
    /// Loads a program on a device. `extra_units`: those of the run, in the order of their numbers.
    ///
    /// # Errors
    /// [`TorchScriptError`] if it cannot be loaded.
    pub fn new(
        program: &Program,
        card: &NetworkCard,
        device: Device,
        extra_units: &[ExtraUnit],
    ) -> Result<Self, TorchScriptError> {
        Ok(Self {
            module: Arc::new(program.load(device)?),
            columns: card.outputs.columns().map_err(TorchScriptError::Card)?,
            card: Arc::new(card.clone()),
            device,
            extra_units: extra_units.to_vec(),
            normaliser: Normaliser::new(card.input.normalisation, device)?,
        })
    }

    /// How it takes faces.
    pub fn crop_form(&self) -> CropForm {
        self.card.input.crop
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Gives one forward pass over bytes `[N, size, size, 3]`, RGB, on the network's device to it: its columns, `[N, columns]`,
    /// in the host's memory. On a GPU the table must not be read before an event recorded now.
    ///
    /// # Errors
    /// [`TorchScriptError::Failed`] with libtorch's reason, [`TorchScriptError::DoesNotFit`] for other outputs than the
    /// card names.
    pub(in crate::model) fn submit(&self, pixels: &Tensor) -> Result<Tensor, TorchScriptError> {
        no_grad(|| {
            let pixels = match self.card.input.colours {
                ColourOrder::Rgb => pixels.shallow_clone(),
                ColourOrder::Bgr => pixels.f_flip([3])?,
            };
            let input = self.normaliser.apply(&pixels)?.f_contiguous()?;
            let columns = columns(&forward(&self.module, &input)?)?;
            let (_, found) = columns.size2()?;
            if (found as usize) < self.columns {
                return Err(TorchScriptError::DoesNotFit(format!(
                    "it returns {found} columns, the card names {}",
                    self.columns
                )));
            }
            Ok(columns.f_to_device_(Device::Cpu, Kind::Float, self.device.is_cuda(), false)?)
        })
    }

    /// The affect of the first `faces` faces of a table that [`ScriptNetwork::submit`] gave.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where an output is NaN or infinite, or libtorch's.
    pub(in crate::model) fn finish(&self, table: &Tensor, faces: usize) -> Result<Vec<Affect>, ModelError> {
        let width = table.size2()?.1 as usize;
        let mut values = vec![0.0_f32; table.numel()];
        table.f_copy_data(&mut values, table.numel())?;
        let rows = values.chunks_exact(width.max(1)).take(faces).enumerate();
        rows.map(|(crop, columns)| {
            outputs::affect(columns, &self.card.outputs, &self.extra_units)
                .map_err(|output| ModelError::NotFinite { crop, output })
        })
        .collect()
    }
}

/// The tensors that a network returns, in order.
pub(super) fn forward(module: &CModule, input: &Tensor) -> Result<Vec<Tensor>, TorchScriptError> {
    let returned = module.forward_is(&[IValue::Tensor(input.shallow_clone())]);
    let returned = returned.map_err(|source| TorchScriptError::Failed {
        input: format!("{:?}", input.size()),
        source,
    })?;
    let mut tensors = Vec::new();
    flatten(returned, &mut tensors)?;
    let faces = input.size().first().copied().unwrap_or(0);
    match tensors
        .iter()
        .find(|tensor| tensor.size().first() != Some(&faces))
    {
        None if !tensors.is_empty() => Ok(tensors),
        None => Err(TorchScriptError::DoesNotFit("it returns nothing".to_owned())),
        Some(other) => Err(TorchScriptError::DoesNotFit(format!(
            "for {faces} faces it returns a tensor {:?}; the first number must be that of the faces",
            other.size()
        ))),
    }
}

fn flatten(value: IValue, tensors: &mut Vec<Tensor>) -> Result<(), TorchScriptError> {
    match value {
        IValue::Tensor(tensor) => tensors.push(tensor),
        IValue::TensorList(list) => tensors.extend(list),
        IValue::Tuple(values) | IValue::GenericList(values) => {
            return values.into_iter().try_for_each(|value| flatten(value, tensors));
        }
        IValue::GenericDict(pairs) => {
            return pairs
                .into_iter()
                .try_for_each(|(_, value)| flatten(value, tensors));
        }
        _ => {
            return Err(TorchScriptError::DoesNotFit(
                "it returns something else than tensors".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Tensors `[N]`, `[N, columns]`, `[N, columns, 1, 1]` side by side.
fn columns(tensors: &[Tensor]) -> Result<Tensor, TorchScriptError> {
    let flat = tensors.iter().map(|tensor| match tensor.dim() {
        1 => tensor.f_unsqueeze(1),
        _ => tensor.f_flatten(1, -1),
    });
    let flat: Vec<Tensor> = flat.collect::<Result<_, _>>()?;
    let flat: Vec<Tensor> = flat
        .iter()
        .map(|tensor| tensor.f_to_kind(Kind::Float))
        .collect::<Result<_, _>>()?;
    Ok(Tensor::f_cat(&flat, 1)?)
}
