//! Turned and mirrored videos come upright: compared with what is meant and with the ffmpeg tool.

use crate::clips::{changed, ffmpeg_first_frame, make, read_well};

/// Colours of the four quarters of the clip, row by row.
const QUARTERS: [(char, [u8; 3]); 4] = [
    ('R', [255, 0, 0]),
    ('G', [0, 255, 0]),
    ('B', [0, 0, 255]),
    ('W', [255, 255, 255]),
];

/// The letters of an upright picture's quarters, row by row.
fn quarters(rgb: &[u8], width: usize, height: usize) -> String {
    let centres = [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| (x * width / 4, y * height / 4));
    let letter = |(x, y): (usize, usize)| {
        let pixel = &rgb[3 * (y * width + x)..][..3];
        let is_near = |colour: [u8; 3]| {
            pixel
                .iter()
                .zip(colour)
                .all(|(&got, wanted)| got.abs_diff(wanted) < 30)
        };
        QUARTERS
            .iter()
            .find(|(_, colour)| is_near(*colour))
            .map_or('?', |(letter, _)| *letter)
    };
    centres.into_iter().map(letter).collect()
}

#[test]
fn display_matrices_are_applied() {
    let folder = tempfile::tempdir().unwrap();
    let colours = ["red", "lime", "blue", "white"].map(|colour| format!("color={colour}:s=48x32:d=0.12"));
    let [red, green, blue, white] = colours;
    let graph = format!(
        "{red}[r];{green}[g];{blue}[b];{white}[w];[r][g]hstack[top];[b][w]hstack[low];[top][low]vstack"
    );
    let encoded = format!("-filter_complex {graph} -c:v libx264 -qp 0 -pix_fmt yuv444p");
    let lying = make(folder.path(), &encoded, "lying.mp4");

    const ONE: i32 = 1 << 16;
    // The matrix [a b c d], the clockwise turn, whether mirrored before, the quarters upright.
    for (matrix, rotation, mirrored, upright) in [
        ([ONE, 0, 0, ONE], 0, false, "RGBW"),
        ([0, ONE, -ONE, 0], 90, false, "BRWG"),
        ([-ONE, 0, 0, -ONE], 180, false, "WBGR"),
        ([0, -ONE, ONE, 0], 270, false, "GWRB"),
        ([-ONE, 0, 0, ONE], 0, true, "GRWB"),
        ([0, -ONE, -ONE, 0], 90, true, "WGBR"),
        ([ONE, 0, 0, -ONE], 180, true, "BWRG"),
        ([0, ONE, ONE, 0], 270, true, "RBGW"),
    ] {
        let [a, b, c, d] = matrix;
        let turned = changed(&lying, "turned.mp4", |bytes| {
            let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
            for (number, value) in [a, b, 0, c, d].into_iter().enumerate() {
                bytes[header + 44 + 4 * number..][..4].copy_from_slice(&value.to_be_bytes());
            }
        });
        let read = read_well(&turned);
        let picture = &read.frames[0].picture;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        assert_eq!(
            (width, height),
            if rotation % 180 == 0 { (96, 64) } else { (64, 96) }
        );
        assert_eq!(
            (read.facts.size.width as usize, read.facts.size.height as usize),
            (width, height)
        );
        assert_eq!((read.facts.rotation, read.facts.mirrored), (rotation, mirrored));
        assert_eq!(quarters(picture.rgb(), width, height), upright);
        assert_eq!(quarters(&ffmpeg_first_frame(&turned), width, height), upright);
    }
}
