//! Weights in and out: everything between a file and the tensors of a network.
//!
//! ```text
//! .safetensors -------+
//! .pt, .pth -> torch -+-> checkpoint -> import -> Weights -> .safetensors
//!                         names         fit       + Card
//! ```
//!
//! Files are untrusted: nothing in them is run, and sizes are checked before memory is taken.

mod card;
mod checkpoint;
mod error;
mod import;
mod safetensors;
mod script_summary;
mod stored;
mod summary;
mod torch;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use super::architecture::Architecture;
use super::ddamfn::Ddamfn;
use super::error::ModelError;
use super::named_tensors::NamedTensors;
pub use card::Card;
pub use checkpoint::{Format, Origin};
pub use error::WeightsError;
pub use import::{ImportReport, Imported, import};
pub use safetensors::{NumberFormat, read_metadata, write as write_tensors};
pub use script_summary::ScriptSummary;
pub use stored::{StoredNetwork, StoredScript, card_to_fill_in};
pub use summary::Summary;

/// The weights of one network, whole, and what must be known to use them.
#[derive(Debug)]
pub struct Weights {
    architecture: Architecture,
    tensors: NamedTensors,
    /// What is known of them besides their numbers.
    pub card: Card,
}

impl Weights {
    /// Takes the tensors that a network uses, by PyTorch's names; others are left out.
    ///
    /// # Errors
    /// [`ModelError::UnknownArchitecture`], or [`ModelError::WeightsDoNotFit`] with all that is missing or misshapen.
    pub fn new(tensors: NamedTensors, card: Card) -> Result<Self, ModelError> {
        let Fit {
            architecture,
            tensors,
            ..
        } = Fit::of(tensors)?;
        Ok(Self {
            architecture,
            tensors,
            card,
        })
    }

    /// Reads weights from a file of any [`Format`]: a `.safetensors` of this program with its card,
    /// or what PyTorch wrote, with the card that such weights have by convention.
    ///
    /// # Errors
    /// Any [`WeightsError`]; each names the file.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        Ok(import(path)?.weights)
    }

    /// Writes `.safetensors` with the card as its metadata. The file appears whole or not at all; the
    /// same weights give the same bytes.
    ///
    /// # Errors
    /// If it cannot be written, or a number is too large for the format.
    pub fn save(&self, path: &Path, format: NumberFormat) -> Result<(), WeightsError> {
        safetensors::write(
            path,
            &self.tensors,
            &self.card.to_metadata(&self.architecture),
            format,
        )
    }

    /// Which network they fill.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Exactly the tensors of the network by PyTorch's names, `f32` as they were read.
    pub fn tensors(&self) -> &NamedTensors {
        &self.tensors
    }

    /// Number of parameters that training changes; running statistics are none.
    pub fn parameters(&self) -> usize {
        let statistic = |name: &str| name.ends_with(".running_mean") || name.ends_with(".running_var");
        self.tensors
            .iter()
            .filter(|(name, _)| !statistic(name))
            .map(|(_, tensor)| Tensor::numel(tensor))
            .sum()
    }
}

/// Tensors and metadata of a `.safetensors` file that is no network's weights, as they are stored.
///
/// # Errors
/// If it cannot be read or is none.
pub fn read_tensors(path: &Path) -> Result<(NamedTensors, HashMap<String, String>), WeightsError> {
    let contents = safetensors::read(path)?;
    Ok((contents.tensors, contents.metadata))
}

/// Tensors sorted into those of a network and others.
struct Fit {
    architecture: Architecture,
    /// Exactly those of the network.
    tensors: NamedTensors,
    left_over: NamedTensors,
}

impl Fit {
    fn of(tensors: NamedTensors) -> Result<Self, ModelError> {
        let shapes = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.size()))
            .collect();
        let architecture = Architecture::of_shapes(&shapes)?;
        let store = VarStore::new(Device::Cpu);
        Ddamfn::from_tensors(&store, &architecture, &tensors)?;
        let needed = store.variables();
        let (tensors, left_over) = tensors
            .into_iter()
            .partition(|(name, _)| needed.contains_key(name));
        Ok(Self {
            architecture,
            tensors,
            left_over,
        })
    }
}

/// The sha256 of a file, in lower-case hexadecimal.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
