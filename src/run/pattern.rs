//! Patterns such as `clips/*.mp4` that no shell has expanded: in quotation marks, in a scheduler, in a program's call.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

/// As a shell matches: no star reaches over a `/`, and hidden files are named.
const AS_SHELLS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Returns the paths that a pattern of `*`, `?`, `[...]` and `**` matches, in order. A path that exists, is no pattern or
/// matches nothing is returned as it is.
pub fn expand(argument: &Path) -> Vec<PathBuf> {
    let found = argument
        .to_str()
        .filter(|text| text.contains(['*', '?', '[']) && argument.symlink_metadata().is_err())
        .and_then(|pattern| glob_with(pattern, AS_SHELLS).ok());
    // What cannot be read does not match, as in a shell.
    let matched: Vec<PathBuf> = found.into_iter().flatten().filter_map(Result::ok).collect();
    match matched.is_empty() {
        true => vec![argument.to_owned()],
        false => matched,
    }
}
