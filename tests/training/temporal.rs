//! Temporal networks: `abaw train` with `[temporal]`, and their outputs in `abaw postprocess`, on data whose answer is
//! known.
//!
//! Valence and arousal are two Ornstein-Uhlenbeck processes. The raw outputs and eight numbers of the feature are each of
//! them with noise. The best estimate in the mean square is then the Kalman smoother's (Rauch, Tung, Striebel 1965), which
//! is computed here from the true parameters.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use abaw::labels::{Affect, ValenceArousal};
use abaw::metrics::{Annotation, Tally};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::made_runs::{self, MadeFace, MadeVideo};
use crate::support::workspace::columns;
use crate::support::{abaw, errors, expect_exit, root, stderr_of, succeeded, table};

/// Standard deviation of the processes, and the noise of an output.
const SPREAD: f64 = 0.3;
const OUTPUT_NOISE: f64 = 0.45;
/// The process's share in each number of the feature, and the noise there.
const LOADINGS: [f64; 4] = [1.0, -0.7, 0.5, 1.3];
const FEATURE_NOISE: f64 = 1.0;
/// The share of a process that is left after a frame.
const KEPT: [f64; 2] = [0.96, 0.9];
const FRAMES: usize = 500;

/// A video and the processes behind it.
struct KnownVideo {
    video: MadeVideo,
    truth: Vec<[f64; 2]>,
    /// What the Kalman smoother makes of what was seen.
    smoothed: Vec<[f64; 2]>,
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// The videos of a set; each begins anew at its cut and has gaps in which nobody is seen.
fn videos(set: &str, count: usize, seed: u64) -> Vec<KnownVideo> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|number| known_video(format!("{set}/{set}{number}"), &mut random))
        .collect()
}

fn known_video(id: String, random: &mut ChaCha8Rng) -> KnownVideo {
    let cut = FRAMES * 2 / 5;
    let mut state = [0.0; 2];
    let (mut truth, mut faces, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    for frame in 0..FRAMES {
        for (state, kept) in state.iter_mut().zip(KEPT) {
            let (old, new) = match frame == 0 || frame == cut {
                true => (0.0, SPREAD),
                false => (*state * kept, SPREAD * (1.0f64 - kept * kept).sqrt()),
            };
            *state = old + new * normal(random);
        }
        truth.push(state);
        let is_gap = frame % 60 >= 54;
        let output = state.map(|state| state + OUTPUT_NOISE * normal(random));
        let feature = LOADINGS
            .map(|loading| state.map(|state| (loading * state + FEATURE_NOISE * normal(random)) as f32));
        // All measurements of a frame as one: their mean, weighted by precision, and its precision.
        let precision = OUTPUT_NOISE.powi(-2)
            + LOADINGS
                .map(|loading| (loading / FEATURE_NOISE).powi(2))
                .iter()
                .sum::<f64>();
        let joint: [f64; 2] = std::array::from_fn(|of| {
            let of_feature = LOADINGS
                .iter()
                .zip(&feature)
                .map(|(loading, both)| loading * f64::from(both[of]));
            (output[of] / OUTPUT_NOISE.powi(2) + of_feature.sum::<f64>() / FEATURE_NOISE.powi(2)) / precision
        });
        measured.push((!is_gap).then_some((joint, 1.0 / precision)));
        faces.push((!is_gap).then(|| MadeFace {
            feature: feature.concat(),
            raw: Affect {
                valence_arousal: Some(ValenceArousal {
                    valence: output[0] as f32,
                    arousal: output[1] as f32,
                }),
                ..Affect::default()
            },
        }));
    }
    let smoothed: [Vec<f64>; 2] = std::array::from_fn(|of| {
        let shot = |range: std::ops::Range<usize>| {
            let seen = measured[range]
                .iter()
                .map(|seen| seen.map(|(joint, variance)| (joint[of], variance)));
            kalman_smoother(&seen.collect::<Vec<_>>(), KEPT[of])
        };
        [shot(0..cut), shot(cut..FRAMES)].concat()
    });
    KnownVideo {
        video: MadeVideo {
            id,
            faces,
            cuts: vec![cut as u32 + 1],
        },
        truth,
        smoothed: (0..FRAMES)
            .map(|frame| [smoothed[0][frame], smoothed[1][frame]])
            .collect(),
    }
}

/// The mean of the process in each step given all measurements (each with its variance).
fn kalman_smoother(measured: &[Option<(f64, f64)>], kept: f64) -> Vec<f64> {
    let stationary = SPREAD * SPREAD;
    let (mut predicted, mut filtered) = (Vec::new(), Vec::new());
    let (mut mean, mut variance) = (0.0, stationary);
    for measured in measured {
        predicted.push((mean, variance));
        if let Some((value, noise)) = measured {
            let gain = variance / (variance + noise);
            mean += gain * (value - mean);
            variance *= 1.0 - gain;
        }
        filtered.push((mean, variance));
        (mean, variance) = (
            kept * mean,
            kept * kept * variance + stationary * (1.0 - kept * kept),
        );
    }
    let mut smoothed: Vec<f64> = filtered.iter().map(|(mean, _)| *mean).collect();
    for step in (0..smoothed.len().saturating_sub(1)).rev() {
        let gain = filtered[step].1 * kept / predicted[step + 1].1;
        smoothed[step] += gain * (smoothed[step + 1] - predicted[step + 1].0);
    }
    smoothed
}

/// A folder for one test with runs, labels, a recipe; it goes with it.
struct Known {
    folder: tempfile::TempDir,
    test: Vec<KnownVideo>,
}

impl Known {
    fn new(train: usize) -> Self {
        let known = Self {
            folder: tempfile::tempdir().unwrap(),
            test: videos("test", 6, 3),
        };
        let sets = [
            ("train", videos("train", train, 1)),
            ("validation", videos("validation", 4, 2)),
        ];
        let mut all = Vec::new();
        for (set, videos) in sets {
            known.write_labels(set, &videos);
            all.extend(videos.into_iter().map(|known| known.video));
        }
        made_runs::write(&known.path("run"), &all, "one");
        known.write_labels("test", &known.test);
        let test: Vec<MadeVideo> = videos("test", 6, 3)
            .into_iter()
            .map(|known| known.video)
            .collect();
        made_runs::write(&known.path("test"), &test, "one");
        known.recipe(&[]);
        known
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_labels(&self, set: &str, videos: &[KnownVideo]) {
        let folder = self.path(format!("labels/{set}/VA_Set"));
        std::fs::create_dir_all(&folder).unwrap();
        for known in videos {
            let lines = known.truth.iter().map(|point| {
                let [valence, arousal] = point.map(|number| number.clamp(-1.0, 1.0));
                format!("{valence:.5},{arousal:.5}\n")
            });
            let text = format!("valence,arousal\n{}", lines.collect::<String>());
            let name = known.video.id.rsplit('/').next().unwrap();
            std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
        }
    }

    /// Replaces lines of the recipe, each named by the words before its `=`.
    fn recipe(&self, changes: &[&str]) {
        let mut lines: Vec<&str> = RECIPE.lines().collect();
        for change in changes {
            let name = |line: &str| line.split('=').next().unwrap().trim().to_owned();
            let line = lines.iter_mut().find(|line| name(line) == name(change)).unwrap();
            *line = change;
        }
        std::fs::write(self.path("recipe.toml"), lines.join("\n")).unwrap();
    }

    fn command(&self, out: &str, options: &[&str]) -> std::process::Command {
        let mut command = abaw();
        command
            .args(["train", "--device", "cpu", "--recipe"])
            .arg(self.path("recipe.toml"));
        command.arg("--out").arg(self.path(out)).args(options);
        command
    }

    fn train(&self, out: &str, options: &[&str]) -> Output {
        self.command(out, options).output().unwrap()
    }

    /// `abaw postprocess` of the test run with the weights in a folder.
    fn postprocess(&self, run: &str, trained: &str) -> std::process::Command {
        let pipeline = format!("[postprocess.temporal]\nweights = \"{trained}/best.safetensors\"\n");
        std::fs::write(self.path("temporal.toml"), pipeline).unwrap();
        let mut command = abaw();
        command.arg("postprocess").arg(self.path(run));
        command.arg("--pipeline").arg(self.path("temporal.toml"));
        command
    }

    /// The CCC of valence and arousal over the frames in which the person is seen.
    fn ccc(&self, estimate: impl Fn(usize, usize) -> Option<[f64; 2]>) -> f64 {
        let mut tally = Tally::default();
        let annotation = |[valence, arousal]: [f64; 2]| Annotation {
            valence_arousal: Some(ValenceArousal {
                valence: valence as f32,
                arousal: arousal as f32,
            }),
            ..Annotation::default()
        };
        for (number, known) in self.test.iter().enumerate() {
            for (frame, face) in known
                .video
                .faces
                .iter()
                .enumerate()
                .filter(|(_, face)| face.is_some())
            {
                assert!(face.is_some());
                let estimate = estimate(number, frame).unwrap();
                tally.add(&annotation(known.truth[frame]), &annotation(estimate));
            }
        }
        tally.report().per_task.va.unwrap()
    }
}

const RECIPE: &str = r#"
tasks = ["va"]
seed = 1
batch = 8
epochs = 10
checkpoint_minutes = 10.0
optimizer = { name = "adamw", learning_rate = 1e-2, weight_decay = 1e-3 }
schedule = { name = "cosine", warm_up = 1.0 }
[temporal]
channels = 16
dilations = [1, 2, 4, 8, 16]
window = 128
dropout = 0.0
[data]
train = { run = "run", labels = "labels/train" }
validation = { run = "run", labels = "labels/validation" }
test = { run = "test", labels = "labels/test" }
"#;

fn point(values: &Option<ValenceArousal>) -> Option<[f64; 2]> {
    values.map(|point| [point.valence.into(), point.arousal.into()])
}

#[test]
fn a_trained_network_is_as_good_as_the_kalman_smoother() {
    let known = Known::new(24);
    let trained = succeeded(&known.train("trained", &[]));
    assert!(trained.contains("test set: CCC valence"), "{trained}");
    let mut show = abaw();
    show.args(["weights", "show"])
        .arg(known.path("trained/best.safetensors"));
    let shown = succeeded(&show.output().unwrap());
    for words in [
        "16 channels, dilations [1, 2, 4, 8, 16]: 31 frames",
        "24 videos: train/train0",
        "4 videos: validation/",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let before: Vec<_> = (0..6)
        .map(|number| table(&known.path("test"), &format!("test/test{number}")).0)
        .collect();
    expect_exit(0, &mut known.postprocess("test", "trained"));
    let after: Vec<_> = (0..6)
        .map(|number| table(&known.path("test"), &format!("test/test{number}")).0)
        .collect();
    let raw = known.ccc(|video, frame| point(&before[video][frame].raw.valence_arousal));
    let network = known.ccc(|video, frame| point(&after[video][frame].postprocessed.affect.valence_arousal));
    let smoother = known.ccc(|video, frame| Some(known.test[video].smoothed[frame]));
    println!("CCC: raw {raw:.4}, network {network:.4}, Kalman smoother {smoother:.4}");
    assert!(smoother > raw + 0.2, "nothing to learn: {raw} {smoother}");
    assert!(network > 0.95 * smoother, "{network} is not near {smoother}");
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        assert_eq!(before.raw, after.raw);
    }
}

/// The files of a training that must not depend on when it was interrupted.
fn result(folder: &Path) -> Vec<Vec<u8>> {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    vec![
        read("best.safetensors"),
        read("last.safetensors"),
        read("card.md"),
    ]
}

#[test]
fn an_interrupted_training_ends_as_an_undisturbed_one() {
    let known = Known::new(4);
    known.recipe(&["epochs = 40", "dropout = 0.1", "checkpoint_minutes = 0.0001"]);
    succeeded(&known.train("undisturbed", &[]));
    let mut stopped = 0;
    for attempt in 0..60 {
        let resume = known.path("disturbed/checkpoint.safetensors").exists();
        let options: &[&str] = if resume { &["--resume"] } else { &[] };
        let mut command = known.command("disturbed", options);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500 + 300 * attempt));
        let signal = if attempt % 2 == 0 {
            libc::SIGTERM
        } else {
            libc::SIGKILL
        };
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        match child.wait().unwrap().code() {
            Some(0) => break,
            Some(75) => stopped += 1,
            None => {}
            Some(code) => panic!("exit {code}"),
        }
    }
    assert!(stopped > 0, "never stopped by TERM while it worked");
    assert!(result(&known.path("disturbed")) == result(&known.path("undisturbed")));

    known.recipe(&["epochs = 40", "dropout = 0.2"]);
    let refused = known.train("disturbed", &["--resume"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr_of(&refused).contains("temporal was"),
        "{}",
        stderr_of(&refused)
    );
}

#[test]
fn outputs_do_not_depend_on_threads_and_a_network_is_never_scored_on_what_it_learnt_from() {
    let known = Known::new(4);
    known.recipe(&["epochs = 2"]);
    succeeded(&known.train("trained", &[]));
    std::fs::rename(known.path("run"), known.path("other")).unwrap();
    let copy = |to: &str| {
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(known.path("other"))
            .arg(known.path(to))
            .status();
        assert!(copied.unwrap().success());
    };
    copy("run");
    for (run, threads) in [("run", "1"), ("other", "3")] {
        let mut command = known.postprocess(run, "trained");
        expect_exit(0, command.env("RAYON_NUM_THREADS", threads));
    }
    assert_eq!(columns(&known.path("run")), columns(&known.path("other")));

    // Ids of the run are `train/train0`; the labels call the video `train0`.
    let evaluate = |labels: &str| {
        let mut command = abaw();
        command
            .arg("evaluate")
            .arg(known.path("run"))
            .arg("--labels")
            .arg(known.path(labels));
        command
    };
    let refused = stderr_of(&expect_exit(2, &mut evaluate("labels/train")));
    assert!(refused.contains("trained on all 4 labelled videos"), "{refused}");
    expect_exit(0, &mut evaluate("labels/validation"));
    let both = known.path("labels/both/VA_Set");
    std::fs::create_dir_all(&both).unwrap();
    for set in ["train", "validation"] {
        for entry in std::fs::read_dir(known.path(format!("labels/{set}/VA_Set"))).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, both.join(path.file_name().unwrap())).unwrap();
        }
    }
    let scored = expect_exit(0, &mut evaluate("labels/both"));
    assert!(
        stderr_of(&scored).contains("left out: 4 labelled videos"),
        "{}",
        stderr_of(&scored)
    );
    let alone = expect_exit(0, &mut evaluate("labels/validation"));
    assert_eq!(scored.stdout, alone.stdout);
    let mut tune = abaw();
    tune.arg("tune")
        .arg(known.path("run"))
        .arg("--labels")
        .arg(known.path("labels/both"));
    let tuned = expect_exit(0, tune.arg("--out").arg(known.path("calibration.toml")));
    let (printed, warned) = (String::from_utf8_lossy(&tuned.stdout), stderr_of(&tuned));
    assert!(printed.starts_with("4 videos in 4 folds"), "{printed}");
    assert!(
        warned.contains("left out: 4") && warned.contains("4 labelled videos chose the epoch"),
        "{warned}"
    );
}

#[test]
fn what_does_not_fit_is_refused_in_a_sentence() {
    let known = Known::new(2);
    known.recipe(&["epochs = 1"]);
    succeeded(&known.train("trained", &[]));
    let refused = |command: &mut std::process::Command, words: &str| {
        let output = expect_exit(2, command);
        let errors = errors(&output);
        assert!(
            errors.len() == 1 && errors[0].contains(words),
            "{words}: {}",
            stderr_of(&output)
        );
    };
    // Features of another network.
    let none = vec![MadeVideo {
        id: "v".to_owned(),
        faces: vec![None],
        cuts: Vec::new(),
    }];
    made_runs::write(&known.path("others"), &none, "two");
    refused(
        &mut known.postprocess("others", "trained"),
        "trained on features of other weights (one) than the run's (two)",
    );
    // Weights that are no temporal network, and ones that changed since the plan was made.
    std::fs::create_dir(known.path("no_network")).unwrap();
    let demo = root().join("models/ddamfn-demo.safetensors");
    std::fs::copy(demo, known.path("no_network/best.safetensors")).unwrap();
    refused(
        &mut known.postprocess("test", "no_network"),
        "not usable as a temporal network",
    );
    expect_exit(0, &mut known.postprocess("test", "trained"));
    known.recipe(&["epochs = 1", "seed = 2"]);
    succeeded(&known.train("again", &[]));
    std::fs::copy(
        known.path("again/best.safetensors"),
        known.path("trained/best.safetensors"),
    )
    .unwrap();
    refused(
        abaw().arg("postprocess").arg(known.path("test")),
        "other weights than when they were named",
    );
    // Recipes that train and score on one video, or mean nothing.
    known.recipe(&["validation = { run = \"run\", labels = \"labels/train\" }"]);
    refused(&mut known.command("a", &[]), "it is trained on and scored on");
    known.recipe(&["tasks = [\"expr\"]"]);
    refused(&mut known.command("b", &[]), "is labelled for expressions");
    known.recipe(&["dilations = [0]"]);
    refused(&mut known.command("c", &[]), "dilations must be");
    // Features that are lost, of one video: the others are done.
    std::fs::remove_file(known.path("test/features/test/test1.parquet")).unwrap();
    let partly = expect_exit(0, &mut known.postprocess("test", "trained"));
    assert!(
        String::from_utf8_lossy(&partly.stdout).contains("5 tables rewritten"),
        "{}",
        String::from_utf8_lossy(&partly.stdout)
    );
}
