//! Lines of a text file, with what editors and spreadsheets add to them taken off.

use std::fs;
use std::path::Path;

use super::error::Error;
use super::mismatch::Mismatch;

/// The whole file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::reading(path))
}

/// A line that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// 1-based.
    pub number: usize,
    /// Without line end, blanks around it and commas at its end; never empty.
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// The values between the commas, without blanks around them.
    pub fn fields(self) -> impl Iterator<Item = &'a str> + Clone {
        self.text.split(',').map(str::trim)
    }
}

/// The lines of a file, in order. Taken off: a UTF-8 byte order mark, CR before LF, blanks and
/// commas at the end of a line, blank lines at the end of the file. A blank line between others is
/// an error, since it may stand for a lost row; so is text that is not UTF-8.
pub(super) struct Lines<'a> {
    path: &'a Path,
    rest: &'a [u8],
    /// Lines taken so far.
    number: usize,
}

impl<'a> Lines<'a> {
    /// `path` is for messages only.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        let rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Lines {
            path,
            rest,
            number: 0,
        }
    }

    /// The first line, which the file must have; `expected`: what it should be.
    pub fn first(&mut self, expected: impl FnOnce() -> String) -> Result<Line<'a>, Error> {
        match self.next() {
            Some(line) => line,
            None => Err(Mismatch::new("", expected()).at(self.path, 1)),
        }
    }

    /// Parses the remaining lines one by one; the error of the first that `parse` refuses.
    pub fn each(mut self, mut parse: impl FnMut(Line<'a>) -> Result<(), Mismatch>) -> Result<(), Error> {
        while let Some(line) = self.next().transpose()? {
            parse(line).map_err(|mismatch| mismatch.at(self.path, line.number))?;
        }
        Ok(())
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        self.number += 1;

        let complaint = |found: &str, expected: &str| {
            Some(Err(Mismatch::new(found, expected).at(self.path, self.number)))
        };
        let Ok(text) = str::from_utf8(line) else {
            return complaint(&String::from_utf8_lossy(line), "UTF-8 text");
        };
        let text = text
            .trim_start()
            .trim_end_matches(|c: char| c == ',' || c.is_whitespace());
        if !text.is_empty() {
            return Some(Ok(Line {
                number: self.number,
                text,
            }));
        }
        if rest
            .iter()
            .all(|byte| byte.is_ascii_whitespace() || *byte == b',')
        {
            self.rest = &[];
            return None;
        }
        complaint("", "no empty line before the last row")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(usize, String)>, String> {
        Lines::new(Path::new("f"), bytes)
            .map(|line| {
                line.map(|l| (l.number, l.text.to_owned()))
                    .map_err(|e| e.to_string())
            })
            .collect()
    }

    #[test]
    fn marks_line_ends_and_trailing_commas_are_taken_off() {
        let expected = Ok(vec![(1, "a,b".to_owned()), (2, "c".to_owned())]);
        for text in [
            "a,b\nc\n",
            "a,b\r\nc\r\n",
            "\u{feff}a,b\nc",
            "a,b,\nc,,\n",
            "a,b , \nc\n\n\r\n \n",
            " a,b\nc\n,\n",
        ] {
            assert_eq!(lines(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(lines(b""), Ok(vec![]));
        assert_eq!(lines(b"\xEF\xBB\xBF\r\n"), Ok(vec![]));
    }

    #[test]
    fn blank_lines_inside_and_other_encodings_are_errors() {
        assert_eq!(
            lines(b"a\n\nb\n"),
            Err("f:2: found nothing, expected no empty line before the last row".to_owned())
        );
        assert!(lines(b"a\n\xff\n").unwrap_err().starts_with("f:2: found"));
        assert!(
            lines(b"\xFF\xFEv\0a\0")
                .unwrap_err()
                .ends_with("expected UTF-8 text")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_numbers_ascend(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(lines) = lines(&bytes) {
                prop_assert!(lines.windows(2).all(|w| w[0].0 + 1 == w[1].0));
                prop_assert!(lines.iter().all(|(_, text)| !text.is_empty() && !text.ends_with(',')));
            }
        }
    }
}
