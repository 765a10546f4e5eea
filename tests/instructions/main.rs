//! The instructions of the program's own hot loops, counted by valgrind: what takes a tenth more, or less, than is written down here is seen on
//! any machine, however busy. Valgrind shows programs a processor with AVX2 at most, so those for AVX-512 are not counted.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::process::{Command, Stdio};

use abaw::face::alignment::AlignmentSettings;
use abaw::face::resize::Resize;
use abaw::face::suppression::suppress;
use abaw::face::template::Template;
use abaw::face::{BoundingBox, Detection, Landmarks, Point, align};
use abaw::frame::{FrameIndex, Picture};
use abaw::postprocess::ShotKernel;

/// Functions of this file, and the millions of instructions that each takes.
const WRITTEN_DOWN: [(&str, f64); 4] = [
    ("loop_resize", 13.079),
    ("loop_align", 1.927),
    ("loop_suppress", 2.449),
    ("loop_smooth", 8.949),
];

/// Numbers without an end, the same each time.
fn noise() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(1_u32), |state| {
        // Numerical Recipes' linear congruential generator.
        Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    })
}

fn picture() -> Picture {
    let pixels = noise().map(|number| (number >> 24) as u8).take(1280 * 720 * 3);
    Picture::from_rgb(1280, 720, pixels.collect()).unwrap()
}

/// A picture of 720p to the detector's input, 640x360.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn loop_resize(picture: &Picture, values: &mut [f32]) {
    let resize = Resize::to_long_side(1280, 720, 640);
    resize.write(black_box(picture), values);
}

/// A face to its crop of 112x112.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn loop_align(picture: &Picture, face: &Detection) {
    black_box(align(black_box(picture), face, &AlignmentSettings::default()));
}

/// 500 boxes to those of single faces.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn loop_suppress(boxes: &[Detection]) {
    black_box(suppress(black_box(boxes).to_vec(), 0.4));
}

/// A shot of 2,000 frames with 22 numbers each, smoothed.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn loop_smooth(frames: &[FrameIndex], rows: &[[f64; 22]]) {
    let kernel = ShotKernel::Gaussian {
        sigma: 4.0,
        radius: 12,
    };
    black_box(kernel.smooth(black_box(frames), rows));
}

#[test]
#[ignore = "run below valgrind by the test after it"]
fn loops() {
    let picture = picture();
    loop_resize(&picture, &mut vec![0.0; 640 * 360 * 3]);

    let Landmarks(points) = Template::Frontal.landmarks();
    let place = |Point { x, y }| Point {
        x: 2.5 * x + 300.0,
        y: 2.5 * y + 200.0,
    };
    let face = Detection {
        score: 1.0,
        bounding_box: BoundingBox::default(),
        landmarks: Landmarks(points.map(place)),
    };
    loop_align(&picture, &face);

    let mut numbers = noise().map(|number| (number >> 8) as f32 / (1 << 24) as f32);
    let mut next = |scale: f32| scale * numbers.next().unwrap();
    let boxes = (0..500).map(|_| {
        let (x1, y1) = (next(1200.0), next(640.0));
        let bounding_box = BoundingBox {
            x1,
            y1,
            x2: x1 + 80.0,
            y2: y1 + 80.0,
        };
        Detection {
            score: next(1.0),
            bounding_box,
            ..face
        }
    });
    loop_suppress(&boxes.collect::<Vec<_>>());

    let frames: Vec<_> = (1..=2000).filter_map(FrameIndex::new).collect();
    let rows: Vec<_> = frames
        .iter()
        .map(|_| std::array::from_fn(|_| f64::from(next(1.0))))
        .collect();
    loop_smooth(&frames, &rows);
}

/// Without valgrind it only says so. It takes a minute and more: below it libtorch takes 16 seconds to load.
#[test]
fn hot_loops_take_as_many_instructions_as_ever() {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if version.is_err() {
        println!("skipped: no valgrind");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut other = Vec::new();
    for (name, written_down) in WRITTEN_DOWN {
        let counts = folder.path().join(name);
        let mut callgrind = Command::new("valgrind");
        callgrind.args(["--tool=callgrind", "--quiet", &format!("--toggle-collect={name}")]);
        callgrind.arg(format!("--callgrind-out-file={}", counts.display()));
        callgrind.arg(std::env::current_exe().unwrap());
        callgrind.args(["--exact", "--ignored", "loops"]);
        let output = callgrind.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let counts = std::fs::read_to_string(counts).unwrap();
        let total = counts
            .lines()
            .find_map(|line| line.strip_prefix("totals: "))
            .unwrap();
        let millions = total.trim().parse::<f64>().unwrap() / 1e6;
        println!("{name}: {millions:.3} million instructions");
        if !(0.9..1.1).contains(&(millions / written_down)) {
            other.push(name);
        }
    }
    assert!(
        other.is_empty(),
        "if it is meant, write down the new numbers of {}",
        other.join(", ")
    );
}
