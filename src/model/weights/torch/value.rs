//! What a pickle holds, once read: Python's values as data.

use std::rc::Rc;

use super::globals::Global;
use super::storage::{Storage, StoredTensor};

/// Values that one pickle may hold. A DDAMFN checkpoint with Adam's state has under 200,000.
pub(super) const MAX_VALUES: usize = 1 << 21;

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
