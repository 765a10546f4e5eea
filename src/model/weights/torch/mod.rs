//! Files of `torch.save`, read without Python: nothing in them is run.
//!
//! ```text
//! file -> pickle -> value          storage
//! zip,    op        plain values,  numbers of a tensor
//! legacy  globals   descriptions
//! ```

mod file;
mod globals;
mod op;
mod pickle;
mod storage;
mod value;

pub use file::TorchFile;
pub use storage::StoredTensor;
pub use value::{Pickle, PickleError, Value};
