//! What a pickle holds, once read: Python's values as data, and tensors as views of runs of numbers that lie in
//! other files.

use std::rc::Rc;

use tch::{Kind, TchError, Tensor};

use super::globals::Global;

/// Values that one pickle may hold. A DDAMFN checkpoint with Adam's state has under 200,000.
pub(super) const MAX_VALUES: usize = 1 << 21;

/// Dimensions that a tensor may have; a convolution has four.
const MAX_DIMENSIONS: usize = 8;

/// Why a pickle was not read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PickleError {
    #[error("it names the Python object `{0}`")]
    Refused(String),
    #[error("it ends too early")]
    Truncated,
    #[error("it has the unknown instruction 0x{0:02x}")]
    Instruction(u8),
    #[error("{0}")]
    Malformed(&'static str),
    #[error("it holds more than {MAX_VALUES} values")]
    TooLarge,
}

/// A Python value. Cheap to copy: containers are numbers into [`Values`].
#[derive(Debug, Clone)]
pub enum Value {
    Int(i64),
    Text(Rc<str>),
    Tuple(Container),
    List(Container),
    /// Keys and values by turns.
    Dict(Container),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<StoredTensor>),
    /// Something that no weights are found by: `None`, a boolean, a float, bytes, a set, a setting.
    PassedOver,
}

/// The number of a container in [`Values`].
#[derive(Debug, Clone, Copy)]
pub struct Container(usize);

/// The contents of all containers of a pickle.
#[derive(Debug, Default)]
pub struct Values {
    containers: Vec<Vec<Value>>,
    storages: Vec<Rc<Storage>>,
    /// How many values were ever made, bounded by [`MAX_VALUES`].
    pub(super) made: usize,
}

impl Values {
    /// The elements of a container.
    pub fn of(&self, container: Container) -> &[Value] {
        &self.containers[container.0]
    }

    /// The keys and values of a dictionary in file order (a repeated key occurs twice, the last one
    /// counts); `None` if `value` is not one.
    pub fn entries(&self, value: &Value) -> Option<impl Iterator<Item = (&Value, &Value)>> {
        match value {
            Value::Dict(dict) => Some(self.of(*dict).chunks_exact(2).map(|pair| (&pair[0], &pair[1]))),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub fn sequence(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::Tuple(elements) | Value::List(elements) => Some(self.of(*elements)),
            _ => None,
        }
    }

    /// Every storage that was referred to, as often as it was.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.storages.iter().map(Rc::as_ref)
    }

    /// Makes a container.
    pub(super) fn add(&mut self, contents: Vec<Value>) -> Container {
        self.containers.push(contents);
        Container(self.containers.len() - 1)
    }

    /// Appends to a container.
    pub(super) fn append(&mut self, container: Container, mut contents: Vec<Value>) {
        self.containers[container.0].append(&mut contents);
    }

    /// Notes that a storage was referred to.
    pub(super) fn refer_to(&mut self, storage: Storage) -> Value {
        let storage = Rc::new(storage);
        self.storages.push(storage.clone());
        Value::Storage(storage)
    }

    /// Counts values that are about to be made; an error if they are too many.
    pub(super) fn claim(&mut self, count: usize) -> Result<(), PickleError> {
        self.made += count;
        if self.made > MAX_VALUES {
            Err(PickleError::TooLarge)
        } else {
            Ok(())
        }
    }
}

/// A pickle as data.
#[derive(Debug)]
pub struct Pickle {
    pub root: Value,
    pub values: Values,
    /// Bytes that the pickle takes up; others may follow.
    pub length: usize,
}

/// A run of numbers of one type in a file of its own; several tensors may be views of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// The file's name within the checkpoint.
    pub key: Rc<str>,
    pub kind: Kind,
    /// How many numbers it holds.
    pub elements: usize,
}

impl Storage {
    /// Reads the tuple `('storage', class, key, device, elements[, None])` by which a pickle refers to one.
    pub fn from_persistent_id(id: &Value, values: &Values) -> Result<Self, PickleError> {
        let Some(
            [
                Value::Text(what),
                Value::Global(Global::StorageOf(kind)),
                Value::Text(key),
                _,
                elements,
                view @ ..,
            ],
        ) = values.sequence(id)
        else {
            return Err(PickleError::Malformed(
                "it refers to something beside it that is not a storage",
            ));
        };
        // Before PyTorch 0.4 a storage could itself be part of another one.
        let part = matches!(view, [Value::Tuple(_), ..]);
        match elements {
            Value::Int(elements) if &**what == "storage" && !part => {
                let elements = usize::try_from(*elements)
                    .map_err(|_| PickleError::Malformed("a storage has a negative size"))?;
                Ok(Self {
                    key: key.clone(),
                    kind: *kind,
                    elements,
                })
            }
            _ => Err(PickleError::Malformed(
                "a storage is described in a way no longer used",
            )),
        }
    }

    /// Its length in bytes; `None` if that cannot be.
    pub fn bytes(&self) -> Option<usize> {
        self.elements.checked_mul(self.kind.elt_size_in_bytes())
    }

    /// The numbers as a tensor of one dimension; `None` if `bytes` are too few or too many.
    pub fn tensor(&self, bytes: &[u8]) -> Option<Result<Tensor, TchError>> {
        // tch reads as many bytes as the size gives, whatever the slice holds.
        (Some(bytes.len()) == self.bytes())
            .then(|| Tensor::f_from_data_size(bytes, &[self.elements as i64], self.kind))
    }
}

/// A view into a storage, which lies wholly within it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    storage: Rc<Storage>,
    offset: i64,
    size: Vec<i64>,
    /// Steps in the storage from one element to the next of a dimension.
    stride: Vec<i64>,
    elements: usize,
}

impl StoredTensor {
    /// Reads the arguments `(storage, offset, size, stride, ...)` of `torch._utils._rebuild_tensor_v2`.
    pub fn from_rebuild_arguments(arguments: &[Value], values: &Values) -> Result<Self, PickleError> {
        let [Value::Storage(storage), Value::Int(offset), size, stride, ..] = arguments else {
            return Err(PickleError::Malformed("a tensor has no storage"));
        };
        let (size, stride) = (counts(size, values)?, counts(stride, values)?);
        match extent(*offset, &size, &stride) {
            Some((elements, end)) if end <= storage.elements => Ok(Self {
                storage: storage.clone(),
                offset: *offset,
                size,
                stride,
                elements,
            }),
            _ => Err(PickleError::Malformed("a tensor reaches beyond its storage")),
        }
    }

    pub fn storage(&self) -> &Rc<Storage> {
        &self.storage
    }

    /// The number of its elements, which may exceed the storage's where a stride is 0.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// A tensor of its own memory, given the whole storage as a tensor.
    pub fn cut_from(&self, storage: &Tensor) -> Result<Tensor, TchError> {
        let view = storage.f_as_strided(&self.size[..], &self.stride[..], self.offset)?;
        let mut tensor = Tensor::f_empty(&self.size[..], (self.storage.kind, tch::Device::Cpu))?;
        tensor.f_copy_(&view)?;
        Ok(tensor)
    }
}

/// The numbers of a tuple of counts.
fn counts(tuple: &Value, values: &Values) -> Result<Vec<i64>, PickleError> {
    let elements = values
        .sequence(tuple)
        .filter(|elements| elements.len() <= MAX_DIMENSIONS);
    let count = |value: &Value| match value {
        Value::Int(count) if *count >= 0 => Some(*count),
        _ => None,
    };
    let counts = elements.and_then(|elements| elements.iter().map(count).collect());
    counts.ok_or(PickleError::Malformed(
        "the shape of a tensor is not a few counts",
    ))
}

/// The number of elements of a view, and the place in the storage after the last of them;
/// `None` if they cannot be counted.
fn extent(offset: i64, size: &[i64], stride: &[i64]) -> Option<(usize, usize)> {
    if size.len() != stride.len() || offset < 0 {
        return None;
    }
    let elements = size
        .iter()
        .try_fold(1_i64, |product, &count| product.checked_mul(count))?;
    let mut end = offset;
    if elements > 0 {
        for (&count, &step) in size.iter().zip(stride) {
            end = end.checked_add((count - 1).checked_mul(step)?)?;
        }
        end = end.checked_add(1)?;
    }
    Some((usize::try_from(elements).ok()?, usize::try_from(end).ok()?))
}
