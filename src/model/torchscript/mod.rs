//! Networks that others made, as TorchScript programs: how such a file is opened, what its card tells of it, how its
//! outputs become numbers of faces.
//!
//! ```text
//! .pt -> Program -> loaded, within limits -> ScriptNetwork -> outputs by the card
//!        its code is looked through          crops by the card
//! ```

mod card;
mod error;
mod network;
mod outputs;
mod program;
mod shapes;
mod trial;

pub use card::{
    ActionUnitOutputs, ColourOrder, ExpressionClass, ExpressionOutputs, NetworkCard, NetworkInput,
    NetworkOutputs, OutputForm, OutputUnit, ValenceArousalOutputs,
};
pub use error::TorchScriptError;
pub use network::ScriptNetwork;
pub use program::Program;
pub use shapes::OutputShapes;
pub use trial::{output_shapes, try_out};
