//! Which Python names a checkpoint may mention, and what stands for them here.
//!
//! A pickle builds an object by naming a function or class and its arguments; Python looks the name
//! up and calls it, whatever it is. Here a name is looked up in [`Global::named`] alone, and nothing
//! is called: those that make dictionaries and tensors are understood, some classes of numbers and
//! settings that training loops save beside the weights are passed over, every other is refused.

use tch::Kind;

/// A Python function or class that a checkpoint may name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Global {
    /// A dictionary class.
    Mapping,
    /// The class of a storage, which gives the type of its elements.
    StorageOf(Kind),
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)` or its successor
    /// `_rebuild_tensor_v2`, whose further arguments matter to training alone.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter(tensor, ...)` or `_rebuild_parameter_with_state`.
    RebuildParameter,
    /// Something that is not run and whose result is passed over: no weights are in it.
    PassedOver,
}

impl Global {
    /// What stands for a Python name; `None` refuses it.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        let global = match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Self::Mapping,

            ("torch", "BoolStorage") => Self::StorageOf(Kind::Bool),
            ("torch", "ByteStorage") => Self::StorageOf(Kind::Uint8),
            ("torch", "CharStorage") => Self::StorageOf(Kind::Int8),
            ("torch", "ShortStorage") => Self::StorageOf(Kind::Int16),
            ("torch", "IntStorage") => Self::StorageOf(Kind::Int),
            ("torch", "LongStorage") => Self::StorageOf(Kind::Int64),
            ("torch", "HalfStorage") => Self::StorageOf(Kind::Half),
            ("torch", "BFloat16Storage") => Self::StorageOf(Kind::BFloat16),
            ("torch", "FloatStorage") => Self::StorageOf(Kind::Float),
            ("torch", "DoubleStorage") => Self::StorageOf(Kind::Double),

            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }

            ("torch", "Size" | "device" | "float16" | "bfloat16" | "float32" | "float64") => Self::PassedOver,
            ("argparse", "Namespace") => Self::PassedOver,
            ("pathlib", "PosixPath" | "WindowsPath") => Self::PassedOver,
            ("numpy", "dtype" | "ndarray") => Self::PassedOver,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct") => {
                Self::PassedOver
            }
            ("_codecs", "encode") => Self::PassedOver,
            ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "dict" | "int" | "float") => {
                Self::PassedOver
            }
            ("collections", "Counter") => Self::PassedOver,
            _ => return None,
        };
        Some(global)
    }
}
