//! What is wrong with a line, before its number and file are known.

/// Characters shown of what was found in a file.
const SHOWN_CHARACTERS: usize = 60;

/// An error in a line whose number and file are not known yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// What the line contains, made by [`quoted`].
    pub found: String,
    /// What its format asks for.
    pub expected: String,
}

impl Mismatch {
    /// `found` is shown quoted.
    pub fn new(found: &str, expected: impl Into<String>) -> Self {
        Mismatch {
            found: quoted(found),
            expected: expected.into(),
        }
    }
}

/// Text from a file, safe and short enough to print.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", shown.escape_debug())
}
