//! The images of a data set: in folders, or in a `.tar` file that is read in file.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::affwild2::ImageName;
use crate::crops::{CropError, CropFolder, decode_crop};
use crate::frame::{FrameIndex, Picture};
use crate::path_error::PathError;

/// Aff-Wild2's name for the folder of all crops; left out of members' names in a `.tar` file.
const CROPS: &str = "cropped_aligned/";
/// A larger file is damaged or no crop.
const MOST_BYTES: u64 = 64 << 20;

/// Bytes of a block of a `.tar` file.
const TAR_BLOCK: u64 = 512;

/// The first bytes of compressed files, and what compresses so.
const COMPRESSIONS: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (b"BZh", "bzip2"),
];

/// The program that compressed a file, by its first bytes.
fn compression(file: &File) -> io::Result<Option<&'static str>> {
    let mut start = [0; 5];
    let read = file.read_at(&mut start, 0)?;
    let found = COMPRESSIONS
        .into_iter()
        .find(|(magic, _)| start[..read].starts_with(magic));
    Ok(found.map(|(_, program)| program))
}

/// The images of a data set by video and frame.
#[derive(Debug)]
pub struct Images {
    archive: Option<File>,
    files: HashMap<String, HashMap<FrameIndex, ImageFile>>,
}

/// The file of one image.
#[derive(Debug, Clone)]
enum ImageFile {
    File(PathBuf),
    /// A part of the archive, in bytes.
    Member {
        offset: u64,
        length: u64,
    },
}

impl Images {
    /// Lists the images of `videos` below a folder, or those of a `.tar` file. A video without a
    /// folder has no images.
    ///
    /// # Errors
    /// What cannot be listed.
    pub fn open<'a>(path: &Path, videos: impl Iterator<Item = &'a str>) -> Result<Self, CropError> {
        match path.is_dir() {
            true => Self::in_folders(path, videos),
            false => Self::in_archive(path, videos.collect()),
        }
    }

    fn in_folders<'a>(root: &Path, videos: impl Iterator<Item = &'a str>) -> Result<Self, CropError> {
        let mut files = HashMap::new();
        for video in videos {
            let folder = match CropFolder::open(&root.join(video)) {
                Ok(folder) => folder,
                Err(CropError::Empty { .. }) => continue,
                Err(CropError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let images = folder
                .images()
                .map(|(frame, path)| (frame, ImageFile::File(path.to_owned())));
            files.insert(video.to_owned(), images.collect());
        }
        Ok(Self { archive: None, files })
    }

    fn in_archive(path: &Path, videos: HashSet<&str>) -> Result<Self, CropError> {
        let file = File::open(path).map_err(PathError::at(path))?;
        let length = file.metadata().map_err(PathError::at(path))?.len();
        let unusable = |reason: String| CropError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        if let Some(program) = compression(&file).map_err(PathError::at(path))? {
            let reason =
                format!("compressed by {program}; unpack it to a plain .tar, which is read in place");
            return Err(unusable(reason));
        }
        let damaged = |_| unusable("not a .tar file, or damaged".to_owned());
        let mut files: HashMap<String, HashMap<FrameIndex, ImageFile>> = HashMap::new();
        let mut archive = tar::Archive::new(BufReader::new(File::open(path).map_err(PathError::at(path))?));
        let mut end = 0;
        for entry in archive.entries_with_seek().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let (offset, size) = (entry.raw_file_position(), entry.size());
            end = offset.saturating_add(size).next_multiple_of(TAR_BLOCK);
            let name = entry.path().map_err(damaged)?;
            let Some(name) = name.to_str() else { continue };
            let name = name.strip_prefix("./").unwrap_or(name);
            let Some(image) = ImageName::parse(name.strip_prefix(CROPS).unwrap_or(name)) else {
                continue;
            };
            if videos.contains(image.video) && entry.header().entry_type().is_file() {
                let file = ImageFile::Member { offset, length: size };
                let video = files.entry(image.video.to_owned()).or_default();
                video.insert(image.frame, file);
            }
        }
        // Every writer ends an archive by blocks of zeros.
        if end + TAR_BLOCK > length {
            return Err(unusable("cut off before its end; copy it again".to_owned()));
        }
        Ok(Self {
            archive: Some(file),
            files,
        })
    }

    /// Whether an image of the frame exists.
    pub fn has(&self, video: &str, frame: FrameIndex) -> bool {
        self.file(video, frame).is_some()
    }

    /// Reads the crop of a frame, 112x112 pixels; the error is the reason why it cannot be read.
    pub fn crop(&self, video: &str, frame: FrameIndex) -> Result<Picture, String> {
        let bytes = match self.file(video, frame) {
            None => return Err("no such image".to_owned()),
            Some(ImageFile::File(path)) => std::fs::read(path),
            Some(&ImageFile::Member { offset, length }) => self.member(offset, length),
        };
        decode_crop(&bytes.map_err(|error| error.to_string())?)
    }

    fn file(&self, video: &str, frame: FrameIndex) -> Option<&ImageFile> {
        self.files.get(video)?.get(&frame)
    }

    fn member(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        if length > MOST_BYTES {
            return Err(io::Error::other("too large for a crop"));
        }
        let mut bytes = vec![0; length as usize];
        match &self.archive {
            Some(archive) => archive.read_exact_at(&mut bytes, offset)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(bytes)
    }
}
