//! Reads single frames of a video by time.

use std::path::Path;

use crate::frame::Picture;

use super::error::VideoError;
use super::reader::VideoReader;
use super::settings::VideoSettings;

/// Largest difference between the time asked for and that of the frame, in seconds.
const TOLERANCE_S: f64 = 5e-4;
/// A frame up to this many seconds ahead is reached by decoding; others by seeking to the key frame before them.
const NEAR_S: f64 = 1.0;

/// Reads single frames by presentation time without decoding all frames in between.
pub struct Stills {
    reader: VideoReader,
    /// Time of the last frame that was read.
    at_s: f64,
}

impl Stills {
    /// Opens a video, as [`VideoReader::open`] does.
    ///
    /// # Errors
    /// Those of [`VideoReader::open`].
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Self, VideoError> {
        Ok(Self {
            reader: VideoReader::open(path, settings)?,
            at_s: f64::NEG_INFINITY,
        })
    }

    /// Returns the frame with presentation time `time_s`, on the file's own clock (`time_s` of the table). `None` if there is
    /// none.
    ///
    /// # Errors
    /// A file that cannot be read, or in which one cannot seek.
    pub fn at(&mut self, time_s: f64) -> Result<Option<Picture>, VideoError> {
        let is_near = time_s > self.at_s && time_s < self.at_s + NEAR_S;
        if !is_near {
            self.reader.seek(time_s)?;
        }
        self.at_s = time_s;
        let frame = self.reader.skip_to(time_s - TOLERANCE_S)?;
        let is_asked = |time: f64| (time - time_s).abs() <= TOLERANCE_S;
        Ok(frame
            .filter(|frame| frame.time_s.is_some_and(is_asked))
            .map(|frame| frame.picture))
    }
}
