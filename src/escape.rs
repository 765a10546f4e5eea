//! Escapes control characters in untrusted text (metadata, names of files and tensors) before it is printed: a
//! terminal obeys them.

/// Returns the text with each control character, line ends too, as an escape such as `\n` or `\u{1b}`.
pub fn escape_control(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, character| {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
        line
    })
}

/// JSON in which no control character is left: `serde_json` escapes those of ASCII but DEL, and
/// a terminal obeys those of Latin-1 (U+0080 to U+009F) too.
pub fn escape_control_in_json(json: &str) -> String {
    json.chars().fold(String::new(), |mut text, character| {
        match character {
            '\u{7f}'..='\u{9f}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => text.push(character),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\r\nb\u{7f}é";

    #[test]
    fn control_characters_become_escapes() {
        assert_eq!(escape_control(HOSTILE), r"a\u{1b}[2J\u{9b}31m\r\nb\u{7f}é");
    }

    #[test]
    fn json_stays_the_same_value() {
        let json = escape_control_in_json(&serde_json::to_string(HOSTILE).unwrap());
        assert!(!json.chars().any(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE);
    }
}
