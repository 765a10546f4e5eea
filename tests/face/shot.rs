//! Shot cuts in films made here: cameras that pan, zoom and flash over painted scenes, and over the
//! real pictures of `../shared/golden/images` where they are.

use std::f32::consts::TAU;

use abaw::face::shot::{ShotDetector, ShotSettings, Signature};
use abaw::frame::Picture;

use crate::random::Random;
use crate::support::shared_golden;

const WIDTH: u32 = 128;
const HEIGHT: u32 = 72;

/// A painted world of soft discs, three pictures wide and high; the unit is a picture's width.
struct Scene(Vec<f32>);

const WORLD: usize = 3 * WIDTH as usize;

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
        let mut world = vec![120.0; WORLD * WORLD];
        for _ in 0..600 {
            let (x, y) = (random.between_f32(0.0, 3.0), random.between_f32(0.0, 3.0));
            let radius = 0.03 * 7f32.powf(random.uniform_f32());
            let strength = random.between_f32(-110.0, 110.0);
            let pixels = |at: f32| (at.clamp(0.0, 3.0) * WIDTH as f32) as usize;
            for row in pixels(y - radius)..pixels(y + radius) {
                for column in pixels(x - radius)..pixels(x + radius) {
                    let (dx, dy) = (column as f32 / WIDTH as f32 - x, row as f32 / WIDTH as f32 - y);
                    let share = (dx * dx + dy * dy) / (radius * radius);
                    world[row * WORLD + column] += strength * (1.0 - share * share).max(0.0);
                }
            }
        }
        Self(world)
    }

    /// The light at a place; (0, 0) is one picture's width from the world's top left corner.
    fn light(&self, x: f32, y: f32) -> f32 {
        let at = |place: f32| (((place + 1.0) * WIDTH as f32) as usize).min(WORLD - 1);
        self.0[at(y) * WORLD + at(x)].clamp(0.0, 255.0)
    }
}

/// Where the camera looks: the top left corner and the width of what it sees, and how bright.
#[derive(Clone, Copy)]
struct View {
    x: f32,
    y: f32,
    width: f32,
    gain: f32,
}

const STILL: View = View {
    x: 0.0,
    y: 0.0,
    width: 1.0,
    gain: 1.0,
};

/// A film that is being shot, frame by frame.
struct Film {
    detector: ShotDetector,
    noise: Random,
    frame: u32,
    cuts: Vec<u32>,
}

impl Film {
    fn new() -> Self {
        Self {
            detector: ShotDetector::new(ShotSettings::default()),
            noise: Random(5),
            frame: 0,
            cuts: vec![],
        }
    }

    fn show(&mut self, picture: &Picture) {
        self.frame += 1;
        if self.detector.is_cut(&Signature::of(picture)) {
            self.cuts.push(self.frame);
        }
    }

    fn shoot(&mut self, scene: &Scene, view: View) {
        let picture = paint(
            |x, y| view.gain * scene.light(view.x + x * view.width, view.y + y * view.width),
            &mut self.noise,
        );
        self.show(&picture);
    }
}

/// Paints a picture with a sensor's noise; `light(x, y)` with x in 0..1 and y in 0..9/16.
fn paint(light: impl Fn(f32, f32) -> f32, noise: &mut Random) -> Picture {
    let mut picture = Picture::black(WIDTH, HEIGHT);
    for (at, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (at as u32 % WIDTH, at as u32 / WIDTH);
        let grey = light(x as f32 / WIDTH as f32, y as f32 / WIDTH as f32) + noise.between_f32(-8.0, 8.0);
        pixel.fill(grey.clamp(0.0, 255.0) as u8);
    }
    picture
}

#[test]
fn finds_cuts_and_nothing_else() {
    let mut film = Film::new();
    let mut expected = Vec::new();
    let mut random = Random(11);
    for seed in 0..40 {
        let scene = Scene::new(seed);
        if seed > 0 {
            expected.push(film.frame + 1);
        }
        let (dx, dy) = (random.between_f32(-0.02, 0.02), random.between_f32(-0.01, 0.01));
        for step in 0..6 + (9.0 * random.uniform_f32()) as u32 {
            let step = step as f32;
            film.shoot(
                &scene,
                View {
                    x: dx * step,
                    y: dy * step,
                    ..STILL
                },
            );
        }
    }
    assert_eq!(film.cuts, expected);
}

#[test]
fn a_letterboxed_film_has_cuts_too() {
    let mut film = Film::new();
    for seed in 0..20 {
        let scene = Scene::new(seed);
        for _ in 0..5 {
            // Bars at the top and bottom as in cinema, and at the sides as of a telephone.
            let bars = |x: f32, y: f32| {
                let inside = (0.25..0.75).contains(&x) && (0.07..0.49).contains(&y);
                if inside { scene.light(x, y) } else { -100.0 }
            };
            let picture = paint(bars, &mut film.noise);
            film.show(&picture);
        }
    }
    let expected: Vec<u32> = (1..20).map(|shot| 5 * shot + 1).collect();
    assert_eq!(film.cuts, expected);
}

#[test]
fn a_flash_is_no_cut() {
    for seed in 0..20 {
        let mut film = Film::new();
        let scene = Scene::new(seed);
        for step in 0..40u32 {
            // Light on all, light on what is in the middle, and nearly nothing but light.
            let (gain, middle, veil) = match step {
                10 | 11 => (1.6, 0.0, 0.15),
                20 | 21 => (1.3, 1.2, 0.0),
                30 => (2.0, 0.0, 0.9),
                _ => (1.0, 0.0, 0.0),
            };
            let light = |x: f32, y: f32| {
                let distance = ((x - 0.5).powi(2) + (y - 0.3).powi(2)) / 0.16;
                let lit = scene.light(x, y) * (gain + middle * (1.0 - distance).max(0.0));
                lit.min(255.0) * (1.0 - veil) + 255.0 * veil
            };
            let picture = paint(light, &mut film.noise);
            film.show(&picture);
        }
        assert!(film.cuts.is_empty(), "scene {seed}");
    }
}

#[test]
fn a_fast_camera_is_no_cut() {
    for seed in 0..20 {
        let scene = Scene::new(seed);
        // Pans of up to a fifth of the picture's width a frame, begun at once and stopped at once.
        for (dx, dy) in [
            (0.05, 0.0),
            (0.125, 0.02),
            (-0.2, 0.0),
            (0.0, 0.05),
            (0.08, -0.05),
        ] {
            let mut film = Film::new();
            for step in 0..20 {
                let moved = (step - 5).clamp(0, 8) as f32;
                film.shoot(
                    &scene,
                    View {
                        x: dx * moved,
                        y: dy * moved,
                        ..STILL
                    },
                );
            }
            assert!(film.cuts.is_empty(), "scene {seed}, pan {dx} {dy}");
        }
        // Zooms by 6 % a frame, out and in.
        let mut film = Film::new();
        for step in 0..30i32 {
            let width = 1.06f32.powi((step - 15).abs());
            film.shoot(
                &scene,
                View {
                    x: 0.5 - width / 2.0,
                    y: 0.28 * (1.0 - width),
                    width,
                    ..STILL
                },
            );
        }
        assert!(film.cuts.is_empty(), "scene {seed}, zoom");
    }
}

#[test]
fn someone_walking_by_is_no_cut() {
    for seed in 0..10 {
        let mut film = Film::new();
        let scene = Scene::new(seed);
        for step in 0..40 {
            // A dark figure a quarter of the picture wide crosses it in twenty frames.
            let left = -0.25 + 0.0625 * (step as f32 - 10.0);
            let light = |x: f32, y: f32| {
                if (left..left + 0.25).contains(&x) {
                    40.0 + 20.0 * (TAU * 4.0 * y).sin()
                } else {
                    scene.light(x, y)
                }
            };
            let picture = paint(light, &mut film.noise);
            film.show(&picture);
        }
        assert!(film.cuts.is_empty(), "scene {seed}");
    }
}

#[test]
fn black_between_two_shots() {
    for (next, expected) in [(1, 1), (2, 0)] {
        let mut film = Film::new();
        let scenes = [Scene::new(2), Scene::new(next)];
        for step in 0..40i32 {
            let gain = ((step - 20).abs() as f32 - 5.0).clamp(0.0, 8.0) / 8.0;
            film.shoot(&scenes[usize::from(step > 20)], View { gain, ..STILL });
        }
        assert_eq!(film.cuts.len(), expected, "{:?}", film.cuts);
        assert!(
            film.cuts.iter().all(|cut| (26..30).contains(cut)),
            "{:?}",
            film.cuts
        );
    }
}

#[test]
fn another_size_is_a_cut() {
    let mut film = Film::new();
    let scene = Scene::new(1);
    for _ in 0..3 {
        film.shoot(&scene, STILL);
    }
    for size in [(160, 90), (160, 90), (1, 1), (1, 1), (0, 0)] {
        film.show(&Picture::black(size.0, size.1));
    }
    assert_eq!(film.cuts, [4, 6, 8]);
}

#[test]
fn nothing_to_see_is_no_cut() {
    let mut film = Film::new();
    for grey in [0.0, 0.0, 255.0, 128.0, 0.0, 10.0] {
        let picture = paint(|_, _| grey, &mut film.noise);
        film.show(&picture);
    }
    assert!(film.cuts.is_empty());
}

/// A 16:9 view of a real picture, `zoom` times nearer, moved by shares of the view.
fn view_of(image: &image::RgbImage, zoom: f32, dx: f32, dy: f32) -> Picture {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let view = (width.min(height * 16.0 / 9.0)) / 1.6 / zoom;
    let (left, top) = (
        (width - view) / 2.0 + dx * view,
        (height - view * 9.0 / 16.0) / 2.0 + dy * view,
    );
    let mut picture = Picture::black(WIDTH, HEIGHT);
    for (at, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = ((at as u32 % WIDTH) as f32, (at as u32 / WIDTH) as f32);
        let x = (left + view * x / WIDTH as f32).clamp(0.0, width - 1.0) as u32;
        let y = (top + view * y / WIDTH as f32).clamp(0.0, height - 1.0) as u32;
        pixel.copy_from_slice(&image.get_pixel(x, y).0);
    }
    picture
}

#[test]
fn real_pictures() {
    // One of each original picture.
    let names = [
        "one_face_not_multiple_of_32.png",
        "several_faces.png",
        "small_face.png",
        "profile.png",
        "one_face.png",
    ];
    let Some(golden) = shared_golden() else { return };
    let images = names.map(|name| image::open(golden.join("images").join(name)).unwrap().to_rgb8());
    for (name, image) in names.iter().zip(&images) {
        let mut film = Film::new();
        for step in 0..30i32 {
            let zoom = 1.0 + 0.03 * step.min(10) as f32;
            let moved = 0.05 * (step - 15).clamp(0, 5) as f32;
            film.show(&view_of(image, zoom, moved, moved / 2.0));
        }
        assert!(film.cuts.is_empty(), "{name}");
    }
    for (i, first) in images.iter().enumerate() {
        for (j, second) in images.iter().enumerate().filter(|(j, _)| *j != i) {
            let mut film = Film::new();
            for step in 0..20 {
                let image = if step < 10 { first } else { second };
                film.show(&view_of(image, 1.0, 0.004 * step as f32, 0.0));
            }
            assert_eq!(film.cuts, [11], "{} to {}", names[i], names[j]);
        }
    }
}

/// Two pictures over each other, the second ever stronger, with a slow pan in each.
fn dissolve(film: &mut Film, first: &Scene, second: &Scene, frames: u32) {
    for step in 1..=frames {
        let share = step as f32 / (frames + 1) as f32;
        let drift = 0.001 * step as f32;
        let light =
            |x: f32, y: f32| (1.0 - share) * first.light(x + drift, y) + share * second.light(x, y + drift);
        let picture = paint(light, &mut film.noise);
        film.show(&picture);
    }
}

#[test]
fn a_dissolve_is_one_cut() {
    for frames in [5, 8, 12, 20, 30, 50] {
        for seed in 0..10 {
            let mut film = Film::new();
            let (first, second) = (Scene::new(2 * seed), Scene::new(2 * seed + 1));
            for _ in 0..60 {
                film.shoot(&first, STILL);
            }
            dissolve(&mut film, &first, &second, frames);
            for _ in 0..60 {
                film.shoot(&second, STILL);
            }
            assert!(
                film.cuts.len() == 1 && (60..=61 + frames + 8).contains(&film.cuts[0]),
                "{frames} frames, scenes of {seed}: {:?}",
                film.cuts
            );
        }
    }
}

#[test]
fn dissolves_are_not_looked_for_where_they_are_switched_off() {
    let mut film = Film::new();
    film.detector = ShotDetector::new(ShotSettings {
        dissolve_frames: 0,
        ..ShotSettings::default()
    });
    let (first, second) = (Scene::new(0), Scene::new(1));
    for _ in 0..30 {
        film.shoot(&first, STILL);
    }
    dissolve(&mut film, &first, &second, 40);
    assert_eq!(film.cuts, [0; 0]);
}

/// A small picture before a black ground: nothing else counts.
#[test]
fn a_tile_on_black_has_its_own_cuts_only() {
    let mut film = Film::new();
    for seed in 0..6 {
        let scene = Scene::new(seed);
        for step in 0..12 {
            let tile = |x: f32, y: f32| {
                let inside = (0.36..0.64).contains(&x) && (0.2..0.36).contains(&y);
                let drift = 0.002 * step as f32;
                if inside {
                    scene.light((x - 0.36) / 0.28 + drift, (y - 0.2) / 0.28)
                } else {
                    -100.0
                }
            };
            let picture = paint(tile, &mut film.noise);
            film.show(&picture);
        }
    }
    assert_eq!(film.cuts, [13, 25, 37, 49, 61]);
}

#[test]
fn bars_that_come_and_strobes_are_no_cuts() {
    let scene = Scene::new(3);
    let mut film = Film::new();
    for step in 0..60 {
        let barred = step >= 30;
        let picture = paint(
            |x, y| {
                if barred && !(0.07..0.49).contains(&y) {
                    -100.0
                } else {
                    scene.light(x, y)
                }
            },
            &mut film.noise,
        );
        film.show(&picture);
    }
    for step in 0..60 {
        let gain = if step % 5 < 2 { 1.0 } else { 0.15 };
        film.shoot(&scene, View { gain, ..STILL });
    }
    assert_eq!(film.cuts, [0; 0]);
}
