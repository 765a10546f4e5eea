//! Frames, their numbers, times and sizes: those of ffprobe, for every container and codec at hand.

use std::fs;
use std::path::Path;

use abaw::video::{VideoReader, VideoSettings, probe};

use crate::clips::{MOVING, Read, changed, ffprobe, make, read_well};

/// Reads a clip and compares frame numbers, times and sizes with ffprobe's.
fn read_as_ffprobe(path: &Path) -> Read {
    let read = read_well(path);
    let probed = ffprobe(path);
    assert_eq!(read.frames.len(), probed.len(), "{}", path.display());
    for (position, (frame, (time, size))) in read.frames.iter().zip(&probed).enumerate() {
        let place = format!("{} frame {}", path.display(), frame.index);
        assert_eq!(frame.index.number() as usize, position + 1, "{place}");
        assert_eq!((frame.picture.width(), frame.picture.height()), *size, "{place}");
        // The last frame of an AVI with B-frames has no time at all, but one may be estimated.
        assert!(frame.time_s.is_some() || time.is_none(), "{place}");
        let off = frame
            .time_s
            .zip(*time)
            .map_or(0.0, |(ours, theirs)| (ours - theirs).abs());
        assert!(off < 1e-6, "{place}: {off} s off");
    }
    read
}

#[test]
fn sound_clips_of_all_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let variable = "-vf select='lt(n,5)+not(mod(n,3))' -vsync vfr";
    let h264 = "-c:v libx264 -preset veryfast";
    let sine = "-f lavfi -i sine=duration=2";
    for (arguments, name, frames) in [
        (format!("{h264} -bf 2 -g 12"), "b-frames.mp4", 30),
        (
            format!("{h264} -bf 2 -g 10 -movflags frag_keyframe+empty_moov"),
            "fragmented.mp4",
            30,
        ),
        (format!("{h264} {variable}"), "variable.mp4", 13),
        (format!("{h264} {variable}"), "variable.mkv", 13),
        (format!("{h264} -pix_fmt yuv420p10le"), "ten-bit.mp4", 30),
        (
            format!("{h264} -pix_fmt yuv444p -vf scale=97:65,setsar=1"),
            "odd.mp4",
            30,
        ),
        (
            format!("{h264} -flags +ildct+ilme -x264opts tff=1"),
            "interlaced.mp4",
            30,
        ),
        (format!("{h264} -bf 2"), "h264.avi", 30),
        (format!("{h264} -bf 2"), "h264.ts", 30),
        (format!("{h264} -bf 2"), "raw.h264", 30),
        (
            "-c:v libx265 -preset ultrafast -x265-params log-level=none".into(),
            "raw.hevc",
            30,
        ),
        (
            "-c:v libaom-av1 -usage realtime -cpu-used 8".into(),
            "av1.mp4",
            30,
        ),
        ("-c:v libvpx".into(), "vp8.webm", 30),
        (
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8".into(),
            "vp9.webm",
            30,
        ),
        ("-c:v mpeg4 -bf 2".into(), "b-frames.avi", 30),
        (format!("-c:v mpeg4 {variable}"), "dropped.avi", 13),
        ("-c:v mjpeg -pix_fmt yuvj420p".into(), "mjpeg.avi", 30),
        (
            "-c:v mpeg2video -bf 2 -flags +ildct+ilme".into(),
            "interlaced.mpg",
            30,
        ),
        ("-c:v flv1".into(), "a.flv", 30),
        ("-c:v wmv2".into(), "a.wmv", 30),
        ("-c:v libtheora".into(), "a.ogv", 30),
        ("-c:v prores_ks".into(), "prores.mov", 30),
        ("-c:v ffv1 -vf scale=97:65,setsar=1".into(), "odd.mkv", 30),
        ("-c:v ffv1 -pix_fmt gray".into(), "grey.mkv", 30),
        ("-c:v qtrle -pix_fmt rgb24".into(), "rgb.mov", 30),
        ("-c:v png -pix_fmt pal8".into(), "palette.mov", 30),
        ("-pix_fmt rgb8".into(), "a.gif", 30),
        (
            format!("{sine} -map 1 -map 0 {h264}"),
            "sound-first-and-longer.mkv",
            30,
        ),
        (
            format!("{sine} -map 1 -map 0 {h264}"),
            "sound-first-and-longer.mp4",
            30,
        ),
        (
            format!("{h264} -attach /etc/hostname -metadata:s:t mimetype=text/plain"),
            "attachment.mkv",
            30,
        ),
    ] {
        let clip = make(folder, &format!("{MOVING} {arguments}"), name);
        let read = read_as_ffprobe(&clip);
        assert_eq!(read.frames.len(), frames, "{name}");
        assert!(!read.damage.any(), "{name}: {}", read.damage);
        let (first, last) = (&read.frames[0].picture, &read.frames[frames - 1].picture);
        assert_ne!(first.rgb(), last.rgb(), "{name}");
        assert_eq!(
            (read.facts.size.width, read.facts.size.height),
            (first.width(), first.height()),
            "{name}"
        );
    }
}

#[test]
fn clips_that_start_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make(
        folder,
        &format!("{MOVING} -c:v libx264 -bf 2 -g 10 -x264opts open-gop=1"),
        "whole.mp4",
    );

    // The edit list hides frames that the index still counts.
    let edited = read_as_ffprobe(&make(folder, "-ss 0.5 -i whole.mp4 -c copy", "edited.mp4"));
    assert!(!edited.damage.any() && edited.facts.container_frames > Some(edited.frames.len() as u64));

    let early = "-itsoffset -2 -i whole.mp4 -c copy -copyts -avoid_negative_ts disabled";
    let early = read_as_ffprobe(&make(folder, early, "negative.ts"));
    assert!(
        early.frames[0].time_s.is_some_and(|time| time < 0.0),
        "{:?}",
        early.frames[0].time_s
    );

    let whole = make(
        folder,
        &format!("{MOVING} -c:v libx264 -bf 2 -g 10"),
        "whole.h264",
    );
    let middle = read_as_ffprobe(&changed(&whole, "middle.h264", |bytes| drop(bytes.drain(..3000))));
    assert!((15..29).contains(&middle.frames.len()), "{}", middle.frames.len());
}

#[test]
fn the_best_of_several_streams() {
    let folder = tempfile::tempdir().unwrap();
    let small = "-f lavfi -i testsrc2=size=32x32:rate=25:duration=1.2";
    let both = format!(
        "{small} {MOVING} -map 0 -map 1 -c:v mpeg4 -q:v 2 -disposition:v:1 default -disposition:v:0 0"
    );
    let clip = make(folder.path(), &both, "two.mkv");
    let read = read_well(&clip);
    assert_eq!((read.facts.size.width, read.frames.len()), (96, 30));
}

#[test]
fn the_size_may_change_midway() {
    let folder = tempfile::tempdir().unwrap();
    let small = make(
        folder.path(),
        &format!("{MOVING} -c:v libx264 -bf 0"),
        "small.h264",
    );
    let large = make(
        folder.path(),
        &format!("{MOVING} -c:v libx264 -bf 0 -vf scale=130:98,setsar=1"),
        "large.h264",
    );
    let large = fs::read(large).unwrap();
    let both = changed(&small, "both.h264", |bytes| bytes.extend(large));
    let read = read_as_ffprobe(&both);
    let widths: Vec<u32> = read.frames.iter().map(|frame| frame.picture.width()).collect();
    assert_eq!(widths, [[96; 30], [130; 30]].concat());
}

#[test]
fn facts_are_those_of_the_container() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), &format!("{MOVING} -c:v libx264"), "a.mp4");
    let settings = VideoSettings::default();
    let facts = probe(&clip, &settings).unwrap();
    assert_eq!(
        (facts.codec.as_str(), facts.pixel_format.as_str()),
        ("h264", "yuv420p")
    );
    assert_eq!(
        (
            facts.size.width,
            facts.size.height,
            facts.rotation,
            facts.mirrored
        ),
        (96, 64, 0, false)
    );
    assert_eq!(
        (facts.fps, facts.duration_s, facts.container_frames),
        (Some(25.0), Some(1.2), Some(30))
    );
    assert_eq!(facts, read_well(&clip).facts);

    let webm = make(folder.path(), &format!("{MOVING} -c:v libvpx"), "a.webm");
    let facts = probe(&webm, &settings).unwrap();
    assert_eq!(
        (facts.container_frames, facts.expected_frames()),
        (None, Some(30))
    );
}

/// 2,000 frames of 320x240 would be 460 MB.
#[test]
fn memory_does_not_grow_with_length() {
    let folder = tempfile::tempdir().unwrap();
    let long = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=80 -c:v mpeg4 -q:v 20";
    let clip = make(folder.path(), long, "long.mp4");
    let mut reader = VideoReader::open(&clip, &VideoSettings::default()).unwrap();
    let mut after_100 = 0;
    let mut frames = 0;
    while reader.next_frame().unwrap().is_some() {
        frames += 1;
        if frames == 100 {
            after_100 = resident_bytes();
        }
    }
    assert_eq!(frames, 2000);
    // Other tests run in this process at the same time.
    let grown = resident_bytes().saturating_sub(after_100);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn several_threads_decode_to_the_same_frames() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset veryfast -bf 3 -g 12";
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none";
    let moving = "-f lavfi -i testsrc2=size=192x128:rate=25:duration=2.4";
    let sound = [
        make(folder, &format!("{moving} {h264}"), "h264.mp4"),
        make(folder, &format!("{moving} {hevc}"), "hevc.mkv"),
    ];
    let mut clips = sound.to_vec();
    for (number, clip) in sound.iter().enumerate() {
        let bytes = std::fs::read(clip).unwrap();
        let extension = clip.extension().unwrap().to_str().unwrap();
        // A hole near the end and one near the start, and a file that is cut off.
        for (name, hole) in [("late", bytes.len() * 3 / 4), ("early", bytes.len() / 3)] {
            let mut holed = bytes.clone();
            holed[hole..hole + 400].fill(0);
            let path = folder.join(format!("{name}{number}.{extension}"));
            std::fs::write(&path, holed).unwrap();
            clips.push(path);
        }
        let path = folder.join(format!("cut{number}.mkv"));
        if extension == "mkv" {
            std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            clips.push(path);
        }
    }
    let mut damaged = 0;
    for clip in clips {
        let read = |threads: u32| {
            let settings = VideoSettings {
                decode_threads: std::num::NonZeroU32::new(threads).unwrap(),
                ..VideoSettings::default()
            };
            let mut reader = VideoReader::open(&clip, &settings).unwrap();
            let mut frames = Vec::new();
            let end = loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => frames.push((frame.index, frame.time_s, frame.picture)),
                    Ok(None) => break None,
                    Err(error) => break Some(error.to_string()),
                }
            };
            (frames, end, reader.damage(), reader.facts().clone())
        };
        let one = read(1);
        damaged += usize::from(one.2.any());
        for threads in [2, 5] {
            assert!(read(threads) == one, "{} with {threads} threads", clip.display());
        }
    }
    assert!(damaged >= 2, "{damaged} damaged clips");
}
