//! An error and its causes as one sentence.

use std::error::Error;
use std::fmt::Display;

/// The message of an error and those of its sources, outermost first, joined by `: `.
///
/// A source whose text the sentence contains already is left out, since some errors print their source themselves. Of a source's
/// message the first line counts.
pub fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // libtorch's go on with a backtrace.
        let text = text.lines().next().unwrap_or_default();
        if !sentence.contains(text) {
            sentence.push_str(": ");
            sentence.push_str(text);
        }
        source = cause.source();
    }
    sentence
}

/// The first line of an error's message: libtorch's go on with a C++ stack trace, which is not for people.
pub fn first_line(error: &impl Display) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the plan")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("run: {0}")]
    struct Printing(#[source] Outer);

    #[test]
    fn causes_follow_their_effects_once() {
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(sentence(&error), "cannot read the plan: disk on fire");
        assert_eq!(
            sentence(&Printing(error)),
            "run: cannot read the plan: disk on fire"
        );
    }
}
