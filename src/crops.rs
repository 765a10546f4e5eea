//! Reads folders of aligned crops, as in Aff-Wild2: `00001.jpg`, named by the number of the frame.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, ImageReader, RgbImage};

use crate::bilinear;
use crate::face::template::CROP_SIZE;
use crate::frame::{FrameIndex, Picture};
use crate::path_error::PathError;

/// The images of one folder in the order of their frames; gaps are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CropFolder {
    images: BTreeMap<FrameIndex, PathBuf>,
    /// Number of images whose names are not frame numbers.
    unnumbered: usize,
}

/// A folder of crops, or one of its images, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CropError {
    /// The folder cannot be listed.
    #[error(transparent)]
    File(#[from] PathError),
    /// Two images have the same number.
    #[error("{}: two images of frame {frame}: {} and {}", folder.display(), first.display(), second.display())]
    Twice {
        /// The folder.
        folder: PathBuf,
        /// The frame.
        frame: FrameIndex,
        /// The image whose path sorts first.
        first: PathBuf,
        /// The other image.
        second: PathBuf,
    },
    /// No image is named by a number.
    #[error("{}: no images named by frame number, such as 00001.jpg", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// An image cannot be read or decoded.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl CropFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// [`CropError`] if it cannot be listed, holds no numbered image, or two of one number.
    pub fn open(folder: &Path) -> Result<Self, CropError> {
        let mut images = BTreeMap::new();
        let mut unnumbered = 0;
        for entry in std::fs::read_dir(folder).map_err(PathError::at(folder))? {
            let path = entry.map_err(PathError::at(folder))?.path();
            if !is_image_name(&path) {
                continue;
            }
            let Some(frame) = frame_number(&path) else {
                unnumbered += 1;
                continue;
            };
            if let Some(first) = images.insert(frame, path.clone()) {
                return Err(CropError::Twice {
                    folder: folder.to_owned(),
                    frame,
                    first: first.clone().min(path.clone()),
                    second: first.max(path),
                });
            }
        }
        if images.is_empty() {
            return Err(CropError::Empty {
                folder: folder.to_owned(),
            });
        }
        Ok(Self { images, unnumbered })
    }

    /// Returns frames and their images, in order.
    pub fn images(&self) -> impl ExactSizeIterator<Item = (FrameIndex, &Path)> {
        self.images.iter().map(|(&frame, path)| (frame, path.as_path()))
    }

    /// Returns the number of images left out because their names are not frame numbers.
    pub fn unnumbered(&self) -> usize {
        self.unnumbered
    }
}

/// Reads an image as [`decode_crop`] does.
///
/// # Errors
/// [`CropError::Unreadable`] with the reason.
pub fn read_crop(path: &Path) -> Result<Picture, CropError> {
    let (mut crops, ()) = read_crop_and(path, &[CROP_SIZE], |_| ())?;
    crops.pop().ok_or_else(|| CropError::Unreadable {
        path: path.to_owned(),
        reason: NO_PIXELS.to_owned(),
    })
}

/// As [`read_crop`], in each of `sides`; `examine` gets the bytes of the file, too.
///
/// # Errors
/// As [`read_crop`].
pub fn read_crop_and<T>(
    path: &Path,
    sides: &[u32],
    examine: impl FnOnce(&[u8]) -> T,
) -> Result<(Vec<Picture>, T), CropError> {
    let unreadable = |reason: String| CropError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let image = decode(&bytes).map_err(unreadable)?;
    let crops = sides.iter().map(|&side| resized(&image, side));
    let crops = crops.collect::<Result<_, _>>().map_err(unreadable)?;
    Ok((crops, examine(&bytes)))
}

/// Decodes an image as RGB and resizes it to 112x112 pixels, bilinear, whatever its shape, as the authors of
/// arXiv 2407.12390 do: with Pillow, bit for bit. The error is the reason why `bytes` cannot be decoded; an image that was
/// cut off in copying is none, though its upper part could be seen.
pub fn decode_crop(bytes: &[u8]) -> Result<Picture, String> {
    resized(&decode(bytes)?, CROP_SIZE)
}

const NO_PIXELS: &str = "the image has no pixels";

fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !has_jpeg_end(bytes) {
        return Err("cut off: the end of the image is missing; copy it again".to_owned());
    }
    Ok(reader.decode().map_err(|error| error.to_string())?.into_rgb8())
}

fn resized(image: &RgbImage, side: u32) -> Result<Picture, String> {
    if image.is_empty() {
        return Err(NO_PIXELS.to_owned());
    }
    let resized = match image.dimensions() == (side, side) {
        true => image.clone(),
        false => bilinear::resize(image, side, side),
    };
    Picture::from_rgb(side, side, resized.into_raw()).ok_or_else(|| NO_PIXELS.to_owned())
}

/// Returns whether a JPEG file has its end marker. Decoders fill what is missing with grey and report nothing.
fn has_jpeg_end(bytes: &[u8]) -> bool {
    // Behind the start marker.
    let mut at = 2;
    loop {
        let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        else {
            return false;
        };
        at += found + 1;
        match bytes.get(at) {
            Some(0xd9) => return true,
            // Fill bytes.
            Some(0xff) => {}
            // Bytes of the picture, and markers without a length.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(_) => {
                let length = bytes.get(at + 1..at + 3).and_then(|length| length.first_chunk());
                at += 1 + length.map_or(usize::MAX / 2, |&length| u16::from_be_bytes(length).into());
            }
            None => return false,
        }
    }
}

/// Returns whether a name is that of an image that may be a crop: `.jpg`, `.jpeg`, `.png`, `.webp`, `.bmp`, `.tif`,
/// `.tiff`.
pub fn is_image_name(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(OsStr::to_str)
        .unwrap_or("")
        .to_ascii_lowercase();
    matches!(
        extension.as_str(),
        "jpg" | "jpeg" | "png" | "webp" | "bmp" | "tif" | "tiff"
    )
}

fn frame_number(path: &Path) -> Option<FrameIndex> {
    let stem = path.file_stem()?.to_str()?;
    let digits = stem.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| stem.parse().ok())
        .flatten()
        .and_then(FrameIndex::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            RgbImage::new(4, 4).save(folder.path().join(name)).unwrap();
        }
        folder
    }

    #[test]
    fn images_come_in_the_order_of_their_numbers() {
        let folder = folder_of(&["00010.jpg", "00002.png", "3.jpg", "cover.jpg", "00000.jpg"]);
        let crops = CropFolder::open(folder.path()).unwrap();
        let frames: Vec<u32> = crops.images().map(|(frame, _)| frame.number()).collect();
        assert_eq!(frames, [0, 2, 3, 10]);
        assert_eq!(crops.unnumbered(), 1);
    }

    #[test]
    fn one_frame_twice_and_no_frame_are_errors() {
        let twice = folder_of(&["00001.jpg", "1.png"]);
        assert!(matches!(
            CropFolder::open(twice.path()),
            Err(CropError::Twice { .. })
        ));
        let none = folder_of(&["a.png"]);
        assert!(matches!(
            CropFolder::open(none.path()),
            Err(CropError::Empty { .. })
        ));
    }

    #[test]
    fn other_sizes_are_brought_to_112() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00001.png");
        RgbImage::from_fn(224, 56, |x, _| image::Rgb([if x < 112 { 200 } else { 40 }, 7, 0]))
            .save(&path)
            .unwrap();
        let crop = read_crop(&path).unwrap();
        assert_eq!((crop.width(), crop.height()), (112, 112));
        assert_eq!(crop.pixel(20, 60), [200, 7, 0]);
        assert_eq!(crop.pixel(90, 60), [40, 7, 0]);
        std::fs::write(&path, b"no image").unwrap();
        assert!(matches!(read_crop(&path), Err(CropError::Unreadable { .. })));
    }

    #[test]
    fn a_jpeg_that_was_cut_off_is_no_crop() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/crops/colour_at_half_size.jpg");
        let whole = std::fs::read(golden).unwrap();
        assert!(decode_crop(&whole).is_ok());
        // Bytes behind the end, as some cameras write them.
        assert!(decode_crop(&[whole.as_slice(), &[0; 64]].concat()).is_ok());
        for part in 1..20 {
            let cut = &whole[..whole.len() * part / 20];
            assert!(decode_crop(cut).is_err(), "{part}/20");
        }
        for missing in 1..60 {
            assert!(
                decode_crop(&whole[..whole.len() - missing]).is_err(),
                "{missing} bytes"
            );
        }
    }

    #[test]
    fn an_image_of_any_format_that_was_cut_off_is_no_crop() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/crops/jpeg_444.png");
        let picture = image::open(golden).unwrap();
        for format in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::WebP,
        ] {
            let mut whole = Cursor::new(Vec::new());
            picture.write_to(&mut whole, format).unwrap();
            let whole = whole.into_inner();
            assert!(decode_crop(&whole).is_ok(), "{format:?}");
            for part in 1..10 {
                let cut = &whole[..whole.len() * part / 10];
                assert!(decode_crop(cut).is_err(), "{format:?} {part}/10");
            }
        }
    }

    /// `tests/golden/crops/make_crops.py` made the expected pictures.
    #[test]
    fn crops_are_as_pillow_gives_them() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for (input, expected, most) in [
            ("crops/enlarged_input.png", "crops/enlarged.png", 0),
            ("face/images/upscaled.png", "crops/shrunk.png", 0),
            ("face/images/several_faces.png", "crops/shrunk_far.png", 0),
            // libjpeg-turbo, with which Pillow and OpenCV decode, spreads colours of half size in another way.
            (
                "crops/colour_at_half_size.jpg",
                "crops/colour_at_half_size.png",
                3,
            ),
            ("crops/jpeg_420.jpg", "crops/jpeg_420.png", 3),
            ("crops/jpeg_422.jpg", "crops/jpeg_422.png", 3),
            ("crops/jpeg_444.jpg", "crops/jpeg_444.png", 2),
            ("crops/jpeg_grey.jpg", "crops/jpeg_grey.png", 1),
        ] {
            let ours = read_crop(&golden.join(input)).unwrap();
            let theirs = image::open(golden.join(expected)).unwrap().into_rgb8();
            let differences = ours
                .rgb()
                .iter()
                .zip(theirs.as_raw())
                .map(|(a, b)| a.abs_diff(*b));
            let furthest = differences.clone().max().unwrap();
            let sum: u32 = differences.map(u32::from).sum();
            let mean = f64::from(sum) / ours.rgb().len() as f64;
            println!("{input}: at most {furthest} levels, {mean:.3} on average");
            assert!(
                furthest <= most && mean < 0.5,
                "{input}: {furthest} levels, {mean:.3} on average"
            );
        }
    }
}
