//! The faces of labelled sequences, on the disk, so that memory does not grow with the data.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use half::f16;

use crate::model::FEATURE;
use crate::temporal::{FaceNumbers, NUMBERS, OUTPUTS};

/// Bytes of a frame: whether a face was seen, its feature in half precision, its raw outputs.
const BYTES: usize = 1 + 2 * FEATURE + 4 * OUTPUTS;

/// A file without a name that goes with the process. A frame that was never put is one without a face.
#[derive(Debug)]
pub struct FaceStore {
    file: File,
    frames: u64,
}

impl FaceStore {
    /// An empty store on the disk of a folder.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file, frames: 0 })
    }

    /// Makes room for frames without a face. Returns the place of the first.
    pub fn extend(&mut self, frames: u64) -> io::Result<u64> {
        let first = self.frames;
        self.frames += frames;
        self.file.set_len(self.frames * BYTES as u64)?;
        Ok(first)
    }

    /// Puts a face in its place.
    pub fn put(&self, place: u64, face: &FaceNumbers) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[0] = 1;
        let (feature, outputs) = face.split_at(FEATURE);
        let (halves, singles) = bytes[1..].split_at_mut(2 * FEATURE);
        for (bytes, number) in halves.as_chunks_mut::<2>().0.iter_mut().zip(feature) {
            *bytes = f16::from_f32(*number).to_le_bytes();
        }
        for (bytes, number) in singles.as_chunks_mut::<4>().0.iter_mut().zip(outputs) {
            *bytes = number.to_le_bytes();
        }
        self.file.write_all_at(&bytes, place * BYTES as u64)
    }

    /// The faces at `frames` positions from `first` on; `None` where none was seen.
    pub fn get(&self, first: u64, frames: usize) -> io::Result<Vec<Option<FaceNumbers>>> {
        let mut bytes = vec![0; frames * BYTES];
        self.file.read_exact_at(&mut bytes, first * BYTES as u64)?;
        Ok(bytes.as_chunks::<BYTES>().0.iter().map(face).collect())
    }
}

fn face(bytes: &[u8; BYTES]) -> Option<FaceNumbers> {
    if bytes[0] == 0 {
        return None;
    }
    let mut numbers = [0.0; NUMBERS];
    let (feature, outputs) = numbers.split_at_mut(FEATURE);
    let (halves, singles) = bytes[1..].split_at(2 * FEATURE);
    for (number, bytes) in feature.iter_mut().zip(halves.as_chunks::<2>().0) {
        *number = f16::from_le_bytes(*bytes).to_f32();
    }
    for (number, bytes) in outputs.iter_mut().zip(singles.as_chunks::<4>().0) {
        *number = f32::from_le_bytes(*bytes);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_come_back_as_they_were_put() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FaceStore::in_folder(folder.path()).unwrap();
        assert_eq!(store.extend(3).unwrap(), 0);
        assert_eq!(store.extend(2).unwrap(), 3);
        // A sixteenth is a number of half precision; a third is none, as outputs may be.
        let face: FaceNumbers = std::array::from_fn(|at| match at < FEATURE {
            true => at as f32 / 16.0,
            false => at as f32 / 3.0,
        });
        store.put(3, &face).unwrap();
        assert_eq!(store.get(2, 3).unwrap(), [None, Some(face), None]);
    }
}
