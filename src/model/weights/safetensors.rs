//! `.safetensors` in and out.
//!
//! The `safetensors` crate reads. It does not write here: it puts metadata in an order that differs
//! from run to run, and the same weights should have the same sha256.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use ::safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::WeightsError;
use crate::model::named_tensors::NamedTensors;
use crate::publish::publish;

/// What a file holds.
pub(super) struct Contents {
    /// As they are stored.
    pub(super) tensors: NamedTensors,
    pub(super) metadata: HashMap<String, String>,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum NumberFormat {
    /// Single precision, as networks compute.
    #[default]
    F32,
    /// Half the size; about three decimal digits. Vectors (biases, statistics, slopes) stay `f32`.
    F16,
    /// Half the size; about two decimal digits, the range of `f32`. Vectors stay `f32`.
    Bf16,
}

/// Reads all tensors of a file and its metadata.
pub(super) fn read(path: &Path) -> Result<Contents, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::io(path, source))?;
    let damaged = |error: SafeTensorError| WeightsError::damaged(path, error.to_string());
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let mut tensors = NamedTensors::new();
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(damaged)?.iter() {
        let kind = kind(view.dtype()).ok_or_else(|| {
            WeightsError::not_weights(path, format!("{name} is stored as {:?}", view.dtype()))
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|&count| count as i64).collect();
        tensors.insert(
            name.to_owned(),
            Tensor::f_from_data_size(view.data(), &shape, kind)?,
        );
    }
    Ok(Contents {
        tensors,
        metadata: header.metadata().clone().unwrap_or_default(),
    })
}

/// The metadata of a file, without its tensors.
///
/// # Errors
/// If it cannot be read, is none, or ends before its tensors do.
pub fn read_metadata(path: &Path) -> Result<HashMap<String, String>, WeightsError> {
    let io_error = |source| WeightsError::io(path, source);
    let mut file = File::open(path).map_err(io_error)?;
    let file_length = file.metadata().map_err(io_error)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(io_error)?;
    let length = u64::from_le_bytes(length).min(file_length);
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(io_error)?;
    #[derive(serde::Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: HashMap<String, String>,
        #[serde(flatten)]
        tensors: HashMap<String, Place>,
    }
    #[derive(serde::Deserialize)]
    struct Place {
        data_offsets: [u64; 2],
    }
    let header: Header =
        serde_json::from_slice(&header).map_err(|error| WeightsError::damaged(path, error.to_string()))?;
    let end = header.tensors.values().map(|place| place.data_offsets[1]).max();
    if end.unwrap_or(0) > file_length.saturating_sub(8 + length) {
        return Err(WeightsError::damaged(path, "it ends before its tensors do"));
    }
    Ok(header.metadata)
}

/// Writes tensors and metadata; the file appears whole or not at all.
///
/// # Errors
/// If it cannot be written, or a number is too large for the format.
pub fn write(
    path: &Path,
    tensors: &NamedTensors,
    metadata: &BTreeMap<String, String>,
    format: NumberFormat,
) -> Result<(), WeightsError> {
    let mut stored = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, format.store(name, tensor)?)))
        .collect::<Result<Vec<_>, WeightsError>>()?;
    // Wider numbers first keeps each tensor aligned to its own width.
    stored.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.kind().elt_size_in_bytes()));

    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut end = 0;
    for (name, tensor) in &stored {
        let start = end;
        end += byte_length(tensor);
        let entry =
            json!({ "dtype": dtype(tensor.kind()), "shape": tensor.size(), "data_offsets": [start, end] });
        header.insert((*name).clone(), entry);
    }
    let mut header = serde_json::Value::from(header).to_string();
    let padding = header.len().next_multiple_of(8) - header.len();
    header.extend(std::iter::repeat_n(' ', padding));

    let written = publish::<io::Error>(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (_, tensor) in &stored {
            let mut bytes = vec![0; byte_length(tensor)];
            tensor
                .f_copy_data_u8(&mut bytes, tensor.numel())
                .map_err(io::Error::other)?;
            file.write_all(&bytes)?;
        }
        Ok(())
    });
    written.map_err(|source| WeightsError::io(path, source))
}

impl NumberFormat {
    /// A tensor as it is stored.
    fn store(self, name: &str, tensor: &Tensor) -> Result<Tensor, WeightsError> {
        let kind = match self {
            _ if tensor.kind() == Kind::Uint8 => Kind::Uint8,
            _ if tensor.dim() < 2 => Kind::Float,
            Self::F32 => Kind::Float,
            Self::F16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        };
        let stored = tensor
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_to_kind(kind)?
            .f_contiguous()?;
        if all_finite(tensor)? && !all_finite(&stored)? {
            return Err(WeightsError::TooLarge {
                name: name.to_owned(),
            });
        }
        Ok(stored)
    }
}

/// Whether a tensor has neither NaN nor infinite numbers.
pub(super) fn all_finite(tensor: &Tensor) -> Result<bool, WeightsError> {
    Ok(bool::try_from(tensor.f_isfinite()?.f_all()?)?)
}

fn byte_length(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

/// The format's name for the types that [`NumberFormat::store`] makes.
fn dtype(kind: Kind) -> Dtype {
    match kind {
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Uint8 => Dtype::U8,
        _ => Dtype::F32,
    }
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        _ => return None,
    })
}
