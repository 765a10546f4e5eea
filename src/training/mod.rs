//! Training of the network: losses.

mod loss;

pub use loss::{ActionUnitMask, Labels, LossWeights, Losses, attention_loss, ccc};
