//! Features of faces on their way to a file. They lie on the disk, so that memory does not grow with a video's length.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::timeline::FaceSlot;
use crate::model::FEATURE;

/// Bytes of a feature, in half precision.
const BYTES: usize = 2 * FEATURE;

/// The features of one video's faces, in a file without a name, which goes with the process.
#[derive(Debug)]
pub struct FeatureStore(File);

impl FeatureStore {
    /// An empty store on the disk of a folder.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(folder).map(Self)
    }

    /// Keeps a face's feature. Any number of threads may do so at once.
    pub fn put(&self, slot: FaceSlot, feature: &[f32]) -> io::Result<()> {
        let mut halves = [f16::ZERO; FEATURE];
        halves.convert_from_f32_slice(feature);
        let mut bytes = [0; BYTES];
        for (bytes, half) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(halves) {
            *bytes = half.to_le_bytes();
        }
        self.0.write_all_at(&bytes, slot.number() * BYTES as u64)
    }

    /// A face's feature.
    pub fn get(&self, slot: FaceSlot) -> io::Result<[f16; FEATURE]> {
        let mut bytes = [0; BYTES];
        self.0.read_exact_at(&mut bytes, slot.number() * BYTES as u64)?;
        let halves = bytes.as_chunks::<2>().0;
        Ok(std::array::from_fn(|at| f16::from_le_bytes(halves[at])))
    }
}
