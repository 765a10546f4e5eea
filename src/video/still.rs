//! Pictures of single moments of a video.

use std::path::Path;

use crate::frame::Picture;

use super::error::VideoError;
use super::reader::VideoReader;
use super::settings::VideoSettings;

/// Seconds by which a time may miss a frame's own.
const TOLERANCE_S: f64 = 5e-4;
/// A moment so many seconds ahead is reached by decoding on; one further away, or back, by going to the
/// key frame before it.
const NEAR_S: f64 = 1.0;

/// Gives single frames by their presentation times without decoding all that lies between.
pub struct Stills {
    reader: VideoReader,
    /// Time of the last frame that was given.
    at_s: f64,
}

impl Stills {
    /// Opens a video, as [`VideoReader::open`] does.
    ///
    /// # Errors
    /// A file that is refused.
    pub fn open(path: &Path, settings: &VideoSettings) -> Result<Self, VideoError> {
        Ok(Self {
            reader: VideoReader::open(path, settings)?,
            at_s: f64::NEG_INFINITY,
        })
    }

    /// The frame that is shown from `time_s` on, on the file's own clock (`time_s` of the table). `None` if
    /// no frame begins then.
    ///
    /// # Errors
    /// A file that cannot be read on, or in which one cannot go back.
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
