//! What can be wrong with a file of weights. Each error is one line: the file, the reason, what to do.

use std::io;
use std::path::{Path, PathBuf};

use tch::TchError;

use super::torch::PickleError;
use crate::error_chain::first_line;
use crate::model::error::ModelError;
use crate::model::torchscript::TorchScriptError;

/// Weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file system's own reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file of another kind, or of a kind that cannot be used.
    #[error("{}: not usable as weights: {reason}", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
    /// A file that contradicts itself: cut off, overwritten, made to deceive.
    #[error("{}: damaged, get it again: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
    /// A pickle that names more than tensors and plain values. It was not run.
    #[error(
        "{}: refused, since it holds the Python object `{object}`, which would have to be run; if you trust the file, \
         make a state dict of it where that object can be imported: {}",
        path.display(), state_dict_of(path, "torch.load", ", weights_only=False")
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it would have to run or make.
        object: String,
    },
    /// A program with its weights, not weights alone.
    #[error(
        "{0}: a TorchScript program. As a network of its own it needs a card: `abaw weights card {0} > card.toml`, fill it \
         in, then `abaw weights import` with `--card card.toml`. If it is a DDAMFN, make a state dict of it: {1}",
        path.display(), state_dict_of(path, "torch.jit.load", "")
    )]
    TorchScript {
        /// The file.
        path: PathBuf,
    },
    /// A TorchScript network that cannot be used.
    #[error("{}: {source}", path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: TorchScriptError,
    },
    /// A TorchScript network in place of DDAMFN weights.
    #[error("{}: a TorchScript network, but weights of a DDAMFN are needed here", path.display())]
    NoDdamfn {
        /// The file.
        path: PathBuf,
    },
    /// More than one network, none of them the obvious one.
    #[error("{}: several networks in it, under {places:?}; save the one that is meant by itself", path.display())]
    SeveralNetworks {
        /// The file.
        path: PathBuf,
        /// Their keys or prefixes; empty for the top.
        places: Vec<String>,
    },
    /// The tensors do not make up a network; all that is missing or misshapen is listed.
    #[error("{}: {source}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ModelError,
    },
    /// Training diverged, or the numbers are of a type that weights do not have.
    #[error("{}: NaN, infinite or integer numbers in {}", path.display(), names.join(", "))]
    NotNumbers {
        /// The file.
        path: PathBuf,
        /// Names of the tensors.
        names: Vec<String>,
    },
    /// Metadata of this program that cannot be understood or contradicts the tensors.
    #[error("{}: metadata: {reason}", path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
    /// A number that half precision cannot hold.
    #[error("{name} has numbers too large for f16: store as bf16 or f32")]
    TooLarge {
        /// Name of the tensor.
        name: String,
    },
    /// Nothing is overwritten unless asked for.
    #[error("{}: exists already; overwrite it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// libtorch refused an operation.
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
}

impl WeightsError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn not_weights(path: &Path, reason: impl Into<String>) -> Self {
        Self::NotWeights {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn no_network(path: &Path) -> Self {
        Self::not_weights(
            path,
            "no tensor in it is named `features.0.conv.weight`, as DDAMFN's first layer is",
        )
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn pickle(path: &Path, error: PickleError) -> Self {
        match error {
            PickleError::Refused(object) => Self::Refused {
                path: path.to_owned(),
                object,
            },
            PickleError::Truncated => Self::damaged(path, "its pickle ends too early"),
            other => Self::not_weights(
                path,
                format!("its pickle is not as `torch.save` writes them: {other}"),
            ),
        }
    }
}

/// A line of shell that makes a state dict of a file that its user trusts.
fn state_dict_of(path: &Path, load: &str, options: &str) -> String {
    // The name may be untrusted, too, and this line is made to be pasted into a shell.
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    format!(
        "python3 -c \"import sys, torch; x = {load}(sys.argv[1], map_location='cpu'{options}); \
         x = x if isinstance(x, dict) else x.state_dict(); \
         x = x.get('model_state_dict', x.get('state_dict', x)); \
         torch.save({{k: v for k, v in x.items() if torch.is_tensor(v)}}, sys.argv[2])\" {} {}",
        quoted(path),
        quoted(&path.with_extension("state_dict.pth")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_quotes() {
        let path = Path::new("a'; touch b; '.pth");
        let line = state_dict_of(path, "torch.load", "");
        assert!(
            line.ends_with(r#" 'a'\''; touch b; '\''.pth' 'a'\''; touch b; '\''.state_dict.pth'"#),
            "{line}"
        );
    }
}
