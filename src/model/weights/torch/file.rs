//! The two containers of `torch.save`: a zip archive, and before PyTorch 1.6 a row of pickles.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use zip::ZipArchive;
use zip::result::ZipError;

use super::pickle;
use super::value::{Pickle, Storage, Value};
use crate::model::weights::WeightsError;

/// The number that begins files of before PyTorch 1.6, as its pickle writes it.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A file written by `torch.save`, its pickle read, its numbers still on disk (or, of the old kind, in memory).
pub struct TorchFile {
    path: PathBuf,
    pickle: Pickle,
    numbers: Numbers,
}

enum Numbers {
    /// Storage `k` is the entry `<folder>data/<k>`.
    Zip {
        archive: ZipArchive<BufReader<File>>,
        folder: String,
    },
    /// Storages follow the pickles, each at its place in the file.
    Legacy {
        file: Vec<u8>,
        places: HashMap<String, Range<usize>>,
    },
}

impl TorchFile {
    /// Whether a file that begins with `start` is of the old kind.
    pub fn is_legacy(start: &[u8]) -> bool {
        start.first() == Some(&0x80)
            && start
                .windows(LEGACY_MAGIC.len())
                .any(|window| window == LEGACY_MAGIC)
    }

    /// Opens a zip archive.
    pub fn open_zip(path: &Path) -> Result<Self, WeightsError> {
        let file = File::open(path).map_err(|source| WeightsError::io(path, source))?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| unzip_error(path, error))?;
        let folder = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix("data.pkl")?.to_owned()))
            .find(|folder| folder.is_empty() || folder.ends_with('/'))
            .ok_or_else(|| WeightsError::not_weights(path, "a zip archive without `data.pkl`"))?;
        if archive
            .index_for_name(&format!("{folder}constants.pkl"))
            .is_some()
        {
            return Err(WeightsError::TorchScript {
                path: path.to_owned(),
            });
        }
        if archive.index_for_name(&format!("{folder}byteorder")).is_some() {
            let order = read_entry(path, &mut archive, &format!("{folder}byteorder"))?;
            if order != b"little" {
                return Err(WeightsError::not_weights(
                    path,
                    "its numbers are not little-endian",
                ));
            }
        }
        let bytes = read_entry(path, &mut archive, &format!("{folder}data.pkl"))?;
        let pickle = pickle::read(&bytes).map_err(|error| WeightsError::pickle(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            pickle,
            numbers: Numbers::Zip { archive, folder },
        })
    }

    /// Reads a file of the old kind: four pickles (magic number, version, sizes of the writing
    /// machine, the checkpoint itself), one with the keys of the storages, then each storage's
    /// element count in eight bytes and its numbers.
    pub fn open_legacy(path: &Path) -> Result<Self, WeightsError> {
        let file = std::fs::read(path).map_err(|source| WeightsError::io(path, source))?;
        let mut at = 0;
        let mut next = || {
            let pickle = pickle::read(&file[at..]).map_err(|error| WeightsError::pickle(path, error))?;
            at += pickle.length;
            Ok::<_, WeightsError>(pickle)
        };
        let (_magic, _version, _machine, pickle, keys) = (next()?, next()?, next()?, next()?, next()?);

        let storages: HashMap<&str, &Storage> = pickle
            .values
            .storages()
            .map(|storage| (&*storage.key, storage))
            .collect();
        let mut places = HashMap::new();
        for key in keys.values.sequence(&keys.root).unwrap_or_default() {
            let place = match key {
                Value::Text(key) => storages.get(&**key).and_then(|storage| {
                    let count = file.get(at..)?.first_chunk::<8>()?;
                    let start = at + count.len();
                    at = start.checked_add(storage.bytes()?)?;
                    let whole = u64::from_le_bytes(*count) == storage.elements as u64 && at <= file.len();
                    whole.then(|| (key.to_string(), start..at))
                }),
                _ => None,
            };
            let (key, place) = place.ok_or_else(|| WeightsError::damaged(path, "a storage is cut off"))?;
            places.insert(key, place);
        }
        Ok(Self {
            path: path.to_owned(),
            pickle,
            numbers: Numbers::Legacy { file, places },
        })
    }

    /// What was saved.
    pub fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// The numbers of a storage as a tensor of one dimension.
    pub fn storage(&mut self, storage: &Rc<Storage>) -> Result<tch::Tensor, WeightsError> {
        let path = &self.path;
        let key = &storage.key;
        let tensor = match &mut self.numbers {
            Numbers::Zip { archive, folder } => {
                storage.tensor(&read_entry(path, archive, &format!("{folder}data/{key}"))?)
            }
            Numbers::Legacy { file, places } => places
                .get(&**key)
                .and_then(|place| file.get(place.clone()))
                .and_then(|bytes| storage.tensor(bytes)),
        };
        let tensor = tensor.ok_or_else(|| {
            WeightsError::damaged(
                path,
                format!("storage {key} does not hold {} numbers", storage.elements),
            )
        })?;
        Ok(tensor?)
    }
}

/// Reads an entry, which cannot be longer than the file: `torch.save` stores without compression.
fn read_entry(
    path: &Path,
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
) -> Result<Vec<u8>, WeightsError> {
    let mut entry = archive.by_name(name).map_err(|error| unzip_error(path, error))?;
    if entry.compression() != zip::CompressionMethod::Stored {
        return Err(WeightsError::not_weights(
            path,
            "a zip archive made by another tool: its entries are compressed",
        ));
    }
    let mut bytes = Vec::new();
    // To the very end, where the checksum is compared.
    entry
        .read_to_end(&mut bytes)
        .map_err(|error| WeightsError::damaged(path, format!("{name}: {error}")))?;
    Ok(bytes)
}

fn unzip_error(path: &Path, error: ZipError) -> WeightsError {
    match error {
        ZipError::Io(source) => WeightsError::io(path, source),
        other => WeightsError::damaged(path, other.to_string()),
    }
}
