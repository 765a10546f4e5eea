//! Temporal networks: from the features and raw outputs of a person's frames to better outputs for the same frames.
//!
//! ```text
//! rows, features -> sequences -> input -> network (a pass in time) -> outputs in place of the raw ones
//!                   a person in a shot    dilated convolutions
//! ```
//!
//! A network is trained with libtorch (`training/temporal/`) and runs here without it: frame by frame, each number summed
//! in one fixed order. So its outputs do not depend on threads or on pieces in which a sequence is given, and memory does
//! not grow with the length of a video.

mod card;
mod input;
mod network;
mod pass;
mod sequences;
mod summary;

pub use card::{TemporalCard, TemporalWeights, TemporalWeightsError};
pub use input::{FaceNumbers, INPUTS, InputScale, NUMBERS, OUTPUTS, face_numbers};
pub use network::{MOST_CHANNELS, TemporalHeads, TemporalNetwork, check_dilations, parameter_shapes, reach};
pub use pass::SequencePass;
pub use sequences::{Sequence, sequences};
pub use summary::TemporalSummary;
