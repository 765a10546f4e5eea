//! A data set of a few real faces, recipes for it, and the program.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use abaw::crops::read_crop;
use abaw::frame::Picture;
use serde_json::Value;

use crate::support::{abaw, root, stderr_of};

/// Images of the data set.
pub const IMAGES: u32 = 24;

/// A folder for one test with `crops/`, `crops.tar` and `labels.txt`; it goes with it.
pub struct SmallDataSet {
    folder: tempfile::TempDir,
}

impl SmallDataSet {
    pub fn new() -> Self {
        let set = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut labels = String::from("image,valence,arousal,expression,aus\n");
        for number in 1..=IMAGES {
            let path = set.path(format!("crops/v/{number:05}.png"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            save(&face(number), &path);
            let class = number % 8;
            let units: Vec<String> = (0..12)
                .map(|unit| (number >> (unit % 4) & 1).to_string())
                .collect();
            let valence = f64::from(class) / 4.0 - 0.9;
            let units = units.join(",");
            writeln!(
                labels,
                "v/{number:05}.jpg,{valence:.2},{:.2},{class},{units}",
                -valence / 2.0
            )
            .unwrap();
        }
        std::fs::write(set.path("labels.txt"), labels).unwrap();
        set
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A recipe of the data set: 3 epochs of 3 steps, all layers, quick to learn. `changes` replaces
    /// some of its lines, each named by the words before its `=`; other lines are added in front.
    pub fn recipe(&self, changes: &[&str]) -> PathBuf {
        let mut lines: Vec<String> = RECIPE.lines().map(str::to_owned).collect();
        for change in changes {
            let name = change.split('=').next().unwrap();
            match lines.iter_mut().find(|line| line.split('=').next() == Some(name)) {
                Some(line) => *line = (*change).to_owned(),
                None => lines.insert(0, (*change).to_owned()),
            }
        }
        let path = self.path("recipe.toml");
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    /// `abaw train` on the recipe, not started yet.
    pub fn command(&self, out: &str, options: &[&str]) -> Command {
        let mut command = abaw();
        command
            .args(["train", "--device", "cpu", "--recipe"])
            .arg(self.path("recipe.toml"))
            .arg("--out")
            .arg(self.path(out))
            .args(options);
        command
    }

    /// Trains to the end.
    pub fn train(&self, out: &str, options: &[&str]) -> Output {
        self.command(out, options).output().unwrap()
    }

    /// Trains to the end, which must be a good one.
    pub fn trained(&self, out: &str) -> Trained {
        let output = self.train(out, &[]);
        assert!(output.status.success(), "{}", stderr_of(&output));
        self.result(out)
    }

    pub fn start(&self, out: &str, options: &[&str]) -> Child {
        let mut command = self.command(out, options);
        command.stderr(Stdio::null()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    pub fn result(&self, out: &str) -> Trained {
        Trained {
            weights: std::fs::read(self.path(out).join("last.safetensors")).unwrap(),
            best: std::fs::read(self.path(out).join("best.safetensors")).unwrap(),
            epochs: epochs(&self.path(out).join("metrics.jsonl")),
        }
    }
}

/// What a run leaves that must not depend on when it was interrupted.
#[derive(PartialEq)]
pub struct Trained {
    pub weights: Vec<u8>,
    pub best: Vec<u8>,
    /// Lines of `metrics.jsonl` without times.
    pub epochs: Vec<Value>,
}

pub fn epochs(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let epoch = |line: &str| {
        let mut epoch: Value = serde_json::from_str(line).unwrap();
        for time in ["seconds", "images_per_second"] {
            epoch.as_object_mut().unwrap().remove(time).unwrap();
        }
        epoch
    };
    text.lines().map(epoch).collect()
}

/// One of three faces: as it is, upside down or turned by half, a position for each of 8 classes, in
/// one of three lights.
fn face(number: u32) -> Picture {
    let golden = root().join("tests/golden");
    let names = [
        "crops/shrunk.png",
        "crops/enlarged.png",
        "face/alignment/face_at_border_int.png",
    ];
    let class = number as usize % 8;
    let face = read_crop(&golden.join(names[class % 3])).unwrap();
    let light = 1.0 - 0.15 * (number / 8) as f32;
    let mut pixels: Vec<[u8; 3]> = face.rgb().as_chunks::<3>().0.to_vec();
    match class / 3 {
        0 => {}
        1 => pixels = pixels.chunks(112).rev().flatten().copied().collect(),
        _ => pixels.reverse(),
    }
    let rgb = pixels.concat();
    let lit = rgb.iter().map(|value| (f32::from(*value) * light) as u8);
    Picture::from_rgb(112, 112, lit.collect()).unwrap()
}

pub fn save(picture: &Picture, path: &Path) {
    let (width, height) = (picture.width(), picture.height());
    image::RgbImage::from_raw(width, height, picture.rgb().to_vec())
        .unwrap()
        .save(path)
        .unwrap();
}

const RECIPE: &str = r#"
batch = 8
replicas = 2
checkpoint_minutes = 10.0
average = 0.5
[data]
train = { labels = "labels.txt", images = "crops" }
validation = { labels = "labels.txt", images = "crops" }
test = { labels = "labels.txt", images = "crops" }
[loss.weights]
attention = 0.01
[augmentation]
colour = { brightness = 0.2, contrast = 0.2, saturation = 0.2, grey = 0.2 }
[[phase]]
layers = "all"
epochs = 3
optimizer = { name = "adam", learning_rate = 1e-3 }
schedule = { name = "cosine", warm_up = 1.0 }
"#;
