//! Files of `torch.save`, read without Python: nothing in them is run.
//!
//! ```text
//! file -> pickle -> value
//! zip,    globals   plain values,
//! legacy            descriptions of tensors
//! ```

mod file;
mod globals;
mod pickle;
mod value;

pub use file::TorchFile;
pub use value::{Pickle, PickleError, StoredTensor, Value};
