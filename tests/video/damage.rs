//! Damaged clips are read as far as ffprobe reads them, the same each time, and noted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::thread;

use abaw::video::{Damage, VideoFault, VideoReader, VideoSettings};

use crate::clips::{changed, ffprobe, make, read, read_well};

/// 75 frames of moving noise, about 300 kB.
const NOISY: &str = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3,noise=alls=20:allf=t";

/// Cuts a file off at a part of its length.
fn truncated(path: &Path, part: f64) -> PathBuf {
    changed(path, &format!("truncated-{}", name(path)), |bytes| {
        bytes.truncate((bytes.len() as f64 * part) as usize)
    })
}

/// Flips one bit in each of 40 bytes all over the second half.
fn flipped(path: &Path) -> PathBuf {
    changed(path, &format!("flipped-{}", name(path)), |bytes| {
        let half = bytes.len() / 2;
        for n in 0..40 {
            bytes[half + n * (half / 45)] ^= 0x10;
        }
    })
}

/// Zeroes 20 kB in the middle.
fn zeroed(path: &Path) -> PathBuf {
    changed(path, &format!("zeroed-{}", name(path)), |bytes| {
        let half = bytes.len() / 2;
        bytes[half..half + 20_000].fill(0);
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A number that stands for all frames, times and damage.
fn fingerprint(path: &Path) -> u64 {
    let mut reader = VideoReader::open(path, &VideoSettings::default()).unwrap();
    let mut hasher = DefaultHasher::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        frame.picture.rgb().hash(&mut hasher);
        frame.time_s.map(f64::to_bits).hash(&mut hasher);
    }
    format!("{:?}", reader.damage()).hash(&mut hasher);
    hasher.finish()
}

#[test]
fn damage_is_noted_and_reading_is_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset veryfast -bf 2 -g 25";
    let clips = [
        make(folder, &format!("{NOISY} {h264} -movflags +faststart"), "a.mp4"),
        make(folder, &format!("{NOISY} {h264}"), "a.mkv"),
        make(folder, &format!("{NOISY} {h264}"), "a.ts"),
        make(folder, &format!("{NOISY} -c:v mpeg4 -bf 2 -q:v 5"), "a.avi"),
    ];
    for clip in &clips {
        assert!(!read_well(clip).damage.any(), "{clip:?}");
        for damaged in [truncated(clip, 0.6), flipped(clip), zeroed(clip)] {
            let read = read_well(&damaged);
            assert_eq!(read.frames.len(), ffprobe(&damaged).len(), "{damaged:?}");
            assert!(read.frames.len() > 30, "{damaged:?}: {}", read.frames.len());
            assert!(read.damage.any(), "{damaged:?}");

            let once = fingerprint(&damaged);
            thread::scope(|scope| {
                for again in [(); 4].map(|()| scope.spawn(|| fingerprint(&damaged))) {
                    assert_eq!(again.join().unwrap(), once, "{damaged:?}");
                }
            });
        }
    }
}

#[test]
fn an_early_end_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset veryfast -bf 2 -g 25";
    for clip in [
        make(folder, &format!("{NOISY} {h264} -movflags +faststart"), "a.mp4"),
        make(
            folder,
            &format!("{NOISY} {h264} -movflags frag_keyframe+empty_moov"),
            "fragmented.mp4",
        ),
        make(folder, &format!("{NOISY} {h264}"), "a.mkv"),
        make(
            folder,
            &format!("{NOISY} -c:v libvpx -deadline realtime"),
            "a.webm",
        ),
        make(folder, &format!("{NOISY} -c:v flv1"), "a.flv"),
        make(folder, &format!("{NOISY} -c:v mjpeg"), "a.avi"),
    ] {
        for part in [0.3, 0.75] {
            let read = read_well(&truncated(&clip, part));
            assert!(
                read.damage.early_end && read.frames.len() < 75,
                "{clip:?} {part}: {}",
                read.damage
            );
        }
        assert!(!read_well(&clip).damage.early_end, "{clip:?}");
    }
}

#[test]
fn strict_settings_refuse_damage_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let strict = VideoSettings {
        strict: true,
        ..VideoSettings::default()
    };
    let clip = make(
        folder.path(),
        &format!("{NOISY} -c:v libx264 -movflags +faststart"),
        "a.mp4",
    );
    assert_eq!(read(&clip, &strict).unwrap().frames.len(), 75);

    let damaged = truncated(&clip, 0.6);
    let frames = read_well(&damaged).frames.len();
    let mut reader = VideoReader::open(&damaged, &strict).unwrap();
    for _ in 0..frames {
        assert!(reader.next_frame().unwrap().is_some());
    }
    let error = reader.next_frame().unwrap_err();
    assert!(
        matches!(error.fault, VideoFault::Damaged(Damage { early_end: true, .. })),
        "{error}"
    );
}

#[test]
fn a_stream_without_a_single_frame_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(
        folder.path(),
        &format!("{NOISY} -c:v libx264 -g 999 -bf 0"),
        "whole.h264",
    );
    // Without its first picture, which is the only key frame, none of the others can be decoded.
    let headless = changed(&clip, "headless.h264", |bytes| {
        let key = bytes.windows(4).position(|code| code == [0, 0, 1, 0x65]).unwrap();
        let next = bytes.windows(4).position(|code| code == [0, 0, 1, 0x41]).unwrap();
        bytes.drain(key..next);
    });
    let error = read(&headless, &VideoSettings::default()).err().unwrap();
    assert!(matches!(error.fault, VideoFault::NoFrames), "{error}");
}
