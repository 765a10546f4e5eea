//! Recognises the films that `abaw render` writes, so that they are not annotated in their turn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The comment of every film that this program writes.
pub const FILM_COMMENT: &str = "rendered by abaw";

/// Most bytes of the part of a film that has its comment.
const LONGEST_USER_DATA: u64 = 64 << 10;

/// Whether a file is a film that this program wrote: MP4 with [`FILM_COMMENT`]. Reads a few bytes. A file that cannot be
/// read is none.
pub fn is_own_film(path: &Path) -> bool {
    let has_extension = path
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case("mp4"));
    // Opening a pipe would wait for its other end.
    let is_file = || path.metadata().is_ok_and(|file| file.is_file());
    has_extension && is_file() && user_data(path).is_ok_and(|data| holds_comment(&data))
}

fn holds_comment(data: &[u8]) -> bool {
    let comment = FILM_COMMENT.as_bytes();
    data.windows(comment.len()).any(|window| window == comment)
}

/// The box `moov/udta` of an MP4 file (ISO/IEC 14496-12): a box is its length in 4 bytes, its name, its content.
fn user_data(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let (start, length) = find(&file, *b"moov", 0, end)?;
    let (start, length) = find(&file, *b"udta", start, start.saturating_add(length))?;
    let mut data = vec![0; length.min(LONGEST_USER_DATA) as usize];
    file.read_exact_at(&mut data, start)?;
    Ok(data)
}

/// Where the content of the first box of a name begins, and its length.
fn find(file: &File, name: [u8; 4], mut at: u64, end: u64) -> io::Result<(u64, u64)> {
    while at + 8 <= end {
        let mut head = [0; 16];
        file.read_exact_at(&mut head[..8], at)?;
        let [length, found] = [&head[..4], &head[4..8]].map(<[u8; 4]>::try_from);
        let (Ok(length), Ok(found)) = (length, found) else {
            break;
        };
        let (header, length) = match u32::from_be_bytes(length) {
            0 => (8, end - at),
            // Longer boxes have their length after the name.
            1 => {
                file.read_exact_at(&mut head[8..], at + 8)?;
                let long = head[8..].try_into().map_or(0, u64::from_be_bytes);
                (16, long)
            }
            short => (8, u64::from(short)),
        };
        if length < header {
            break;
        }
        if found == name {
            return Ok((at + header, length - header));
        }
        at = at.saturating_add(length);
    }
    Err(io::ErrorKind::NotFound.into())
}
