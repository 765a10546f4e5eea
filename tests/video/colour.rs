//! A patch of known colour comes out as it went in, whatever the matrix, range and pixel format.

use abaw::video::{Colour, ColourMatrix, ColourRange};

use crate::clips::{make, read_well};

const PATCH: [u8; 3] = [200, 60, 30];

/// Asserts that a clip shows one colour, and how it was decoded.
fn assert_shows(arguments: &str, name: &str, wanted: [u8; 3], colour: Option<Colour>) {
    let folder = tempfile::tempdir().unwrap();
    let read = read_well(&make(folder.path(), arguments, name));
    assert_eq!(read.facts.colour, colour, "{arguments}");
    let picture = &read.frames[0].picture;
    for (x, y) in [
        (0, 0),
        (picture.width() / 2, picture.height() / 2),
        (picture.width() - 1, picture.height() - 1),
    ] {
        let pixel = picture.pixel(x, y);
        let off = pixel
            .iter()
            .zip(wanted)
            .map(|(&got, wanted)| got.abs_diff(wanted))
            .max();
        assert!(off <= Some(4), "{arguments}: {pixel:?} for {wanted:?}");
    }
}

fn patch(size: &str) -> String {
    let [red, green, blue] = PATCH;
    format!("-f lavfi -i color=0x{red:02x}{green:02x}{blue:02x}:s={size}:d=0.08,format=gbrp")
}

const MATRICES: [(ColourMatrix, &str, &str); 3] = [
    (ColourMatrix::Bt601, "bt601", "smpte170m"),
    (ColourMatrix::Bt709, "bt709", "bt709"),
    (ColourMatrix::Bt2020, "bt2020", "bt2020nc"),
];
const RANGES: [(ColourRange, &str); 2] = [(ColourRange::Limited, "tv"), (ColourRange::Full, "pc")];

#[test]
fn tags_are_honoured() {
    for (matrix, name, tag) in MATRICES {
        for (range, range_tag) in RANGES {
            for pixels in ["yuv420p", "yuv420p10le", "yuv444p"] {
                let arguments = format!(
                    "{} -vf scale=out_color_matrix={name}:out_range={range_tag},format={pixels} \
                     -c:v libx264 -qp 0 -colorspace {tag} -color_range {range_tag}",
                    patch("64x48")
                );
                assert_shows(&arguments, "tagged.mp4", PATCH, Some(Colour { matrix, range }));
            }
        }
    }
}

/// Without tags: BT.601 for small pictures, BT.709 for large ones, limited range.
#[test]
fn without_tags_the_size_decides() {
    for (size, matrix, name) in [
        ("64x48", ColourMatrix::Bt601, "bt601"),
        ("1280x720", ColourMatrix::Bt709, "bt709"),
    ] {
        let arguments = format!(
            "{} -vf scale=out_color_matrix={name}:out_range=tv,format=yuv420p,\
             setparams=colorspace=unknown:range=unknown -c:v libx264 -qp 0",
            patch(size)
        );
        let colour = Colour {
            matrix,
            range: ColourRange::Limited,
        };
        assert_shows(&arguments, "untagged.mp4", PATCH, Some(colour));
    }
}

#[test]
fn rgb_stays_rgb() {
    for codec in [
        "libx264rgb -qp 0",
        "qtrle -pix_fmt rgb24",
        "rawvideo -pix_fmt bgr24",
    ] {
        assert_shows(
            &format!("{} -c:v {codec}", patch("64x48")),
            "rgb.mov",
            PATCH,
            None,
        );
    }
    // The tool's palette has pure red, and mixes most other colours from dots.
    let palette = "-f lavfi -i color=red:s=64x48:d=0.08,format=gbrp -c:v png -pix_fmt pal8";
    assert_shows(palette, "palette.mov", [255, 0, 0], None);
}

#[test]
fn grey_and_jpeg_are_full_range() {
    let full = Some(Colour {
        matrix: ColourMatrix::Bt601,
        range: ColourRange::Full,
    });
    let grey = "-f lavfi -i color=0xc8c8c8:s=64x48:d=0.08,format=gbrp";
    assert_shows(
        &format!("{grey} -pix_fmt gray -c:v ffv1"),
        "grey.mkv",
        [200; 3],
        full,
    );
    assert_shows(
        &format!("{} -pix_fmt yuvj420p -c:v mjpeg -q:v 1", patch("64x48")),
        "jpeg.avi",
        PATCH,
        full,
    );
}
