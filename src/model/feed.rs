//! How frames and faces become batches for the networks: the work of CPU threads before a pass, and the
//! one place that knows sizes of batches and fills them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tch::{Device, TchError};

use super::crop::{AlignedFace, FaceCrops};
use super::staging::{Staging, StagingPool};
use crate::auto_number::AutoNumber;
use crate::face::resize::Resize;
use crate::face::{DetectorSettings, Surroundings};
use crate::frame::Picture;

/// Sizes of batches outside of a run, whose plan holds numbers.
const DEFAULT_FRAMES: usize = 4;
const DEFAULT_FACES: usize = 16;

/// Makes batches for the networks of devices of one kind. The networks always see full batches, since their outputs differ by
/// rounding between sizes of batches: one that is not full is filled up.
#[derive(Debug)]
pub struct Feed {
    whole: bool,
    long_side: u32,
    frames: AtomicUsize,
    faces: AtomicUsize,
    staging: Arc<StagingPool>,
}

/// Pictures before the detector.
#[derive(Debug)]
pub struct FrameBatch {
    /// Without those that fill up.
    pub(super) pictures: usize,
    /// Pictures in the batch, with those that fill up.
    pub(super) size: usize,
    /// Width and height of the network's input.
    pub(super) input: (u32, u32),
    pub(super) pixels: FramePixels,
}

/// The pixels of a [`FrameBatch`].
#[derive(Debug)]
pub(super) enum FramePixels {
    /// `[size, height, width, 3]` of the network's input, in float32: blue, green and red minus their means.
    Resized(Staging),
    /// `[size, height, width, 3]` of whole pictures of this width and height, RGB: the device resizes.
    Whole((u32, u32), Staging),
}

/// Faces before the affect networks.
#[derive(Debug)]
pub struct FaceBatch {
    /// Without those that fill up.
    pub(super) faces: usize,
    /// Faces in the batch, with those that fill up.
    pub(super) size: usize,
    /// `[size, 112, 112, 3]`, RGB.
    pub(super) pixels: Staging,
    /// Of each other form its side, and `[size, side, side, 3]`, RGB.
    pub(super) others: Vec<(u32, Staging)>,
}

impl FrameBatch {
    /// The number of pictures, those that fill up not counted.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// A number for each picture, those that fill up not counted, which differs between pictures as good as always.
    pub fn fingerprints(&self) -> Vec<u64> {
        let (FramePixels::Resized(bytes) | FramePixels::Whole(_, bytes)) = &self.pixels;
        let mut fingerprints = bytes.fingerprints(self.size);
        fingerprints.truncate(self.pictures);
        fingerprints
    }

    /// Width and height of the network's input in pixels.
    pub fn input(&self) -> (u32, u32) {
        self.input
    }
}

impl FaceBatch {
    /// A number for each face, those that fill up not counted, which differs between faces as good as always.
    pub fn fingerprints(&self) -> Vec<u64> {
        let mut fingerprints = self.pixels.fingerprints(self.size);
        for (_, pixels) in &self.others {
            for (fingerprint, other) in fingerprints.iter_mut().zip(pixels.fingerprints(self.size)) {
                *fingerprint = fingerprint.rotate_left(1) ^ other;
            }
        }
        fingerprints.truncate(self.faces);
        fingerprints
    }

    /// The number of faces, those that fill up not counted.
    pub fn faces(&self) -> usize {
        self.faces
    }
}

impl Feed {
    /// The feed of a device and others of its kind: batches of `settings.batch` pictures and `faces` faces. `whole`: the device resizes pictures.
    pub fn new(device: Device, settings: &DetectorSettings, faces: AutoNumber, whole: bool) -> Arc<Self> {
        Arc::new(Self {
            whole,
            long_side: settings.long_side,
            frames: AtomicUsize::new(settings.batch.or(DEFAULT_FRAMES)),
            faces: AtomicUsize::new(faces.or(DEFAULT_FACES)),
            staging: StagingPool::new(device),
        })
    }

    /// Pictures in a batch.
    pub fn frame_batch(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    /// Faces in a batch.
    pub fn face_batch(&self) -> usize {
        self.faces.load(Ordering::Relaxed)
    }

    /// From now on batches of pictures are half as large; `None` if they hold one.
    pub fn halve_frame_batch(&self) -> Option<usize> {
        halve(&self.frames)
    }

    /// From now on batches of faces are half as large; `None` if they hold one.
    pub fn halve_face_batch(&self) -> Option<usize> {
        halve(&self.faces)
    }

    /// Width and height in which pictures of a batch must be equal: those of the network's input, or their own if the
    /// device resizes them.
    pub fn key(&self, picture: &Picture) -> (u32, u32) {
        match self.whole {
            true => (picture.width(), picture.height()),
            false => Resize::output_size(picture.width(), picture.height(), self.long_side),
        }
    }

    /// A batch of pictures that are equal in their [key](Feed::key) and not empty; at most [`Feed::frame_batch`] are
    /// taken.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn frames(&self, pictures: &[&Picture]) -> Result<FrameBatch, TchError> {
        let size = self.frame_batch();
        let pictures = &pictures[..pictures.len().min(size)];
        let first = pictures
            .first()
            .map_or((1, 1), |first| (first.width(), first.height()));
        let input = Resize::output_size(first.0, first.1, self.long_side);
        let pixels = match self.whole {
            true => FramePixels::Whole(first, self.whole(pictures, size, first)?),
            false => FramePixels::Resized(self.resized(pictures, size, input)?),
        };
        Ok(FrameBatch {
            pictures: pictures.len(),
            size,
            input,
            pixels,
        })
    }

    /// A batch of the parts of one picture; there has to be one.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn parts(&self, picture: &Picture, parts: &Surroundings) -> Result<FrameBatch, TchError> {
        let (input, corners) = (parts.size(), parts.corners());
        let floats = input.0 as usize * input.1 as usize * 3;
        let mut staging = self.staging.take(corners.len() * floats * size_of::<f32>())?;
        let resize = Resize::to_long_side(picture.width(), picture.height(), self.long_side);
        let outputs = staging.floats_mut().chunks_exact_mut(floats.max(1));
        for (&corner, output) in corners.iter().zip(outputs) {
            resize.write_part(picture, corner, input, output);
        }
        Ok(FrameBatch {
            pictures: corners.len(),
            size: corners.len(),
            input,
            pixels: FramePixels::Resized(staging),
        })
    }

    fn resized(&self, pictures: &[&Picture], batch: usize, input: (u32, u32)) -> Result<Staging, TchError> {
        let floats = input.0 as usize * input.1 as usize * 3;
        let mut staging = self.staging.take(batch * floats * size_of::<f32>())?;
        let (values, blank) = staging.floats_mut().split_at_mut(pictures.len() * floats);
        let mut resize: Option<((u32, u32), Resize)> = None;
        for (picture, output) in pictures.iter().zip(values.chunks_exact_mut(floats)) {
            let size = (picture.width(), picture.height());
            let resize = match &resize {
                Some((of, resize)) if *of == size => resize,
                _ => {
                    &resize
                        .insert((size, Resize::to_long_side(size.0, size.1, self.long_side)))
                        .1
                }
            };
            resize.write(picture, output);
        }
        blank.fill(0.0);
        Ok(staging)
    }

    fn whole(&self, pictures: &[&Picture], batch: usize, size: (u32, u32)) -> Result<Staging, TchError> {
        let bytes = size.0 as usize * size.1 as usize * 3;
        let mut staging = self.staging.take(batch * bytes)?;
        let (filled, blank) = staging.bytes_mut().split_at_mut(pictures.len() * bytes);
        for (picture, output) in pictures.iter().zip(filled.chunks_exact_mut(bytes)) {
            output.copy_from_slice(picture.rgb());
        }
        blank.fill(0);
        Ok(staging)
    }

    /// A batch of faces, filled up with the last one; at most [`Feed::face_batch`] are taken.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn faces(&self, faces: &[&FaceCrops]) -> Result<FaceBatch, TchError> {
        let size = self.face_batch();
        let faces = &faces[..faces.len().min(size)];
        let aligned: Vec<&Picture> = faces.iter().map(|face| face.aligned.picture()).collect();
        let forms = faces.first().map_or(0, |face| face.others.len());
        let others = (0..forms).map(|form| {
            let crops: Vec<&Picture> = faces.iter().filter_map(|face| face.others.get(form)).collect();
            let side = crops.first().map_or(0, |crop| crop.width());
            Ok((side, self.crops(&crops, size, side)?))
        });
        Ok(FaceBatch {
            faces: faces.len(),
            size,
            pixels: self.crops(&aligned, size, AlignedFace::SIDE)?,
            others: others.collect::<Result<_, TchError>>()?,
        })
    }

    /// Square crops of one size, filled up with the last one.
    fn crops(&self, crops: &[&Picture], size: usize, side: u32) -> Result<Staging, TchError> {
        let bytes = (side * side * 3) as usize;
        let mut pixels = self.staging.take(size * bytes)?;
        let filled = crops
            .iter()
            .chain(std::iter::repeat_n(crops.last(), size).flatten());
        for (crop, output) in filled.zip(pixels.bytes_mut().chunks_exact_mut(bytes.max(1))) {
            output.copy_from_slice(crop.rgb());
        }
        Ok(pixels)
    }
}

fn halve(size: &AtomicUsize) -> Option<usize> {
    let half = size.load(Ordering::Relaxed) / 2;
    (half > 0).then(|| size.store(half, Ordering::Relaxed))?;
    Some(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_filled_up_and_halved_down_to_one() {
        let settings = DetectorSettings {
            long_side: 32,
            batch: AutoNumber::of(4).unwrap(),
            ..DetectorSettings::default()
        };
        let feed = Feed::new(Device::Cpu, &settings, AutoNumber::of(3).unwrap(), false);
        let picture = Picture::black(64, 32);
        assert_eq!(feed.key(&picture), (32, 16));
        let batch = feed.frames(&[&picture; 3]).unwrap();
        assert_eq!((batch.pictures(), batch.size, batch.input()), (3, 4, (32, 16)));
        let FramePixels::Resized(mut staging) = batch.pixels else {
            panic!("not resized")
        };
        let values = staging.floats_mut();
        assert_eq!(values.len(), 4 * 32 * 16 * 3);
        assert!(values[3 * 32 * 16 * 3..].iter().all(|value| *value == 0.0));
        let mut faces = [1, 2].map(|grey| {
            let mut picture = Picture::black(112, 112);
            picture.rgb_mut().fill(grey);
            FaceCrops::from(AlignedFace::new(picture).unwrap())
        });
        faces.reverse();
        let mut batch = feed.faces(&[&faces[0], &faces[1]]).unwrap();
        assert_eq!((batch.faces(), batch.size), (2, 3));
        let bytes = batch.pixels.bytes_mut();
        assert_eq!(
            [bytes[0], bytes[112 * 112 * 3], bytes[2 * 112 * 112 * 3]],
            [2, 1, 1]
        );
        assert_eq!(
            [
                feed.halve_frame_batch(),
                feed.halve_frame_batch(),
                feed.halve_frame_batch()
            ],
            [Some(2), Some(1), None]
        );
        assert_eq!(
            [feed.halve_face_batch(), feed.halve_face_batch()],
            [Some(1), None]
        );
    }
}
