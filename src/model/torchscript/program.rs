//! A TorchScript file: a zip archive with code, constants and numbers. It is data from outside. Before libtorch loads it,
//! its sizes are checked and its code is looked through for what does more than compute.
//!
//! TorchScript is a small language of its own, run by libtorch's interpreter: no Python, no pickled objects of Python. It has no
//! calls of the system and no network, but two operators of libtorch write and read files, and a program may ask for memory
//! or never end. The first are refused here; against the second there are limits.

use std::io::{Cursor, Read, Write};
use std::time::Duration;

use tch::{CModule, Device, jit};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::error::TorchScriptError;
use crate::time_limit;

/// Words of code that do more than compute, and what.
const REFUSED: [(&str, &str); 4] = [
    ("from_file", "which reads and writes files"),
    ("save", "which writes files"),
    ("load", "which reads files"),
    ("breakpoint", "which stops the program"),
];

/// Kinds of operators that only compute.
const OPERATORS: [&str; 4] = ["aten", "prim", "quantized", "prims"];

/// A TorchScript file that has been looked through, without what only debuggers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<u8>);

impl Program {
    /// Bytes that a program may unpack to.
    pub const MOST_BYTES: u64 = 2 << 30;
    /// Seconds that loading may take.
    pub const LOADING: Duration = Duration::from_secs(60);

    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// [`TorchScriptError::NotAProgram`], [`TorchScriptError::TooLarge`] or [`TorchScriptError::Refused`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, TorchScriptError> {
        let damaged = |error: ZipError| TorchScriptError::NotAProgram(error.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice())).map_err(damaged)?;
        // libtorch gets what was looked through: another reader of archives could find other files in these bytes.
        let mut repacked = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let mut unpacked = 0_u64;
        let (mut has_constants, mut has_code) = (false, false);
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(damaged)?;
            unpacked = unpacked.saturating_add(entry.size());
            if unpacked > Self::MOST_BYTES {
                return Err(TorchScriptError::TooLarge {
                    bytes: unpacked,
                    most: Self::MOST_BYTES,
                });
            }
            let name = entry.name().map_err(damaged)?.into_owned();
            let size = entry.size();
            let mut content = Vec::new();
            // One byte more than there should be shows a wrong size.
            let unpacked = entry.by_ref().take(size + 1).read_to_end(&mut content);
            if unpacked.is_err() || content.len() as u64 != size {
                return Err(TorchScriptError::NotAProgram(format!("{name} in it is damaged")));
            }
            // Below the folder of the program's name.
            let Some((_, part)) = name.split_once('/') else {
                continue;
            };
            if !is_read(part) {
                continue;
            }
            has_constants |= part == "constants.pkl";
            if part.starts_with("code/") {
                has_code = true;
                let code = std::str::from_utf8(&content)
                    .map_err(|_| TorchScriptError::NotAProgram(format!("{name} in it is no text")))?;
                refuse_effects(code)?;
            }
            repacked.start_file(name, stored).map_err(damaged)?;
            repacked
                .write_all(&content)
                .map_err(|error| TorchScriptError::NotAProgram(error.to_string()))?;
        }
        if !has_constants || !has_code {
            return Err(TorchScriptError::NotAProgram(
                "no code in it; export a network with torch.jit.trace(...).save(FILE)".to_owned(),
            ));
        }
        Ok(Self(repacked.finish().map_err(damaged)?.into_inner()))
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads the program on a device, in the state for inference.
    ///
    /// # Errors
    /// [`TorchScriptError::TooSlow`], or libtorch's reason.
    pub fn load(&self, device: Device) -> Result<CModule, TorchScriptError> {
        let bytes = self.0.clone();
        let load = move || {
            if device == Device::Cpu {
                // The executor that profiles changes a program after its first runs, and with it the last digits.
                jit::f_set_profiling_mode(false)?;
                jit::f_set_tensor_expr_fuser_enabled(false)?;
            }
            let mut module = CModule::load_data_on_device(&mut bytes.as_slice(), device)?;
            module.f_set_eval()?;
            Ok(module)
        };
        let too_slow = TorchScriptError::TooSlow {
            what: "loading the program",
            limit: Self::LOADING,
        };
        time_limit::within(Self::LOADING, load).ok_or(too_slow)?
    }
}

/// Whether libtorch needs a file of the archive, by its path in there. Others are left out: what only debuggers use, and what
/// would make libtorch read the archive as one of an older kind, whose code lies elsewhere.
fn is_read(part: &str) -> bool {
    const FILES: [&str; 6] = [
        "version",
        "byteorder",
        "data.pkl",
        "constants.pkl",
        ".format_version",
        ".storage_alignment",
    ];
    const FOLDERS: [&str; 4] = ["data/", "constants/", "code/", ".data/"];
    let is_below = FOLDERS.iter().any(|folder| part.starts_with(folder));
    FILES.contains(&part) || is_below && !part.ends_with(".debug_pkl")
}

/// Looks for words that do more than compute, wherever they stand.
fn refuse_effects(code: &str) -> Result<(), TorchScriptError> {
    let refused = |word: &str, what| TorchScriptError::Refused {
        word: word.to_owned(),
        what,
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    for word in code.split(|c| !is_part(c)) {
        if let Some((word, what)) = REFUSED.iter().find(|(refused, _)| *refused == word) {
            return Err(refused(word, what));
        }
    }
    // A name could be hidden in a string that way.
    for (at, _) in code.match_indices('\\') {
        let next = code[at + 1..].chars().next();
        if next.is_some_and(|next| "xuUN01234567".contains(next)) {
            return Err(refused(&code[at..at + 2], "a character in disguise"));
        }
    }
    for (at, _) in code.match_indices("ops.") {
        let is_word = code[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !is_part(before));
        let kind: String = code[at + 4..].chars().take_while(|c| is_part(*c)).collect();
        if is_word && !OPERATORS.contains(&kind.as_str()) {
            return Err(refused(
                &format!("ops.{kind}"),
                "an operator that libtorch itself does not have",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_does_more_than_compute_is_refused() {
        for harmless in [
            "def forward(self, x: Tensor) -> Tensor:\n  return torch.relu(x)\n",
            "_0 = ops.prim.NumToTensor(torch.size(x, 0))",
            "raise Exception(\"a line\\nand another\")",
            "saved = torch.add(x, loads)",
        ] {
            refuse_effects(harmless).unwrap();
        }
        for (code, word) in [
            ("x = torch.from_file(\"/etc/passwd\", False, 10)", "from_file"),
            ("torch.save(x, \"/tmp/file\")", "save"),
            ("f = getattr(torch, \"from_file\")", "from_file"),
            ("f = getattr(torch, \"from\\x5ffile\")", "\\x"),
            ("ops.c10d.send(x)", "ops.c10d"),
        ] {
            let error = refuse_effects(code).unwrap_err().to_string();
            assert!(error.contains(&format!("`{word}`")), "{code}: {error}");
        }
    }
}
