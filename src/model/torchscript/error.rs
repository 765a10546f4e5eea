//! What can be wrong with a TorchScript program or its card. Each error is a sentence.

use std::time::Duration;

use tch::TchError;

use crate::error_chain::first_line;

/// Why a program is not loaded or does not fit its card.
#[derive(Debug, thiserror::Error)]
pub enum TorchScriptError {
    /// The file is no program, or is damaged.
    #[error("not a TorchScript program: {0}")]
    NotAProgram(String),
    /// A program that is too large.
    #[error("the program unpacks to {bytes} bytes, but at most {most} are taken")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is taken.
        most: u64,
    },
    /// Code that would do more than compute.
    #[error("refused: its code uses `{word}`, {what}; a network only computes")]
    Refused {
        /// The word in the code.
        word: String,
        /// What it could do.
        what: &'static str,
    },
    /// The time limit is over.
    #[error("given up: {what} took more than {} seconds", limit.as_secs())]
    TooSlow {
        /// What was done.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A card that cannot be understood.
    #[error("the card: {0}")]
    Card(String),
    /// Outputs that are not as the card tells; what is wrong, in words.
    #[error("the network does not fit its card: {0}")]
    DoesNotFit(String),
    /// The program failed.
    #[error("the network failed on {input}: {}", first_line(source))]
    Failed {
        /// The shape of what it was given.
        input: String,
        /// libtorch's reason.
        source: TchError,
    },
    /// libtorch refused an operation.
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
}
