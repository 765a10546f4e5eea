//! Paths as a plan holds them: absolute, and exact even if they are not UTF-8.
//!
//! With serde: a path that is UTF-8 is a JSON string, any other an array of bytes (`#[serde(with = "path")]`).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The absolute form of a path, since a run may be used from another working folder. A path that cannot be resolved is
/// returned as it is.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StoredPath {
    Text(String),
    Bytes(Vec<u8>),
}

/// Writes a path as a string or as bytes.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => text.serialize(serializer),
        None => path.as_os_str().as_bytes().serialize(serializer),
    }
}

/// Reads what [`serialize`] wrote.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match StoredPath::deserialize(deserializer)? {
        StoredPath::Text(text) => PathBuf::from(text),
        StoredPath::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
    })
}
