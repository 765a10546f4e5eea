//! The multitask DDAMFN network (arXiv 2407.12390): layers, heads, weights in and out, inference
//! forms.
//!
//! ```text
//! crop -> backbone -> direction attention -> embedding -> heads
//!         MFN         two heads, maximum     512 values   valence/arousal, expressions, action units
//! ```
//!
//! [`Ddamfn`] is the one definition of the network: training and parity tests run it as it stands,
//! and [`Predictor`] runs a copy that was [prepared](Ddamfn::prepare) for speed.

mod architecture;
mod backbone;
mod coordinate_attention;
mod crop;
mod ddamfn;
mod detector;
mod detector_error;
mod device_resize;
mod direction_attention;
mod elementwise;
mod ensemble;
mod error;
mod excitation;
mod feed;
mod heads;
mod identity_network;
mod inference_form;
mod initial_weights;
mod layers;
mod mixed_depthwise;
mod named_tensors;
mod precision;
mod precision_trial;
mod predictor;
pub mod retinaface;
mod settings;
mod staging;
pub mod torchscript;
pub mod weights;

pub use architecture::{ATTENTION_HEADS, AffectNet, Architecture, ClassOrder, Emotions, Tasks, is_unused};
pub use backbone::Backbone;
pub use crop::{AlignedFace, FaceCrops, Normalisation};
pub use ddamfn::{Ddamfn, Outputs, parameter_shapes};
pub use detector::{Detector, PendingDetections};
pub use detector_error::DetectorError;
pub use ensemble::{Ensemble, Network, PendingInference};
pub use error::{Misshapen, ModelError, NotFinite};
pub use feed::{FaceBatch, Feed, FrameBatch};
pub use heads::HeadOutputs;
pub use identity_network::{IDENTITY_FEATURE, IdentityError, IdentityNetwork};
pub use inference_form::InferenceForm;
pub use initial_weights::initial_weights;
pub use layers::Mode;
pub use named_tensors::NamedTensors;
pub use precision::{Precision, PrecisionChoice};
pub use precision_trial::PrecisionTrial;
pub use predictor::{FEATURE, FaceOutputs, Predictor};
pub use settings::{MemberSettings, ModelSettings};
