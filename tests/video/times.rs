//! Times of frames as players show them: where the container leaves some out, where its clock jumps or starts again.

use std::fs;
use std::path::{Path, PathBuf};

use abaw::video::{VideoSettings, probe};

use crate::clips::{Read, ffprobe, make, read_well};

/// 20 frames in an MPEG transport stream with sound, whose clock begins at so many seconds.
fn segment(folder: &Path, start_s: u32, name: &str) -> PathBuf {
    make(
        folder,
        &format!(
            "-f lavfi -i testsrc2=size=96x64:rate=25:duration=0.8 -c:v libx264 -bf 2 -g 10 \
             -output_ts_offset {start_s}"
        ),
        name,
    )
}

/// One file after the other in one.
fn joined(parts: &[PathBuf], name: &str) -> PathBuf {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| fs::read(part).unwrap()).collect();
    let path = parts[0].with_file_name(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn times(read: &Read) -> Vec<f64> {
    read.frames.iter().map(|frame| frame.time_s.unwrap()).collect()
}

/// The steps between frames, in whole milliseconds.
fn steps(read: &Read) -> Vec<i64> {
    let times = times(read);
    times
        .windows(2)
        .map(|pair| ((pair[1] - pair[0]) * 1000.0).round() as i64)
        .collect()
}

#[test]
fn clocks_that_start_again_or_leap_run_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let parts = [(0, "a.ts"), (0, "b.ts"), (90_000, "c.ts"), (20, "d.ts")];
    let parts = parts.map(|(start_s, name)| segment(folder, start_s, name));
    for (joined, jumps, first) in [
        (joined(&parts[..2], "again.ts"), 1, 21),
        (joined(&[parts[0].clone(), parts[2].clone()], "leap.ts"), 1, 21),
        (joined(&parts, "all.ts"), 3, 21),
    ] {
        let read = read_well(&joined);
        let probed = ffprobe(&joined);
        assert_eq!(read.frames.len(), probed.len(), "{joined:?}");
        assert_eq!(steps(&read), vec![40; read.frames.len() - 1], "{joined:?}");
        assert_eq!(read.frames[0].time_s, probed[0].0, "{joined:?}");
        assert_eq!(read.damage.clock_jumps, jumps, "{joined:?}");
        let jump = read.damage.first_clock_jump.unwrap();
        assert_eq!(jump.frame, first, "{joined:?}");
        assert!(
            (jump.to_s - probed[20].0.unwrap()).abs() < 1e-6,
            "{joined:?}: {jump:?}"
        );
        assert!(
            read.damage.to_string().contains("the first at frame 21, from "),
            "{}",
            read.damage
        );
        assert_eq!(read.record.estimated_times, 0, "{joined:?}");
        // Counted from packets.
        let facts = probe(&joined, &VideoSettings::default()).unwrap();
        assert_eq!(
            facts.expected_frames(),
            Some(read.frames.len() as u64),
            "{joined:?}"
        );
    }
}

/// As the ffmpeg tool writes what it reads: that is the order and the times of a player.
#[test]
fn jumps_are_bridged_as_the_ffmpeg_tool_bridges_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let parts = [
        segment(folder, 3, "a.ts"),
        segment(folder, 90_000, "b.ts"),
        segment(folder, 0, "c.ts"),
    ];
    let joined = joined(&parts, "joined.ts");
    let written = make(
        folder,
        "-i joined.ts -vsync passthrough -c:v mpeg4 -bf 0",
        "written.mkv",
    );
    let (ours, theirs) = (times(&read_well(&joined)), times(&read_well(&written)));
    assert_eq!((ours.len(), theirs.len()), (60, 60));
    for (ours, theirs) in ours.windows(2).zip(theirs.windows(2)) {
        let off = (ours[1] - ours[0]) - (theirs[1] - theirs[0]);
        // The tool bridges by packets, whose order is another than that of frames, to a frame's length.
        assert!(off.abs() <= 0.081, "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_pause_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    // A camera that waits for movement: 9 seconds pass after frame 10, in MPEG; an hour in Matroska.
    for (pause_s, name) in [(9, "pause.ts"), (3600, "pause.mkv")] {
        let clip = make(
            folder.path(),
            &format!(
                "-f lavfi -i testsrc2=size=96x64:rate=25:duration=0.8 -vf setpts='PTS+gte(N,10)*{pause_s}/TB' \
                 -vsync passthrough -c:v mpeg4 -bf 0"
            ),
            name,
        );
        let read = read_well(&clip);
        let mut expected = vec![40; 19];
        expected[9] += 1000 * pause_s;
        assert_eq!(steps(&read), expected, "{name}");
        assert!(!read.damage.any(), "{name}: {}", read.damage);
    }
}

#[test]
fn frames_without_times_get_estimated_ones() {
    let folder = tempfile::tempdir().unwrap();
    let moving = "-f lavfi -i testsrc2=size=96x64:rate=25:duration=1.2";
    for (codec, name) in [("mpeg4 -bf 2", "xvid.avi"), ("libx264 -bf 2", "h264.avi")] {
        let clip = make(folder.path(), &format!("{moving} -c:v {codec}"), name);
        let read = read_well(&clip);
        assert_eq!(steps(&read), [40; 29], "{name}");
        let estimated = read.record.estimated_times;
        assert!((5..=30).contains(&estimated), "{name}: {estimated}");
    }
    // A container that states all, and a raw stream, which has none.
    let whole = read_well(&make(
        folder.path(),
        &format!("{moving} -c:v mpeg4 -bf 2"),
        "whole.mp4",
    ));
    assert_eq!((whole.record.estimated_times, steps(&whole)), (0, vec![40; 29]));
    let raw = read_well(&make(
        folder.path(),
        &format!("{moving} -c:v libx264"),
        "raw.h264",
    ));
    assert!(raw.frames.iter().all(|frame| frame.time_s.is_none()));
    assert_eq!(raw.record.estimated_times, 0);
}

/// A large file is counted by its first packets.
#[test]
fn the_frames_of_large_files_are_estimated_from_packets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let large = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=8,noise=alls=60:allf=t -c:v mpeg2video -q:v 2 -g 5 -bf 0";
    let one = make(folder, large, "one.ts");
    let later = make(folder, &format!("{large} -output_ts_offset 90000"), "later.ts");
    let both = joined(&[one, later], "both.ts");
    assert!(fs::metadata(&both).unwrap().len() > 6 << 20);
    let expected = probe(&both, &VideoSettings::default())
        .unwrap()
        .expected_frames()
        .unwrap();
    assert!((360..=440).contains(&expected), "{expected} of 400");
    // In Matroska the same file has a clock of 25 hours, or none that can be wrong.
    for (options, name) in [("-copyts", "leap.mkv"), ("", "whole.mkv")] {
        let clip = make(folder, &format!("{options} -i both.ts -c copy"), name);
        let expected = probe(&clip, &VideoSettings::default())
            .unwrap()
            .expected_frames()
            .unwrap();
        assert!((300..=500).contains(&expected), "{name}: {expected} of 400");
    }
}
