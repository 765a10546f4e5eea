//! Tensors by name, as weight files hold them, and networks filled with them.

use std::collections::BTreeMap;

use tch::nn::VarStore;
use tch::{TchError, Tensor, no_grad};

use super::error::Misshapen;

/// Tensors by PyTorch's name, as in a checkpoint.
pub type NamedTensors = BTreeMap<String, Tensor>;

/// What keeps tensors from filling a network's parameters, in order of name.
#[derive(Debug, Default)]
pub struct Misfit {
    /// Parameters that there is no tensor for.
    pub missing: Vec<String>,
    /// Tensors of another shape than their parameter.
    pub misshapen: Vec<Misshapen>,
}

/// Compares the parameters of a network, registered in `store`, with tensors of the same names; `None` if the
/// tensors fill all of them. Other tensors do not count.
pub fn misfit(store: &VarStore, tensors: &NamedTensors) -> Option<Misfit> {
    let mut misfit = Misfit::default();
    let parameters: NamedTensors = store.variables().into_iter().collect();
    for (name, parameter) in parameters {
        let expected = parameter.size();
        match tensors.get(&name).map(Tensor::size) {
            None => misfit.missing.push(name),
            Some(found) if found != expected => misfit.misshapen.push(Misshapen {
                name,
                expected,
                found,
            }),
            Some(_) => {}
        }
    }
    (!misfit.missing.is_empty() || !misfit.misshapen.is_empty()).then_some(misfit)
}

/// Copies tensors of any kind and device into the parameters of the same names.
///
/// # Errors
/// libtorch's.
pub fn fill(store: &VarStore, tensors: &NamedTensors) -> Result<(), TchError> {
    for (name, mut parameter) in store.variables() {
        if let Some(tensor) = tensors.get(&name) {
            no_grad(|| parameter.f_copy_(tensor))?;
        }
    }
    Ok(())
}
