//! Folders of aligned crops as a user gives them: `abaw annotate --crops`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use abaw::config::Pipeline;
use abaw::crops::read_crop;
use abaw::labels::{Affect, FinalAffect, PerTask};
use abaw::model::Ensemble;
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{
    AlignedFace, Architecture, FaceCrops, InferenceForm, NamedTensors, Normalisation, Precision, Predictor,
    initial_weights,
};
use abaw::table::{self, Footer, Row};
use image::imageops::{crop_imm, flip_horizontal};
use image::{GrayImage, RgbImage};
use serde_json::Value;
use tch::Device;

use crate::support::{abaw, errors, expect_exit, golden, read_json, root, stderr_of, stdout_of};

/// A face, 112x112, a little to the right for each number.
pub fn face(number: u32) -> RgbImage {
    let picture = image::open(golden("face/images/portrait_odd_size.png"))
        .unwrap()
        .into_rgb8();
    crop_imm(&picture, 80 + number % 60, 100, 112, 112).to_image()
}

fn valence(affect: &Affect) -> f32 {
    affect.valence_arousal.unwrap().valence
}

/// Folders of crops, and the run over them.
struct Set {
    folder: tempfile::TempDir,
}

impl Set {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("crops")).unwrap();
        Self { folder }
    }

    fn crops(&self) -> PathBuf {
        self.folder.path().join("crops")
    }

    /// Where an image of a video belongs; its folder is made.
    fn image(&self, video: &str, name: &str) -> PathBuf {
        let path = self.crops().join(video).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn annotate(&self, options: &[&str]) -> Output {
        let mut command = abaw();
        command.arg("annotate").arg(self.crops()).arg("--crops");
        command.args(["--device", "cpu", "--out"]).arg(self.run());
        command.args(options).output().unwrap()
    }

    fn table(&self, video: &str) -> (Vec<Row>, Footer) {
        table::read(&self.run().join(format!("frames/{video}.parquet"))).unwrap()
    }
}

/// A seeded network whose output layers are scaled down: a fresh one's logits are in the hundreds, where
/// every probability is 0 or 1.
fn calm_network() -> NamedTensors {
    let mut tensors = initial_weights(&Architecture::MULTITASK, 7).unwrap();
    for task in ["val_arousal", "emotions", "actions"] {
        let weight = tensors
            .get_mut(&format!("custom_classifier.{task}.weight"))
            .unwrap();
        *weight = &*weight * 0.001;
    }
    tensors
}

/// Weights of that network in a file, and what they say of pictures.
fn network(path: &Path, normalisation: Normalisation) -> Predictor {
    let tensors = calm_network();
    let form = InferenceForm::fast(Device::Cpu, Precision::F32);
    let predictor = Predictor::new(&tensors, &Architecture::MULTITASK, form).unwrap();
    let card = Card {
        normalisation,
        trained: false,
        ..Card::as_published("a test".to_owned())
    };
    let weights = Weights::new(tensors, card).unwrap();
    weights.save(path, NumberFormat::F32).unwrap();
    predictor.with_normalisation(normalisation).unwrap()
}

#[test]
fn numbers_are_the_networks_for_the_same_pixels() {
    let set = Set::new();
    face(0).save(set.image("man", "00001.png")).unwrap();
    face(9).save(set.image("man", "00002.jpg")).unwrap();
    flip_horizontal(&face(3))
        .save(set.image("man", "7.JPEG"))
        .unwrap();
    crop_imm(&face(20), 10, 5, 80, 100)
        .to_image()
        .save(set.image("man", "00040.png"))
        .unwrap();
    image::open(golden("face/images/upscaled.png"))
        .unwrap()
        .save(set.image("man", "00041.jpg"))
        .unwrap();
    let grey: GrayImage = image::imageops::grayscale(&face(1));
    grey.save(set.image("man", "100000.png")).unwrap();
    let files = [
        "00001.png",
        "00002.jpg",
        "7.JPEG",
        "00040.png",
        "00041.jpg",
        "100000.png",
    ];
    let faces: Vec<FaceCrops> = files
        .iter()
        .map(|name| {
            AlignedFace::new(read_crop(&set.image("man", name)).unwrap())
                .unwrap()
                .into()
        })
        .collect();

    let other = Normalisation {
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let mut first_valences = Vec::new();
    for normalisation in [Normalisation::IMAGENET, other] {
        let weights = set.folder.path().join("weights.safetensors");
        let predictor = network(&weights, normalisation);
        // As the workers of a run: another number of threads rounds other last digits.
        tch::set_num_threads(1);
        // In a batch of the pipeline's size: other sizes round other last digits, too.
        let ensemble = Ensemble::new(
            vec![(predictor.into(), PerTask::all(1.0))],
            Pipeline::default().model.batch,
        );
        let expected = ensemble.predict(&faces.iter().collect::<Vec<_>>()).unwrap();
        let output = set.annotate(&["--force", "--weights", weights.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr_of(&output));

        let (rows, footer) = set.table("man");
        let frames: Vec<u32> = rows.iter().map(|row| row.frame.number()).collect();
        assert_eq!(frames, [1, 2, 7, 40, 41, 100_000]);
        let raw: Vec<Affect> = rows.iter().map(|row| row.raw.clone()).collect();
        assert_eq!(raw, expected);
        assert!(
            rows.iter()
                .all(|row| row.subject && row.sighting.is_face() && row.time_s.is_none())
        );
        assert_eq!(footer.counts.frames, 6);
        first_valences.push(valence(&raw[0]));
    }
    assert_ne!(
        first_valences[0], first_valences[1],
        "the card's normalisation is not used"
    );
}

/// Decoders show what is there above grey, which would be read as a face.
#[test]
fn a_jpeg_that_was_cut_off_in_copying_is_damage() {
    let set = Set::new();
    for number in 1..=3 {
        face(number)
            .save(set.image("v", &format!("{number:05}.jpg")))
            .unwrap();
    }
    let cut = set.image("v", "00002.jpg");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let output = set.annotate(&[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    let stderr = stderr_of(&output);
    assert!(stderr.contains("1 of 3 images unreadable"), "{stderr}");
    assert!(
        stderr.contains("cut off: the end of the image is missing"),
        "{stderr}"
    );
    let (rows, footer) = set.table("v");
    let seen: Vec<bool> = rows.iter().map(|row| row.sighting.is_face()).collect();
    assert_eq!(seen, [true, false, true]);
    assert_eq!(
        footer.stream["damage"]["unreadable_images"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn unreadable_images_are_recorded_and_filled() {
    let set = Set::new();
    face(0).save(set.image("v", "00001.png")).unwrap();
    fs::write(set.image("v", "00002.jpg"), "no image").unwrap();
    let whole = set.image("v", "00004.png");
    face(3).save(&whole).unwrap();
    let bytes = fs::read(&whole).unwrap();
    fs::write(&whole, &bytes[..bytes.len() / 2]).unwrap();
    face(30).save(set.image("v", "00005.jpg")).unwrap();
    fs::write(set.image("v", "00006.png"), b"").unwrap();
    let output = set.annotate(&["--set", "postprocess.smoothing={}"]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    assert!(
        stderr_of(&output).contains("3 of 5 images unreadable"),
        "{}",
        stderr_of(&output)
    );

    let (rows, footer) = set.table("v");
    let frames: Vec<u32> = rows.iter().map(|row| row.frame.number()).collect();
    assert_eq!(frames, [1, 2, 4, 5, 6]);
    let detected: Vec<bool> = rows.iter().map(|row| row.sighting.is_face()).collect();
    assert_eq!(detected, [true, false, false, true, false]);
    let (first, last) = (valence(&rows[0].raw), valence(&rows[3].raw));
    assert_eq!(rows[4].postprocessed, FinalAffect::default(), "no face follows");
    for (row, share) in [(1, 0.25), (2, 0.75)] {
        assert_eq!(rows[row].raw, Affect::default());
        let filled = valence(&rows[row].postprocessed.affect);
        assert!(
            (filled - (first + (last - first) * share)).abs() < 1e-6,
            "{filled}"
        );
    }
    assert_eq!((footer.counts.frames, footer.counts.frames_with_face), (5, 2));
    let summary = read_json::<Value>(&set.run().join("run.json"));
    for damage in [&footer.stream["damage"], &summary["videos"][0]["damage"]] {
        let images = damage["unreadable_images"].as_array().unwrap();
        let names: Vec<bool> = ["00002.jpg", "00004.png", "00006.png"]
            .iter()
            .zip(images)
            .map(|(name, image)| image.as_str().unwrap().contains(name))
            .collect();
        assert_eq!(names, [true; 3], "{damage}");
    }
}

#[test]
fn crops_of_all_formats_are_read_and_frame_0_is_kept() {
    let set = Set::new();
    for (number, extension) in ["png", "bmp", "webp", "tif", "tiff"].into_iter().enumerate() {
        face(7)
            .save(set.image("v", &format!("{number:05}.{extension}")))
            .unwrap();
    }
    face(7).save(set.image("bitmaps", "00001.bmp")).unwrap();
    fs::write(set.image("v", "notes.txt"), "no crop").unwrap();
    fs::write(set.image("v", "00009.gif"), "no crop").unwrap();
    let output = set.annotate(&[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    assert!(
        stderr_of(&output).contains("1 .gif, 1 .txt"),
        "{}",
        stderr_of(&output)
    );
    let (rows, _) = set.table("v");
    let frames: Vec<u32> = rows.iter().map(|row| row.frame.number()).collect();
    assert_eq!(frames, [0, 1, 2, 3, 4]);
    assert!(
        rows.iter()
            .all(|row| row.raw == rows[0].raw && row.sighting.is_face())
    );
    assert_eq!(set.table("bitmaps").0[0].raw, rows[0].raw);

    // What each form of submission does with frame 0.
    let template = set.folder.path().join("list.txt");
    fs::write(
        &template,
        "image,valence,arousal\nv/00000.jpg,0,0\nv/00004.jpg,0,0\n",
    )
    .unwrap();
    let submit = |options: &[&str]| {
        let mut submit = abaw();
        submit
            .arg("submit")
            .arg(set.run())
            .args(["--challenge", "va", "--template"])
            .arg(&template);
        let output = submit
            .arg("--out")
            .arg(set.folder.path().join("out"))
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
        stdout_of(&output)
    };
    assert!(submit(&[]).contains("2 lines, 1 videos, 0 lines filled"));
    fs::remove_file(set.folder.path().join("out")).unwrap();
    fs::write(&template, "v\n").unwrap();
    assert!(
        submit(&["--per-video"])
            .contains("4 lines, 1 videos, 0 lines filled from other frames; frame 0 of 1 videos has no line")
    );

    let labels = set.folder.path().join("labels");
    fs::create_dir_all(labels.join("VA_Set")).unwrap();
    fs::write(
        labels.join("VA_Set/v.txt"),
        "valence,arousal\n0,0\n0.5,0.5\n0,0.1\n0.2,0\n",
    )
    .unwrap();
    let mut evaluate = abaw();
    let output = evaluate
        .arg("evaluate")
        .arg(set.run())
        .arg("--labels")
        .arg(&labels)
        .output()
        .unwrap();
    assert!(
        stderr_of(&output).contains("line 1 of their label files is taken for frame 1"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn a_bad_folder_costs_itself_alone() {
    let set = Set::new();
    face(0).save(set.image("good", "00001.jpg")).unwrap();
    face(0).save(set.image("twice", "00001.jpg")).unwrap();
    face(0).save(set.image("twice", "1.png")).unwrap();
    face(0).save(set.image("unnumbered", "cover.jpg")).unwrap();
    fs::write(set.image("broken", "00001.jpg"), "no image").unwrap();
    fs::create_dir(set.crops().join("empty")).unwrap();
    fs::write(set.image("notes", "readme.txt"), "no crops here").unwrap();
    let output = set.annotate(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
    let said = errors(&output);
    assert_eq!(said.len(), 4, "{said:#?}");
    for (video, reason) in [
        ("twice", "two images of frame 1"),
        ("unnumbered", "no images named by frame number"),
        ("broken", "1 of 1 images unreadable"),
        ("empty", "no images named by frame number"),
    ] {
        let record = read_json::<Value>(&set.run().join(format!("failures/{video}.json")));
        assert!(record["error"].as_str().unwrap().contains(reason), "{record}");
        assert!(
            said.iter()
                .any(|line| line.starts_with(&format!("error: {video}: ")))
        );
        assert!(!set.run().join(format!("frames/{video}.parquet")).exists());
    }
    let totals = &read_json::<Value>(&set.run().join("run.json"))["totals"];
    assert_eq!((&totals["done"], &totals["failed"]), (&1.into(), &4.into()));
}

#[test]
fn nothing_but_empty_folders_is_a_usage_error() {
    let set = Set::new();
    fs::create_dir(set.crops().join("empty")).unwrap();
    let output = set.annotate(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(errors(&output).len(), 1);
    assert!(!set.run().exists());
}

#[test]
fn hundreds_of_folders_of_any_name() {
    let set = Set::new();
    let mut videos: BTreeSet<String> = (0..200)
        .map(|number| format!("batch{}/{number}", number % 3))
        .collect();
    videos.extend(
        [
            "a man, smiling",
            "Überraschung 驚き",
            "12-24-1920x1080_left",
            "it's; \"$HOME\"",
        ]
        .map(str::to_owned),
    );
    for (at, video) in videos.iter().enumerate() {
        face(at as u32).save(set.image(video, "00003.jpg")).unwrap();
    }
    let output = set.annotate(&[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    let summary = read_json::<Value>(&set.run().join("run.json"));
    let done: BTreeSet<String> = summary["videos"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|video| video["status"] == "done" && video["frames"] == 1)
        .map(|video| video["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(done, videos);
    for video in &videos {
        assert_eq!(set.table(video).0[0].frame.number(), 3);
    }
}

#[test]
fn crops_stay_as_they_are_whatever_their_exif_tag_asks_for() {
    let set = Set::new();
    face(5).save(set.image("v", "00001.png")).unwrap();
    let path = set.image("v", "00002.png");
    let script = "import sys; from PIL import Image; e = Image.Exif(); e[0x112] = 6\n\
                  Image.open(sys.argv[1]).save(sys.argv[2], exif=e)";
    let mut python = std::process::Command::new("python3");
    python
        .env("PYTHONPATH", root().join(".deps/python"))
        .arg("-c")
        .arg(script);
    expect_exit(0, python.arg(set.image("v", "00001.png")).arg(&path));
    let output = set.annotate(&[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    let rows = set.table("v").0;
    assert_eq!(rows[0].raw, rows[1].raw);
    assert!(
        stderr_of(&output).contains("v: 1 of 2 crops have an EXIF tag"),
        "{}",
        stderr_of(&output)
    );
}
