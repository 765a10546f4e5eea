//! Paths in URLs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as a part of a URL: all bytes but letters, digits, `/` and `-._~` as `%20` (RFC 3986).
pub fn percent_encoded(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    let encoded = bytes.map(|&byte| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_urls_reserve_is_encoded() {
        // urllib.parse.quote(path, safe="/")
        assert_eq!(
            percent_encoded(Path::new("/v/a#1 & 2+\u{e9}%41~_-.mp4")),
            "/v/a%231%20%26%202%2B%C3%A9%2541~_-.mp4"
        );
    }
}
