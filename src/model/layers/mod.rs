//! The layers that the networks are made of: convolution, batch normalisation, PReLU, linear.
//!
//! Every layer is built from a [`Path`](tch::nn::Path) whose name is PyTorch's, with parameters that are zero until
//! weights are loaded. A layer can be [prepared](ConvBn::prepare) for inference: batch normalisation folded into the
//! convolution before it, other precision, other memory layout.

mod conv;
mod joined;
mod linear;
mod norm;
mod parameter;
mod prelu;

pub use conv::{Conv, ConvSpec};
pub use joined::Joined;
pub use linear::Linear;
pub use norm::{ConvBn, Mode};
pub use parameter::Parameter;
#[cfg(test)]
pub use parameter::channels_last;
pub use prelu::ConvBnPrelu;
