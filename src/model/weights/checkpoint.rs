//! Reads the weights that people have, in whatever shape they were passed on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use tch::Kind;

use super::card::is_torchscript;
use super::torch::{Pickle, StoredTensor, TorchFile, Value};
use super::{WeightsError, safetensors};
use crate::model::named_tensors::NamedTensors;

/// The network's first layer: the names around it show which dictionary holds the network, and under which prefix.
const FIRST_LAYER: &str = "features.0.conv.weight";
/// Keys under which training loops save the network, the preferred first.
const STATE_DICT_KEYS: [&str; 3] = ["model_state_dict", "state_dict", "model"];

/// The tensors of a file, and how they were found there.
pub(super) struct Checkpoint {
    /// By PyTorch's name, without prefixes of wrapping modules. Floating-point tensors are `f32`, others as stored.
    pub(super) tensors: NamedTensors,
    /// Of a `.safetensors` file; else empty.
    pub(super) metadata: HashMap<String, String>,
    /// Where in the file they were.
    pub(super) origin: Origin,
}

/// Where in a file its weights were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// What kind of file it is.
    pub format: Format,
    /// The key of the dictionary that holds the weights, if they are not at the top.
    pub key: Option<String>,
    /// What was taken off the names, `module.` for instance.
    pub prefix: Option<String>,
    /// Floating-point types other than `f32` that were converted.
    pub converted: BTreeSet<&'static str>,
}

/// A kind of file that weights are passed on in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.safetensors`.
    Safetensors,
    /// `torch.save` since PyTorch 1.6: a zip archive.
    TorchZip,
    /// `torch.save` before PyTorch 1.6.
    TorchLegacy,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.format {
            Format::Safetensors => "safetensors file",
            Format::TorchZip => "PyTorch checkpoint",
            Format::TorchLegacy => "PyTorch checkpoint of before 1.6",
        })?;
        if let Some(key) = &self.key {
            write!(f, ", weights under {key:?}")?;
        }
        if let Some(prefix) = &self.prefix {
            write!(f, ", {prefix:?} taken off the names")?;
        }
        for kind in &self.converted {
            write!(f, ", {kind} converted to float32")?;
        }
        Ok(())
    }
}

/// Reads a `.safetensors` file or a checkpoint of `torch.save` (`.pt`, `.pth`; told by content, not by name).
///
/// # Errors
/// If the file holds anything but tensors and plain values (nothing in it is ever run), is damaged, or
/// has no or several networks that begin with `features.0.conv.weight`.
pub(super) fn read(path: &Path) -> Result<Checkpoint, WeightsError> {
    let format = Format::of(path)?;
    let mut metadata = HashMap::new();
    let (key, tensors) = match format {
        Format::Safetensors => {
            let contents = safetensors::read(path)?;
            if is_torchscript(&contents.metadata) {
                return Err(WeightsError::NoDdamfn {
                    path: path.to_owned(),
                });
            }
            metadata = contents.metadata;
            (None, contents.tensors)
        }
        Format::TorchZip => state_dict(path, TorchFile::open_zip(path)?)?,
        Format::TorchLegacy => state_dict(path, TorchFile::open_legacy(path)?)?,
    };
    // Names are printed, and a terminal obeys control characters.
    if tensors.keys().any(|name| name.contains(char::is_control)) {
        return Err(WeightsError::damaged(
            path,
            "the name of a tensor is not printable",
        ));
    }
    let (prefix, tensors) = without_prefix(path, tensors)?;
    let mut origin = Origin {
        format,
        key,
        prefix,
        converted: BTreeSet::new(),
    };
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| {
            let name_of_kind = match tensor.kind() {
                Kind::Half => "float16",
                Kind::BFloat16 => "bfloat16",
                Kind::Double => "float64",
                _ => return Ok((name, tensor)),
            };
            origin.converted.insert(name_of_kind);
            Ok((name, tensor.f_to_kind(Kind::Float)?))
        })
        .collect::<Result<_, WeightsError>>()?;
    Ok(Checkpoint {
        tensors,
        metadata,
        origin,
    })
}

impl Format {
    /// Tells the kind of a file by its first bytes.
    pub(super) fn of(path: &Path) -> Result<Self, WeightsError> {
        let io_error = |source| WeightsError::io(path, source);
        let mut start = Vec::new();
        File::open(path)
            .map_err(io_error)?
            .take(64)
            .read_to_end(&mut start)
            .map_err(io_error)?;
        if start.starts_with(b"PK\x03\x04") {
            Ok(Self::TorchZip)
        } else if TorchFile::is_legacy(&start) {
            Ok(Self::TorchLegacy)
        } else if start.get(8) == Some(&b'{') {
            Ok(Self::Safetensors)
        } else if start.starts_with(b"\x1f\x8b") {
            Err(WeightsError::not_weights(
                path,
                "it is compressed, run `gunzip` on it first",
            ))
        } else {
            let start = start.get(..16).unwrap_or(&start).escape_ascii();
            Err(WeightsError::not_weights(
                path,
                format!("neither safetensors nor of `torch.save`: it begins with \"{start}\""),
            ))
        }
    }
}

/// Finds the network's dictionary in a checkpoint and reads its tensors; also the key it was under.
fn state_dict(path: &Path, mut file: TorchFile) -> Result<(Option<String>, NamedTensors), WeightsError> {
    let (key, dictionary) = find_network(path, file.pickle())?;
    let stored: BTreeMap<_, _> = tensors_of(file.pickle(), dictionary)
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect();

    // Views with a stride of 0 or of shared storages can claim more than the file holds.
    let elements = stored
        .values()
        .fold(0_usize, |sum, tensor| sum.saturating_add(tensor.elements()));
    let file_length = path
        .metadata()
        .map_err(|source| WeightsError::io(path, source))?
        .len();
    if elements as u64 > file_length {
        return Err(WeightsError::damaged(
            path,
            "its tensors have more elements than the file has bytes",
        ));
    }

    // Views of one storage one after the other, so that it is read once.
    let mut stored: Vec<_> = stored.into_iter().collect();
    stored.sort_by(|(_, a), (_, b)| a.storage().key.cmp(&b.storage().key));
    let mut tensors = NamedTensors::new();
    for sharing in stored.chunk_by(|(_, a), (_, b)| a.storage() == b.storage()) {
        let storage = file.storage(sharing[0].1.storage())?;
        for (name, tensor) in sharing {
            tensors.insert(name.clone(), tensor.cut_from(&storage)?);
        }
    }
    Ok((key, tensors))
}

/// The dictionary that holds the network's first layer, the checkpoint itself or one directly in it, and its key.
fn find_network<'a>(path: &Path, pickle: &'a Pickle) -> Result<(Option<String>, &'a Value), WeightsError> {
    let parts = pickle.values.entries(&pickle.root).into_iter().flatten();
    let parts = parts.filter_map(|(key, value)| match key {
        Value::Text(key) => Some((Some(key.to_string()), value)),
        _ => None,
    });
    let mut networks: Vec<_> = std::iter::once((None, &pickle.root))
        .chain(parts)
        .filter(|(_, value)| tensors_of(pickle, value).any(|(name, _)| prefix_of_network(name).is_some()))
        .collect();

    let known = |key: &Option<String>| {
        STATE_DICT_KEYS
            .iter()
            .position(|known| key.as_deref() == Some(known))
    };
    networks.sort_by_key(|(key, _)| known(key).unwrap_or(STATE_DICT_KEYS.len()));
    match &networks[..] {
        [] => Err(WeightsError::no_network(path)),
        [(first, _), _, ..] if known(first).is_none() => Err(WeightsError::SeveralNetworks {
            path: path.to_owned(),
            places: networks
                .into_iter()
                .map(|(key, _)| key.unwrap_or_default())
                .collect(),
        }),
        _ => Ok(networks.swap_remove(0)),
    }
}

/// The tensors directly in a dictionary, in file order.
fn tensors_of<'a>(
    pickle: &'a Pickle,
    dictionary: &'a Value,
) -> impl Iterator<Item = (&'a str, &'a Rc<StoredTensor>)> {
    let entries = pickle.values.entries(dictionary).into_iter().flatten();
    entries.filter_map(|(key, value)| match (key, value) {
        (Value::Text(name), Value::Tensor(tensor)) => Some((&**name, tensor)),
        _ => None,
    })
}

/// Takes the prefix of the network's first layer off all names, and returns it. Layers beside a
/// wrapped backbone keep their own names: of `module.backbone.`, `module.custom_classifier` loses `module.`.
fn without_prefix(
    path: &Path,
    tensors: NamedTensors,
) -> Result<(Option<String>, NamedTensors), WeightsError> {
    let prefixes: BTreeSet<&str> = tensors
        .keys()
        .filter_map(|name| prefix_of_network(name))
        .collect();
    let prefix = match prefixes.into_iter().collect::<Vec<_>>()[..] {
        [] => return Err(WeightsError::no_network(path)),
        // The empty prefix sorts first: an unwrapped network beside others is the one meant.
        ["", ..] => return Ok((None, tensors)),
        [prefix] => prefix.to_owned(),
        ref several => {
            let places = several.iter().map(|prefix| prefix.to_string()).collect();
            return Err(WeightsError::SeveralNetworks {
                path: path.to_owned(),
                places,
            });
        }
    };
    let mut renamed = NamedTensors::new();
    for (name, tensor) in tensors {
        let short = prefix
            .split_inclusive('.')
            .fold(&name[..], |rest, part| rest.strip_prefix(part).unwrap_or(rest));
        if renamed.insert(short.to_owned(), tensor).is_some() {
            let reason = format!("two tensors are named `{short}` once `{prefix}` is taken off");
            return Err(WeightsError::not_weights(path, reason));
        }
    }
    Ok((Some(prefix), renamed))
}

/// What stands before the name of the network's first layer, if `name` is it.
fn prefix_of_network(name: &str) -> Option<&str> {
    name.strip_suffix(FIRST_LAYER)
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tch::Tensor;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/checkpoints")
            .join(name)
    }

    fn expected() -> NamedTensors {
        safetensors::read(&fixture("expected.safetensors"))
            .unwrap()
            .tensors
    }

    fn assert_same(name: &str, found: &NamedTensors, expected: &NamedTensors) {
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{name}"
        );
        for (tensor, value) in expected {
            let found = &found[tensor];
            assert!(
                found.kind() == value.kind() && found.equal(value),
                "{name}: {tensor}"
            );
            assert!(found.is_contiguous(), "{name}: {tensor}");
        }
    }

    #[test]
    fn every_shape_of_checkpoint_gives_the_same_tensors() {
        use Format::{Safetensors, TorchLegacy, TorchZip};
        for (name, format, key, prefix) in [
            ("expected.safetensors", Safetensors, None, None),
            ("model_state_dict.pth", TorchZip, Some("model_state_dict"), None),
            ("protocol4.pth", TorchZip, Some("model_state_dict"), None),
            ("state_dict.pt", TorchZip, Some("state_dict"), None),
            ("model.pth", TorchZip, Some("model"), None),
            ("net.pth", TorchZip, Some("net"), None),
            ("ordered_dict.pth", TorchZip, None, None),
            ("dict.pt", TorchZip, None, None),
            ("module_prefix.pth", TorchZip, None, Some("module.")),
            (
                "module_backbone_prefix.pth",
                TorchZip,
                Some("state_dict"),
                Some("module.backbone."),
            ),
            ("half.pth", TorchZip, None, None),
            ("bfloat16.pth", TorchZip, None, None),
            ("float64.pth", TorchZip, None, None),
            ("shared_storage.pth", TorchZip, None, None),
            ("parameters.pth", TorchZip, None, None),
            ("legacy.pth", TorchLegacy, Some("model_state_dict"), None),
            ("legacy_shared_storage.pth", TorchLegacy, None, None),
        ] {
            let checkpoint = read(&fixture(name)).unwrap_or_else(|error| panic!("{error}"));
            assert_same(name, &checkpoint.tensors, &expected());
            let origin = checkpoint.origin;
            assert_eq!(
                (origin.format, origin.key.as_deref(), origin.prefix.as_deref()),
                (format, key, prefix),
                "{name}"
            );
        }
    }

    #[test]
    fn converted_types_are_told() {
        for (name, kind) in [
            ("half.pth", "float16"),
            ("bfloat16.pth", "bfloat16"),
            ("float64.pth", "float64"),
        ] {
            assert_eq!(
                read(&fixture(name)).unwrap().origin.converted,
                BTreeSet::from([kind])
            );
        }
        assert!(read(&fixture("dict.pt")).unwrap().origin.converted.is_empty());
    }

    #[test]
    fn strides_of_none_and_of_several_elements_are_followed() {
        let mut tensors = read(&fixture("strided.pth")).unwrap().tensors;
        let expanded = tensors.remove("expanded").unwrap();
        assert!(expanded.equal(&Tensor::from_slice(&[1.5_f32; 8])));
        assert_same("strided.pth", &tensors, &expected());
    }

    #[test]
    fn an_unwrapped_network_beside_another_is_the_one_meant() {
        let checkpoint = read(&fixture("network_and_student.pth")).unwrap();
        assert_eq!(checkpoint.origin.prefix, None);
        assert_eq!(checkpoint.tensors.len(), 2 * expected().len());
    }

    #[test]
    fn what_is_ambiguous_or_empty_is_refused() {
        let places = |name| match read(&fixture(name)) {
            Err(WeightsError::SeveralNetworks { places, .. }) => places,
            other => panic!("{name}: {:?}", other.err()),
        };
        assert_eq!(places("refused_two_models.pth"), ["a", "b"]);
        assert_eq!(places("refused_two_prefixes.pth"), ["model.a.", "model.b."]);
        for name in [
            "refused_no_tensors.pth",
            "refused_big_endian.pth",
            "multitask_constant.pth.gz",
            "make_checkpoints.py",
        ] {
            let error = read(&fixture(name)).err().expect(name);
            assert!(
                matches!(error, WeightsError::NotWeights { .. }),
                "{name}: {error}"
            );
        }
        assert!(matches!(
            read(&fixture("not there.pth")),
            Err(WeightsError::Io { .. })
        ));
    }

    /// Puts a pickle and one storage of three floats into an archive as `torch.save` does.
    fn archive(pickle: &[u8], storage: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(&mut file);
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, content) in [("archive/data.pkl", pickle), (storage, &[0; 12])] {
            zip.start_file(name, stored).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    /// A state dict with one tensor: three floats of the storage `key`, `elements` long.
    fn one_tensor(key: &str, elements: u8, shape: &[u8]) -> Vec<u8> {
        let mut pickle = b"}U\x16features.0.conv.weightctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n".to_vec();
        pickle.extend(
            [
                b"U",
                &[key.len() as u8][..],
                key.as_bytes(),
                b"U\x03cpuK",
                &[elements],
                b"tQK\x00",
                shape,
                b"tRs.",
            ]
            .concat(),
        );
        pickle
    }

    #[test]
    fn storages_are_looked_for_in_the_archive_alone_and_have_their_size() {
        let three = b"K\x03\x85K\x01\x85";
        let read = |pickle: &[u8]| read(archive(pickle, "archive/data/0").path());
        assert!(
            read(&one_tensor("0", 3, three)).unwrap().tensors[FIRST_LAYER]
                .equal(&Tensor::from_slice(&[0_f32; 3]))
        );
        for (key, elements) in [
            ("0", 4),
            ("1", 3),
            ("../../../../../../../../etc/passwd", 3),
            ("/etc/passwd", 3),
            ("", 3),
        ] {
            let error = read(&one_tensor(key, elements, three)).err().expect(key);
            assert!(matches!(error, WeightsError::Damaged { .. }), "{key}: {error}");
        }
    }

    #[test]
    fn views_cannot_claim_more_than_the_file_holds() {
        let million_times_a_million = b"J\x40\x42\x0f\x00J\x40\x42\x0f\x00\x86K\x00K\x00\x86";
        let error = read(archive(&one_tensor("0", 3, million_times_a_million), "archive/data/0").path())
            .err()
            .unwrap();
        assert!(matches!(error, WeightsError::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_cut_off_file_is_damaged() {
        for name in ["model_state_dict.pth", "legacy.pth", "expected.safetensors"] {
            let bytes = std::fs::read(fixture(name)).unwrap();
            for length in (0..bytes.len()).step_by(7) {
                let file = tempfile::NamedTempFile::new().unwrap();
                file.as_file().write_all(&bytes[..length]).unwrap();
                assert!(
                    read(file.path()).is_err(),
                    "{name}, {length} of {} bytes",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_the_numbers_of_an_archive_is_noticed() {
        let mut bytes = std::fs::read(fixture("ordered_dict.pth")).unwrap();
        let number = (-127.0_f32 / 8.0).to_le_bytes();
        let at = bytes.windows(4).position(|window| window == number).unwrap();
        bytes[at] ^= 1;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(&bytes).unwrap();
        assert!(matches!(read(file.path()), Err(WeightsError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn a_changed_file_is_read_or_refused(
            name in prop::sample::select(vec!["state_dict.pt", "legacy.pth", "strided.pth", "expected.safetensors"]),
            changes in prop::collection::vec((0..usize::MAX, any::<u8>()), 1..6),
        ) {
            let mut bytes = std::fs::read(fixture(name)).unwrap();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().write_all(&bytes).unwrap();
            if let Ok(checkpoint) = read(file.path()) {
                let elements: usize = checkpoint.tensors.values().map(Tensor::numel).sum();
                prop_assert!(elements <= bytes.len());
            }
        }
    }
}
