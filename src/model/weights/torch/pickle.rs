//! Reads a Python pickle as data: it builds numbers, texts, containers and descriptions of tensors,
//! and runs nothing.
//!
//! A pickle is a program for a small stack machine. [`read`] is that machine with one change: where
//! Python would import a name and call it, it looks the name up in [`Global`]. Every value lives in
//! one flat table and refers to others by number, so nesting and cycles cost nothing; lengths are
//! checked against the bytes that are there before anything is allocated.
//!
//! candle-core's `pickle` module reads the same files, but allocates lengths it has not checked,
//! copies what is shared (small files can fill the memory), panics on missing arguments and drops
//! deep nesting by recursion. Files are untrusted, so this is a reader of our own.

use std::collections::HashMap;
use std::rc::Rc;

use super::globals::Global;
use super::value::{Pickle, PickleError, Storage, StoredTensor, Value, Values};

/// The instructions that `torch.save` and Python's own pickler use, protocols 2 to 5. What each does is told in
/// Python's `Lib/pickletools.py`.
mod op {
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const POP: u8 = b'0';
    pub(super) const POP_MARK: u8 = b'1';
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const NONE: u8 = b'N';
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BINSTRING: u8 = b'T';
    pub(super) const SHORT_BINSTRING: u8 = b'U';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const BINBYTES: u8 = b'B';
    pub(super) const SHORT_BINBYTES: u8 = b'C';
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const NEWOBJ: u8 = 0x81;
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const BINUNICODE8: u8 = 0x8d;
    pub(super) const BINBYTES8: u8 = 0x8e;
    pub(super) const EMPTY_SET: u8 = 0x8f;
    pub(super) const ADDITEMS: u8 = 0x90;
    pub(super) const FROZENSET: u8 = 0x91;
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const FRAME: u8 = 0x95;
    pub(super) const BYTEARRAY8: u8 = 0x96;
}

/// Reads the pickle that `input` begins with (protocols 2 to 5, as `torch.save` writes them).
pub(super) fn read(input: &[u8]) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        input,
        ..Machine::default()
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle {
        root,
        values: machine.values,
        length: input.len() - machine.input.len(),
    })
}

#[derive(Default)]
struct Machine<'a> {
    /// What is still to be read.
    input: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack where a container was begun.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    values: Values,
}

impl Machine<'_> {
    /// Runs one instruction; `false` at the end.
    fn step(&mut self) -> Result<bool, PickleError> {
        let [instruction] = self.take()?;
        match instruction {
            op::PROTO => drop(self.take::<1>()?),
            op::FRAME => drop(self.take::<8>()?),
            op::STOP => return Ok(false),

            op::NONE | op::NEWTRUE | op::NEWFALSE | op::EMPTY_SET => self.push(Value::PassedOver)?,
            op::BINFLOAT => {
                self.take::<8>()?;
                self.push(Value::PassedOver)?;
            }
            op::BININT => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()))?;
            }
            op::BININT1 => {
                let number = u8::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()))?;
            }
            op::BININT2 => {
                let number = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()))?;
            }
            op::LONG1 => {
                let number = long(self.take_counted::<1>()?);
                self.push(number)?;
            }
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING => self.text::<1>()?,
            op::BINUNICODE | op::BINSTRING => self.text::<4>()?,
            op::BINUNICODE8 => self.text::<8>()?,
            op::SHORT_BINBYTES => self.bytes::<1>()?,
            op::BINBYTES => self.bytes::<4>()?,
            op::BINBYTES8 | op::BYTEARRAY8 => self.bytes::<8>()?,

            op::MARK => {
                self.values.claim(1)?;
                self.marks.push(self.stack.len());
            }
            op::EMPTY_TUPLE => self.tuple(0)?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let elements = self.pop_to_mark()?;
                let tuple = self.values.add(elements);
                self.push(Value::Tuple(tuple))?;
            }
            op::EMPTY_LIST => {
                let list = self.values.add(Vec::new());
                self.push(Value::List(list))?;
            }
            op::APPEND => {
                let element = self.pop()?;
                self.extend(vec![element])?;
            }
            op::APPENDS | op::ADDITEMS => {
                let elements = self.pop_to_mark()?;
                self.extend(elements)?;
            }
            op::EMPTY_DICT => {
                let dict = self.values.add(Vec::new());
                self.push(Value::Dict(dict))?;
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            op::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            op::FROZENSET => {
                self.pop_to_mark()?;
                self.push(Value::PassedOver)?;
            }
            op::POP => drop(self.pop()?),
            op::POP_MARK => drop(self.pop_to_mark()?),

            op::BINPUT => {
                let [place] = self.take()?;
                self.remember(place.into())?;
            }
            op::LONG_BINPUT => {
                let place = u32::from_le_bytes(self.take()?);
                self.remember(place)?;
            }
            op::MEMOIZE => self.remember(self.memo.len() as u32)?,
            op::BINGET => {
                let [place] = self.take()?;
                self.recall(place.into())?;
            }
            op::LONG_BINGET => {
                let place = u32::from_le_bytes(self.take()?);
                self.recall(place)?;
            }

            op::GLOBAL => {
                let module = self.take_line()?;
                let name = self.take_line()?;
                self.global(&module, &name)?;
            }
            op::STACK_GLOBAL => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
                _ => {
                    return Err(PickleError::Malformed(
                        "the name of a Python object is not a text",
                    ));
                }
            },
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = Storage::from_persistent_id(&id, &self.values)?;
                let reference = self.values.refer_to(storage);
                self.push(reference)?;
            }
            op::REDUCE | op::NEWOBJ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(&function, &arguments)?;
            }
            // Sets attributes: of a state dict its `_metadata`, of a passed-over object anything.
            op::BUILD => match (self.pop()?, self.stack.last()) {
                (_, Some(Value::Dict(_) | Value::PassedOver)) => {}
                _ => {
                    return Err(PickleError::Malformed(
                        "it sets the state of an object that has none",
                    ));
                }
            },
            other => return Err(PickleError::Instruction(other)),
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let (taken, rest) = self.input.split_first_chunk().ok_or(PickleError::Truncated)?;
        self.input = rest;
        Ok(*taken)
    }

    /// Bytes that follow their count, a little-endian number of `N` bytes.
    fn take_counted<const N: usize>(&mut self) -> Result<&[u8], PickleError> {
        let mut count = [0; 8];
        count[..N].copy_from_slice(&self.take::<N>()?);
        let count = usize::try_from(u64::from_le_bytes(count)).map_err(|_| PickleError::Truncated)?;
        let (taken, rest) = self.input.split_at_checked(count).ok_or(PickleError::Truncated)?;
        self.input = rest;
        Ok(taken)
    }

    fn take_line(&mut self) -> Result<String, PickleError> {
        let end = self
            .input
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(PickleError::Truncated)?;
        let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
        self.input = &self.input[end + 1..];
        Ok(line)
    }

    fn text<const N: usize>(&mut self) -> Result<(), PickleError> {
        let text = Rc::from(String::from_utf8_lossy(self.take_counted::<N>()?));
        self.push(Value::Text(text))
    }

    fn bytes<const N: usize>(&mut self) -> Result<(), PickleError> {
        self.take_counted::<N>()?;
        self.push(Value::PassedOver)
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        self.values.claim(1)?;
        self.stack.push(value);
        Ok(())
    }

    /// The uppermost value above the last mark.
    fn pop(&mut self) -> Result<Value, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.len() > floor;
        above
            .then(|| self.stack.pop())
            .flatten()
            .ok_or(PickleError::Malformed("it takes a value that is not there"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self
            .marks
            .pop()
            .ok_or(PickleError::Malformed("it closes a container that was not begun"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, length: usize) -> Result<(), PickleError> {
        let mut elements = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        elements.reverse();
        let tuple = self.values.add(elements);
        self.push(Value::Tuple(tuple))
    }

    fn extend(&mut self, elements: Vec<Value>) -> Result<(), PickleError> {
        match self.stack.last() {
            Some(Value::List(list)) => self.values.append(*list, elements),
            Some(Value::PassedOver) => {}
            _ => return Err(PickleError::Malformed("it appends to what is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), PickleError> {
        match self.stack.last() {
            Some(Value::Dict(dict)) if items.len().is_multiple_of(2) => self.values.append(*dict, items),
            Some(Value::PassedOver) => {}
            _ => {
                return Err(PickleError::Malformed(
                    "it sets items of what is not a dictionary",
                ));
            }
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), PickleError> {
        let value = self
            .stack
            .last()
            .ok_or(PickleError::Malformed("it keeps a value that is not there"))?;
        self.values.claim(1)?;
        self.memo.insert(place, value.clone());
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), PickleError> {
        let value = self
            .memo
            .get(&place)
            .ok_or(PickleError::Malformed("it recalls a value it never kept"))?;
        self.push(value.clone())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let global = Global::named(module, name).ok_or_else(|| {
            let printable = format!("{module}.{name}").escape_debug().take(120).collect();
            PickleError::Refused(printable)
        })?;
        self.push(Value::Global(global))
    }

    /// Pushes what calling `function` gives.
    fn call(&mut self, function: &Value, arguments: &Value) -> Result<(), PickleError> {
        let (Value::Global(global), Value::Tuple(arguments)) = (function, arguments) else {
            return Err(PickleError::Malformed("it calls what is not a function"));
        };
        let arguments = self.values.of(*arguments);
        let result = match global {
            Global::Mapping => {
                let items = pairs(arguments, &self.values)?;
                self.values.claim(items.len())?;
                Value::Dict(self.values.add(items))
            }
            Global::RebuildTensor => Value::Tensor(Rc::new(StoredTensor::from_rebuild_arguments(
                arguments,
                &self.values,
            )?)),
            Global::RebuildParameter => match arguments {
                [tensor @ Value::Tensor(_), ..] => tensor.clone(),
                _ => return Err(PickleError::Malformed("a parameter holds no tensor")),
            },
            Global::PassedOver => Value::PassedOver,
            Global::StorageOf(_) => return Err(PickleError::Malformed("it makes a storage without a file")),
        };
        self.push(result)
    }
}

/// The items of `OrderedDict([[key, value], ...])`, which is how Python 2 wrote it; Python 3 calls it
/// without arguments and sets the items later.
fn pairs(arguments: &[Value], values: &Values) -> Result<Vec<Value>, PickleError> {
    let [Value::List(pairs)] = arguments else {
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    for pair in values.of(*pairs) {
        match values.sequence(pair) {
            Some([key, value]) => items.extend([key.clone(), value.clone()]),
            _ => {
                return Err(PickleError::Malformed(
                    "a dictionary is made of what are not pairs",
                ));
            }
        }
    }
    Ok(items)
}

/// A little-endian two's complement number of any length; those beyond 64 bits mean nothing here.
fn long(bytes: &[u8]) -> Value {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut number = [if negative { 0xff } else { 0 }; 8];
    match number.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::PassedOver,
    }
    Value::Int(i64::from_le_bytes(number))
}

#[cfg(test)]
mod tests;
