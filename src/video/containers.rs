//! The containers that are read as video, and their file extensions.

use std::path::Path;

/// libav's demuxers that may open a file.
///
/// libav chooses the demuxer by content among more than 300, and each release adds some. Some open other files named in the
/// first (playlists, `concat`, DASH, image sequences), some render anything as a picture (text, raw data), some read a
/// single image as a video. Hence a list of what is allowed. It has audio formats so that the error for a sound file is
/// precise.
pub const DEMUXERS: &str = "mov,matroska,avi,flv,asf,mpeg,mpegts,mpegvideo,ogg,mxf,gxf,nut,rm,dv,wtv,\
    h264,hevc,m4v,h263,vc1,ivf,obu,yuv4mpegpipe,gif,\
    mp3,wav,flac,aac";

/// Extensions of video files, in lower case.
const EXTENSIONS: &[&str] = &[
    "3g2", "3gp", "asf", "avc", "avi", "divx", "dv", "f4v", "flv", "gif", "gxf", "h263", "h264", "h265",
    "264", "265", "hevc", "ivf", "m1v", "m2t", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpe", "mpeg",
    "mpg", "mts", "mxf", "nut", "obu", "ogm", "ogv", "qt", "rm", "rmvb", "tod", "ts", "vc1", "vob", "webm",
    "wmv", "wtv", "y4m",
];

/// Whether a file name has the extension of a video, in any case. For walking folders: a file
/// named on its own is opened whatever its name.
pub fn is_video_name(path: &Path) -> bool {
    extension(path).is_some()
}

/// The extension of a video file name, in lower case.
pub fn extension(path: &Path) -> Option<&'static str> {
    let found = path.extension()?.to_str()?;
    EXTENSIONS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(found))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_videos() {
        for name in [
            "a.mp4",
            "A.MTS",
            "x y.WebM",
            "-.avi",
            "a.b.264",
            "%03d.mkv",
            "co:lon.ogv",
        ] {
            assert!(is_video_name(Path::new(name)), "{name}");
        }
        for name in ["a.txt", "mp4", ".mp4", "a.mp4.part", "a.jpg", "a.mp3", "a."] {
            assert!(!is_video_name(Path::new(name)), "{name}");
        }
    }
}
