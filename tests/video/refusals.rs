//! What is refused, with which reason; and names that must not matter.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use abaw::video::{VideoError, VideoFault, VideoReader, VideoSettings, probe};

use crate::clips::{MOVING, changed, make, read, read_well};

/// Asserts that a file is refused for a reason, in one line that names it.
macro_rules! assert_refused {
    ($path:expr, $reason:pat) => {
        let path: &Path = $path;
        let error = refusal(path);
        assert!(matches!(error.fault, $reason), "{error}");
        let line = error.to_string();
        assert!(
            line.starts_with(&format!("{path:?}: ")) && !line.contains('\n'),
            "{line}"
        );
    };
}

/// Why a file is refused, by reading and by probing.
fn refusal(path: &Path) -> VideoError {
    let settings = VideoSettings::default();
    let error = VideoReader::open(path, &settings)
        .err()
        .unwrap_or_else(|| panic!("{path:?} was opened"));
    assert_eq!(
        probe(path, &settings).err().map(|error| error.to_string()),
        Some(error.to_string())
    );
    error
}

#[test]
fn what_is_no_video_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let clip = make(folder, &format!("{MOVING} -c:v libx264"), "clip.mp4");

    assert_refused!(&folder.join("missing.mp4"), VideoFault::Missing);
    assert_refused!(folder, VideoFault::NotRegularFile);
    assert_refused!(Path::new("/dev/zero"), VideoFault::NotRegularFile);
    let pipe = folder.join("pipe.mp4");
    let pipe_name = CString::new(pipe.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a C string.
    assert_eq!(unsafe { libc::mkfifo(pipe_name.as_ptr(), 0o600) }, 0);
    assert_refused!(&pipe, VideoFault::NotRegularFile);
    assert_refused!(&write("empty.mp4", b""), VideoFault::Empty);
    assert_refused!(&write("zeros.mp4", &[0; 30_000]), VideoFault::NotAVideo);
    assert_refused!(
        &write("words.mp4", &b"These are words, no pictures.\n".repeat(99)),
        VideoFault::NotAVideo
    );
    assert_refused!(
        &changed(&clip, "no-moov.mp4", |bytes| {
            let moov = bytes.windows(4).position(|name| name == b"moov").unwrap();
            bytes.truncate(moov - 4);
        }),
        VideoFault::IndexMissing
    );

    make(folder, "-f lavfi -i color=red:s=64x64 -frames:v 1", "cover.png");
    let sine = "-f lavfi -i sine=duration=1";
    let covered = format!("{sine} -i cover.png -map 0 -map 1 -c:v copy -disposition:v attached_pic");
    assert_refused!(&make(folder, sine, "sound.m4a"), VideoFault::NoVideoStream);
    assert_refused!(&make(folder, sine, "sound.mkv"), VideoFault::NoVideoStream);
    assert_refused!(&make(folder, &covered, "covered.m4a"), VideoFault::NoVideoStream);
    assert_refused!(&make(folder, &covered, "covered.mp3"), VideoFault::NoVideoStream);
    fs::rename(folder.join("cover.png"), folder.join("image.mp4")).unwrap();
    assert_refused!(&folder.join("image.mp4"), VideoFault::NotAVideoContainer);
}

#[test]
fn playlists_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let segment = make(folder.path(), &format!("{MOVING} -c:v libx264"), "segment.ts");
    let hls = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{}\n#EXT-X-ENDLIST\n",
        segment.display()
    );
    let concat = format!("ffconcat version 1.0\nfile {}\n", segment.display());
    let dash = "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
                profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"><Period></Period></MPD>\n";
    let sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n";
    for (name, text) in [
        ("hls.mp4", hls.as_str()),
        ("concat.mp4", &concat),
        ("dash.mp4", dash),
        ("sdp.mp4", sdp),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        // FFmpeg 7 knows a playlist by its name too, and takes this one for nothing.
        assert_refused!(&path, VideoFault::NotAVideoContainer | VideoFault::NotAVideo);
    }
}

#[test]
fn too_large_and_too_long_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge.y4m");
    fs::write(
        &huge,
        b"YUV4MPEG2 W20000 H10000 F25:1 Ip C420jpeg\nFRAME\n0123456789",
    )
    .unwrap();
    assert_refused!(
        &huge,
        VideoFault::TooLarge {
            width: 20_000,
            height: 10_000,
            ..
        }
    );

    let settings = VideoSettings {
        max_frames: 29,
        ..VideoSettings::default()
    };
    let promised = make(folder.path(), &format!("{MOVING} -c:v libx264"), "promised.mp4");
    let error = VideoReader::open(&promised, &settings).err().unwrap();
    assert!(matches!(error.fault, VideoFault::TooLong(29)), "{error}");
    let endless = make(folder.path(), &format!("{MOVING} -c:v libx264"), "endless.h264");
    let mut reader = VideoReader::open(&endless, &settings).unwrap();
    for _ in 0..29 {
        assert!(reader.next_frame().unwrap().is_some());
    }
    let error = reader.next_frame().unwrap_err();
    assert!(matches!(error.fault, VideoFault::TooLong(29)), "{error}");
    assert!(reader.next_frame().unwrap().is_none());
    let settings = VideoSettings {
        max_frames: 30,
        max_pixels: 96 * 64,
        ..VideoSettings::default()
    };
    assert_eq!(read(&endless, &settings).unwrap().frames.len(), 30);
    let settings = VideoSettings {
        max_frames: u32::MAX,
        max_pixels: u32::MAX,
        ..VideoSettings::default()
    };
    assert_eq!(read(&endless, &settings).unwrap().frames.len(), 30);
    let settings = VideoSettings {
        max_pixels: 96 * 64 - 1,
        ..VideoSettings::default()
    };
    let error = read(&endless, &settings).err().unwrap();
    assert!(
        matches!(
            error.fault,
            VideoFault::TooLarge {
                width: 96,
                height: 64,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn names_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), &format!("{MOVING} -c:v libx264"), "clip.mp4");
    let long = format!("{}.mp4", "x".repeat(250));
    let names: [&[u8]; 13] = [
        b"two words.mp4",
        "h\u{e4}\u{df}lich \u{6f22}\u{5b57}.mp4".as_bytes(),
        b"caf\xe9 \xff.mp4",
        b"-dash.mp4",
        b"co:lon.mp4",
        b"concat:a|b.mp4",
        b"pipe:0",
        b"%03d.mp4",
        b"%03d.png",
        b"*?{}[].mp4",
        b"two\nlines.MP4",
        b"no extension",
        long.as_bytes(),
    ];
    for name in names {
        let path = folder.path().join(OsStr::from_bytes(name));
        fs::copy(&clip, &path).unwrap();
        assert_eq!(read_well(&path).frames.len(), 30, "{path:?}");
    }
}

#[test]
fn settings_are_checked() {
    let settings: VideoSettings = toml::from_str("max_pixels = 99\nstall_seconds = 5").unwrap();
    assert_eq!(
        (settings.max_pixels, settings.max_frames),
        (99, VideoSettings::default().max_frames)
    );
    for wrong in [
        "max_pixel = 99",
        "stall_seconds = 0",
        "max_frames = -1",
        "strict = 1",
    ] {
        assert!(toml::from_str::<VideoSettings>(wrong).is_err(), "{wrong}");
    }
}
