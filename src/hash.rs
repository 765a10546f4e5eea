//! Hashes of settings, as text.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The sha256 of a value's JSON, in hexadecimal: equal values have equal hashes on any machine.
///
/// # Errors
/// A value that cannot be written as JSON, for instance a map whose keys are not text.
pub fn hash(value: &impl Serialize) -> Result<String, serde_json::Error> {
    // Through `Value`, whose maps are sorted by key.
    let json = serde_json::to_string(&serde_json::to_value(value)?)?;
    Ok(hexadecimal(&Sha256::digest(json.as_bytes())))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
