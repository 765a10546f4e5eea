//! Pictures are those of the ffmpeg tool: the mean difference is at most two levels in every frame.

use std::path::Path;

use abaw::video::PixelAspect;

use crate::clips::{Read, ffmpeg_frames, ffprobe, make, read_well};

/// People in front of a wall, 40 frames, with all detail that a real picture has.
fn people() -> String {
    let clip = crate::support::sample("two_people.mp4");
    format!("-i {} -frames:v 12 -an", clip.display())
}

/// Levels by which pictures differ, on average.
fn mean_difference(ours: &[u8], theirs: &[u8]) -> f64 {
    let pairs = ours.iter().zip(theirs);
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / ours.len() as f64
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
        let mean = mean_difference(ours, &theirs[at..at + ours.len()]);
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
            (read.record.sizes.len(), read.record.sizes[0].frames as usize),
            (1, read.frames.len()),
            "{name}"
        );
        assert_eq!(
            (read.record.sizes[0].size, read.record.sizes[0].first_frame),
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
        .record
        .sizes
        .iter()
        .map(|used| (used.size.width, used.first_frame, used.frames))
        .collect();
    assert_eq!(sizes, [(192, 1, 12), (256, 13, 12)]);
}

/// The man in the car moves: two fields of an interlaced frame are of different moments.
fn moving_fields(encoder: &str) -> String {
    let clip = crate::support::sample("carphone.mp4");
    format!(
        "-i {} -frames:v 12 -an -vf scale=352:288,setsar=1,tinterlace=interleave_top,setfield=tff -pix_fmt yuv420p {encoder}",
        clip.display()
    )
}

const BWDIF: &str = "bwdif=mode=send_frame:deint=interlaced";

#[test]
fn interlaced_frames_are_deinterlaced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (encoder, name) in [
        (
            "-c:v libx264 -preset veryfast -crf 12 -flags +ildct+ilme -x264opts tff=1",
            "h264.mp4",
        ),
        (
            "-c:v libx264 -preset veryfast -bf 2 -crf 12 -flags +ildct+ilme -x264opts tff=1",
            "h264.ts",
        ),
        ("-c:v mpeg2video -q:v 2 -bf 2 -flags +ildct+ilme", "mpeg2.mpg"),
        ("-c:v prores_ks -flags +ildct", "prores.mov"),
    ] {
        let clip = make(folder, &moving_fields(encoder), name);
        let read = assert_shows(&clip, BWDIF);
        assert_eq!(read.frames.len(), ffprobe(&clip).len(), "{name}");
        assert_eq!(
            read.record.deinterlaced_frames as usize,
            read.frames.len(),
            "{name}"
        );
        assert!(!read.damage.any(), "{name}: {}", read.damage);
        // Combed lines are seen, or the comparison is worth nothing.
        let combed = ffmpeg_frames(&clip, "null");
        let ours: Vec<u8> = read
            .frames
            .iter()
            .flat_map(|frame| frame.picture.rgb().to_vec())
            .collect();
        assert!(mean_difference(&ours, &combed) > 0.3, "{name}");
    }
}

/// Frames that are not flagged stay as they are, bit for bit, and no frame is lost where flags or sizes change.
#[test]
fn only_flagged_frames_are_deinterlaced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mpeg2 = "-c:v mpeg2video -q:v 2 -bf 0";
    let progressive = make(
        folder,
        &format!("{} -vf scale=352:288,setsar=1 {mpeg2}", people()),
        "a.m2v",
    );
    let small = make(
        folder,
        &format!("{} -vf scale=176:144,setsar=1 {mpeg2}", people()),
        "c.m2v",
    );
    let fields = make(
        folder,
        &moving_fields(&format!("{mpeg2} -flags +ildct+ilme")),
        "b.m2v",
    );
    let parts = [&progressive, &fields, &progressive, &fields, &small];
    let bytes = |part: &&std::path::PathBuf| std::fs::read(part).unwrap();
    let all: Vec<u8> = parts.iter().flat_map(bytes).collect();
    let joined = folder.join("joined.m2v");
    std::fs::write(&joined, all).unwrap();
    let read = read_well(&joined);
    let (plain, interlaced) = (read_well(&progressive).frames, read_well(&fields).frames);
    let little = read_well(&small).frames;
    // The decoder itself loses the last frame before the size changes.
    assert_eq!(read.frames.len(), ffprobe(&joined).len());
    let flagged = read.record.deinterlaced_frames as usize;
    assert_eq!(flagged, 2 * interlaced.len() - 1);
    assert_eq!(read.frames.len(), flagged + 2 * plain.len() + little.len());
    for (ours, alone) in read.frames.iter().zip(&plain) {
        assert!(ours.picture == alone.picture, "frame {}", ours.index);
    }
    let end = &read.frames[read.frames.len() - little.len()..];
    for (ours, alone) in end.iter().zip(&little) {
        assert!(ours.picture == alone.picture, "frame {}", ours.index);
    }
    // A single interlaced frame has no neighbours.
    let single = make(folder, "-i b.m2v -frames:v 1 -c copy", "single.m2v");
    assert_eq!(assert_shows(&single, BWDIF).frames.len(), 1);
}

#[test]
fn a_high_dynamic_range_is_brought_to_a_usual_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // What FFmpeg's wiki and its users write.
    let reference = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,\
                     zscale=t=bt709:m=bt709:r=tv,format=yuv420p,scale=in_color_matrix=bt709";
    let bt2020 = "-color_primaries bt2020 -colorspace bt2020nc -color_range tv";
    let h264 = "-c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p10le";
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le";
    for (encoder, transfer, name) in [
        (hevc, "smpte2084", "pq.mp4"),
        (h264, "smpte2084", "pq.mkv"),
        (h264, "arib-std-b67", "hlg.ts"),
    ] {
        let clip = make(
            folder,
            &format!(
                "{} -vf scale=320:180 {encoder} {bt2020} -color_trc {transfer}",
                people()
            ),
            name,
        );
        let read = assert_shows(&clip, reference);
        assert_eq!(
            read.record.tone_mapped_frames as usize,
            read.frames.len(),
            "{name}"
        );
        assert_eq!(read.facts.pixel_format, "yuv420p10le", "{name}");
        assert!(
            mean_difference(read.frames[0].picture.rgb(), &ffmpeg_frames(&clip, "null")) > 5.0,
            "{name}"
        );
    }
    // Only the curve is stated.
    let untagged = make(
        folder,
        &format!("{} -vf scale=320:180 {h264} -color_trc smpte2084", people()),
        "untagged.mp4",
    );
    let stated = format!("setparams=color_primaries=bt2020:colorspace=bt2020nc:range=tv,{reference}");
    assert_shows(&untagged, &stated);
}

/// Grey, alpha, palettes, packed and planar, 8 bits and more.
#[test]
fn pixels_of_all_kinds_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (codec, pixels, container) in [
        ("ffv1", "gray", "mkv"),
        ("ffv1", "gray10le", "mkv"),
        ("ffv1", "gray16le", "mkv"),
        ("libx264 -qp 0", "gray", "mp4"),
        ("png", "gray", "mov"),
        ("png", "ya8", "mov"),
        ("png", "monob", "mov"),
        ("png", "pal8", "mov"),
        ("png", "rgba", "mov"),
        ("png", "rgb48be", "mov"),
        ("png", "rgba64be", "mov"),
        ("qtrle", "argb", "mov"),
        ("gif", "bgr8", "gif"),
        ("ffv1", "yuva420p", "mkv"),
        ("ffv1", "bgra", "mkv"),
        ("ffv1", "gbrp10le", "mkv"),
        ("ffv1", "gbrp16le", "mkv"),
        ("ffv1", "yuv410p", "mkv"),
        ("ffv1", "yuv411p", "mkv"),
        ("ffv1", "yuv440p", "mkv"),
        ("ffv1", "yuv444p16le", "mkv"),
        ("ffv1", "yuva444p10le", "mkv"),
        ("prores_ks -profile:v 4444", "yuva444p10le", "mov"),
        ("prores_ks", "yuv422p10le", "mov"),
        (
            "libvpx-vp9 -deadline realtime -cpu-used 8 -crf 5",
            "yuva420p",
            "webm",
        ),
        (
            "libx265 -preset ultrafast -x265-params log-level=none",
            "yuv444p12le",
            "mp4",
        ),
        ("libx264 -qp 0", "yuv422p10le", "mp4"),
        ("rawvideo", "nv12", "nut"),
        ("rawvideo", "uyvy422", "mov"),
        ("rawvideo", "yuyv422", "avi"),
        ("rawvideo", "rgb565le", "nut"),
        ("rawvideo", "yvyu422", "nut"),
        ("rawvideo", "rgb24", "avi"),
        ("huffyuv", "yuv422p", "avi"),
        ("utvideo", "gbrap", "avi"),
    ] {
        let name = format!("{}-{pixels}.{container}", codec.split(' ').next().unwrap());
        // Not opaque, so that a picture mixed with anything would differ.
        let made = format!(
            "{} -frames:v 3 -vf scale=192:108,setsar=1,format=rgba,colorchannelmixer=aa=0.6 -c:v {codec} -pix_fmt {pixels}",
            people()
        );
        let read = assert_shows(&make(folder, &made, &name), "null");
        assert_eq!(
            read.record.deinterlaced_frames + read.record.tone_mapped_frames,
            0,
            "{name}"
        );
    }
}

/// The larger side decides, whichever way the picture is held: `portrait_untagged`.
#[test]
fn without_tags_a_picture_has_the_matrix_of_players() {
    let folder = tempfile::tempdir().unwrap();
    for (size, matrix) in [
        ("848:480", "bt601"),
        ("480:848", "bt601"),
        ("720:576", "bt601"),
        ("576:720", "bt601"),
        ("1280:720", "bt709"),
        ("720:1280", "bt709"),
        ("600:600", "bt709"),
    ] {
        let made = format!(
            "{} -frames:v 2 -vf scale={size}:out_color_matrix={matrix}:out_range=tv,setsar=1,format=yuv420p,\
             setparams=colorspace=unknown:range=unknown -c:v libx264 -preset ultrafast -qp 0",
            people()
        );
        let clip = make(folder.path(), &made, "untagged.mp4");
        assert_shows(&clip, &format!("scale=in_color_matrix={matrix}"));
    }
}
