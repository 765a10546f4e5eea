//! Pictures are those of the ffmpeg tool: the mean difference is at most two levels in every frame.

use std::path::Path;

use abaw::video::PixelAspect;

use crate::clips::{Read, ffmpeg_frames, make, read_well};

/// People in front of a wall, 40 frames, with all detail that a real picture has.
fn people() -> String {
    let clip = crate::support::sample("two_people.mp4");
    format!("-i {} -frames:v 12 -an", clip.display())
}

/// Asserts that all frames are those of the tool, after a filter of the tool's.
#[track_caller]
fn assert_shows(clip: &Path, filter: &str) -> Read {
    let read = read_well(clip);
    let theirs = ffmpeg_frames(clip, filter);
    let bytes = read
        .frames
        .iter()
        .map(|frame| frame.picture.rgb().len())
        .sum::<usize>();
    assert_eq!(bytes, theirs.len(), "{}: other frames or sizes", clip.display());
    let mut at = 0;
    for frame in &read.frames {
        let ours = frame.picture.rgb();
        let sum: u64 = ours
            .iter()
            .zip(&theirs[at..])
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum();
        let mean = sum as f64 / ours.len() as f64;
        assert!(
            mean < 2.0,
            "{} frame {}: {mean:.2} levels",
            clip.display(),
            frame.index
        );
        at += ours.len();
    }
    read
}

#[test]
fn pixels_that_are_not_square_are_brought_to_square_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let h264 = "-c:v libx264 -preset ultrafast -crf 12";
    for (filters, encoder, name, stored, shown, ratio) in [
        (
            "scale=226:240,setsar=64/45",
            h264,
            "pal.mp4",
            (226, 240),
            (321, 240),
            (64, 45),
        ),
        (
            "scale=225:240,setsar=64/45",
            "-c:v mpeg4 -q:v 2",
            "pal.mkv",
            (225, 240),
            (320, 240),
            (64, 45),
        ),
        // Stated in the stream, not in the container.
        (
            "scale=226:240,setsar=64/45",
            h264,
            "pal.ts",
            (226, 240),
            (321, 240),
            (64, 45),
        ),
        (
            "scale=226:240,setsar=64/45",
            h264,
            "pal.h264",
            (226, 240),
            (321, 240),
            (64, 45),
        ),
        (
            "scale=240:160,setsar=8/9",
            "-c:v mpeg2video -q:v 2",
            "ntsc.mpg",
            (240, 160),
            (213, 160),
            (8, 9),
        ),
        (
            "scale=320:240,setsar=1",
            h264,
            "square.mp4",
            (320, 240),
            (320, 240),
            (1, 1),
        ),
        (
            "scale=320:240,setsar=100/1",
            h264,
            "absurd.mkv",
            (320, 240),
            (320, 240),
            (1, 1),
        ),
    ] {
        let clip = make(
            folder,
            &format!("{} -vf {filters} -pix_fmt yuv420p {encoder}", people()),
            name,
        );
        let (width, height) = shown;
        let read = assert_shows(&clip, &format!("scale={width}:{height}"));
        let size = read.facts.size;
        assert_eq!((size.width, size.height), shown, "{name}");
        assert_eq!((size.stored_width, size.stored_height), stored, "{name}");
        assert_eq!(size.pixel_aspect.ratio(), ratio, "{name}");
        assert_eq!(
            (read.sizes.len(), read.sizes[0].frames as usize),
            (1, read.frames.len()),
            "{name}"
        );
        assert_eq!(
            (read.sizes[0].size, read.sizes[0].first_frame),
            (size, 1),
            "{name}"
        );
    }
    // Lies on its side: the tool turns it first.
    make(
        folder,
        &format!(
            "{} -vf scale=240:226,setsar=45/64 -pix_fmt yuv420p {h264}",
            people()
        ),
        "lying.mp4",
    );
    let turned = make(
        folder,
        "-i lying.mp4 -c copy -metadata:s:v:0 rotate=90",
        "turned.mp4",
    );
    let read = assert_shows(&turned, "scale=321:240");
    assert_eq!((read.facts.size.width, read.facts.size.height), (321, 240));
    assert_ne!(read.facts.size.pixel_aspect, PixelAspect::SQUARE);
}

/// As in a broadcast that goes from 4:3 to 16:9.
#[test]
fn the_shape_of_pixels_may_change_midway() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let part = |aspect: &str, name: &str| {
        let filters = format!("scale=176:144,setsar={aspect}");
        make(
            folder,
            &format!("{} -vf {filters} -pix_fmt yuv420p -c:v libx264 -bf 0", people()),
            name,
        )
    };
    let (narrow, wide) = (part("12/11", "narrow.h264"), part("16/11", "wide.h264"));
    let wide = std::fs::read(wide).unwrap();
    let both = crate::clips::changed(&narrow, "both.h264", |bytes| bytes.extend(wide));
    let read = read_well(&both);
    let widths: Vec<u32> = read.frames.iter().map(|frame| frame.picture.width()).collect();
    assert_eq!(widths, [[192; 12], [256; 12]].concat());
    let sizes: Vec<_> = read
        .sizes
        .iter()
        .map(|used| (used.size.width, used.first_frame, used.frames))
        .collect();
    assert_eq!(sizes, [(192, 1, 12), (256, 13, 12)]);
}
