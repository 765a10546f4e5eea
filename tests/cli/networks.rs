//! Networks of others: TorchScript files with a card, from import to the tables and all that reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::labels::Affect;
use abaw::table::{self, Footer, Row};
use serde::Deserialize;
use serde_json::Value;

use crate::support::workspace::Workspace;
use crate::support::{
    abaw_with, expect_exit, golden, output_of, read_json, root, sample, stderr_of, stdout_of, succeeded,
};

const TOLERANCE: f32 = 1e-4;

/// The golden numbers of `tests/golden/networks/make_networks.py`.
#[derive(Deserialize)]
struct Golden {
    #[serde(default)]
    pictures: Vec<PathBuf>,
    #[serde(default)]
    boxes: Vec<[f32; 4]>,
    affects: Vec<Vec<f32>>,
}

fn network(name: &str) -> PathBuf {
    golden("networks").join(name)
}

/// A run's folder, with the small network imported.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self::empty();
        let written = succeeded(&folder.import("tiny.pt", &network("tiny.toml")));
        assert!(written.contains("TorchScript network"), "{written}");
        folder
    }

    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn weights(&self) -> PathBuf {
        self.path("tiny.safetensors")
    }

    fn import(&self, model: &str, card: &Path) -> Output {
        import(&network(model), card, &self.weights())
    }

    /// Annotates with the small network and more options.
    fn annotate(&self, input: &Path, run: &str, options: &[&str]) -> Output {
        let (run, weights) = (self.path(run), self.weights());
        let mut command = abaw_with(&[&"annotate", &input, &"--out", &run, &"--device", &"cpu"]);
        if !options.contains(&"--pipeline") {
            command.arg("--weights").arg(weights);
        }
        command.args(options).output().unwrap()
    }

    fn table(&self, run: &str, id: &str) -> (Vec<Row>, Footer) {
        table::read(&self.path(run).join(format!("frames/{id}.parquet"))).unwrap()
    }
}

fn import(model: &Path, card: &Path, out: &Path) -> Output {
    let mut command = abaw_with(&[&"weights", &"import", &model, &"--card", &card, &"--out", &out]);
    command.output().unwrap()
}

/// Valence, arousal, seven classes in AffectNet's order, AU1, AU2, AU5, AU12, AU14.
fn numbers(affect: &Affect) -> Vec<f32> {
    let point = affect.valence_arousal.unwrap();
    let expression = affect.expression.unwrap();
    assert_eq!(expression[7], 0.0, "a class that the network lacks");
    let units = affect.action_units;
    let lacks = [2, 3, 4, 5, 7, 8, 9, 10, 11];
    assert!(lacks.iter().all(|unit| units[*unit].is_none()), "{units:?}");
    let mut numbers = vec![point.valence, point.arousal];
    numbers.extend([0, 4, 5, 6, 3, 2, 1].map(|class: usize| expression[class]));
    let extra = &affect.extra_units;
    numbers.extend([units[0], units[1], extra[0], units[6], extra[1]].map(Option::unwrap));
    numbers
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < TOLERANCE, "{found} is not {expected}");
    }
}

#[test]
fn faces_given_as_crops_get_pytorchs_numbers() {
    let folder = Folder::new();
    let golden: Golden = read_json(&network("tiny_of_crops.json"));
    let crops = folder.path("crops/man");
    fs::create_dir_all(&crops).unwrap();
    for (at, picture) in golden.pictures.iter().enumerate() {
        let from = crate::support::golden(picture);
        fs::copy(from, crops.join(format!("{:05}.png", at + 1))).unwrap();
    }
    succeeded(&folder.annotate(&folder.path("crops"), "run", &["--crops"]));
    let (rows, footer) = folder.table("run", "man");
    assert_eq!(rows.len(), golden.affects.len());
    for (row, expected) in rows.iter().zip(&golden.affects) {
        assert_near(&numbers(&row.raw), expected);
    }
    let units: Vec<u8> = footer.extra_units().iter().map(|unit| unit.number()).collect();
    assert_eq!(units, [5, 14]);
    // Batches of another size give the same numbers, but for rounding.
    succeeded(&folder.annotate(
        &folder.path("crops"),
        "one",
        &["--crops", "--set", "model.batch=1"],
    ));
    let (one, _) = folder.table("one", "man");
    for (a, b) in one.iter().zip(&rows) {
        assert_near(&numbers(&a.raw), &numbers(&b.raw));
    }
}

#[test]
fn faces_in_a_picture_are_cut_out_as_pillow_does() {
    let folder = Folder::new();
    let golden: Golden = read_json(&network("tiny_of_boxes.json"));
    let picture = crate::support::golden("face/images/several_faces.png");
    succeeded(&folder.annotate(&picture, "run", &["--images"]));
    let (rows, _) = folder.table("run", "several_faces");
    assert_eq!(rows.len(), golden.boxes.len());
    for (row, (expected, affect)) in rows.iter().zip(golden.boxes.iter().zip(&golden.affects)) {
        let (face, _) = row.sighting.location().unwrap();
        for (edge, expected) in [face.x1, face.y1, face.x2, face.y2].iter().zip(expected) {
            assert!((edge - expected).abs() < 0.01, "{face:?} is not {expected:?}");
        }
        assert_near(&numbers(&row.raw), affect);
        assert_near(&numbers(&row.postprocessed.affect), affect);
        let extra = &row.postprocessed.affect.extra_units;
        let decided: Vec<_> = extra.iter().map(|unit| Some((*unit)? >= 0.5)).collect();
        assert_eq!(row.postprocessed.extra_units[..], decided);
    }
}

#[test]
fn a_card_is_made_filled_in_and_shown() {
    let folder = Folder::new();
    let card = succeeded(&output_of([
        "weights",
        "card",
        network("tiny.pt").to_str().unwrap(),
    ]));
    assert!(card.contains("returns 14 columns: 0 to 8, 9 to 13"), "{card}");
    // As it is, it names no output; with the lines of one output taken in, it is a card.
    let path = folder.path("card.toml");
    fs::write(&path, &card).unwrap();
    let out = folder.path("other.safetensors");
    let refused = import(&network("tiny.pt"), &path, &out);
    assert!(
        stderr_of(&refused).contains("no output is named"),
        "{}",
        stderr_of(&refused)
    );
    let filled: Vec<String> = card
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with("[outputs.valence") || rest.starts_with("range") => {
                rest.to_owned()
            }
            Some(rest) if rest.starts_with("valence = 8") => "valence = 7".to_owned(),
            Some(rest) if rest.starts_with("arousal = 9") => "arousal = 8".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(&path, filled.join("\n")).unwrap();
    succeeded(&import(&network("tiny.pt"), &path, &out));
    let shown = succeeded(&output_of(["weights", "show", out.to_str().unwrap()]));
    assert!(shown.contains("tasks          valence_arousal\n"), "{shown}");
    let json = succeeded(&output_of(["weights", "show", "--json", out.to_str().unwrap()]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["card"]["input"]["crop"]["size"], 224);
    // The same network gives the same bytes.
    let again = folder.path("again.safetensors");
    succeeded(&import(&network("tiny.pt"), &path, &again));
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let folder = Folder::new();
    let card = fs::read_to_string(network("tiny.toml")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(card.contains(from), "{from}");
        card.replacen(from, to, 1)
    };
    let probabilities = changed("form = \"logits\"", "form = \"probabilities\"");
    for (model, card, reason) in [
        (
            "refused_in_training.pt",
            card.clone(),
            "export it after `model.eval()`",
        ),
        (
            "refused_reads_a_file.pt",
            card.clone(),
            "its code uses `from_file`, which reads",
        ),
        ("make_networks.py", card.clone(), "not a TorchScript program"),
        ("tiny.pt", probabilities, "write form = \"logits\""),
        (
            "tiny.pt",
            changed("first = 9", "first = 10"),
            "it returns 14 columns, the card names 15",
        ),
        (
            "tiny.pt",
            changed("first = 9", "first = 8"),
            "column 8 is named twice",
        ),
        ("tiny.pt", changed("\"AU14\"", "\"AU12\""), "each once"),
        (
            "tiny.pt",
            changed("\"AU14\"", "\"smile\""),
            "`smile` is no action unit",
        ),
        (
            "tiny.pt",
            changed("\"Happy\"", "\"Bored\""),
            "`Bored` is no expression",
        ),
        (
            "tiny.pt",
            changed("size = 96", "size = 4000"),
            "it must be 16 to 1024 pixels",
        ),
        ("tiny.pt", changed("margin = 0.1", "margin = nan"), "margin NaN"),
        ("tiny.pt", changed("bgr", "yuv"), "unknown variant `yuv`"),
        (
            "tiny.pt",
            changed("range = [-1.0, 1.0]", "range = [1.0, 1.0]"),
            "range [1, 1]",
        ),
        ("tiny.pt", "[input]".to_owned(), "missing field"),
    ] {
        let path = folder.path("card.toml");
        fs::write(&path, card).unwrap();
        let out = folder.path("refused.safetensors");
        let output = import(&network(model), &path, &out);
        let said = stderr_of(&output);
        assert_eq!(output.status.code(), Some(2), "{model}: {said}");
        assert!(
            said.contains(reason) && said.lines().count() == 1,
            "{model}: {said}"
        );
        assert!(!out.exists());
    }
    // Without a card, and where weights of a DDAMFN are needed.
    let bare = output_of([
        "weights",
        "import",
        network("tiny.pt").to_str().unwrap(),
        "--out",
        "x.safetensors",
    ]);
    assert!(
        stderr_of(&bare).contains("abaw weights card"),
        "{}",
        stderr_of(&bare)
    );
    let again = output_of([
        "weights",
        "import",
        folder.weights().to_str().unwrap(),
        "--out",
        "x.safetensors",
    ]);
    assert!(
        stderr_of(&again).contains("weights of a DDAMFN are needed"),
        "{}",
        stderr_of(&again)
    );
    // A damaged file of it.
    let mut bytes = fs::read(folder.weights()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.weights(), bytes).unwrap();
    let picture = golden("face/images/several_faces.png");
    let output = folder.annotate(&picture, "run", &["--images"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout_of(&output));
    assert!(
        stderr_of(&output).contains("tiny.safetensors"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn features_need_a_ddamfn() {
    let folder = Folder::new();
    let picture = golden("face/images/several_faces.png");
    let output = folder.annotate(&picture, "run", &["--images", "--features"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(
        stderr_of(&output).contains("gives no feature"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn a_blend_with_a_ddamfn_weighs_each_unit_by_itself() {
    let folder = Folder::new();
    let picture = golden("face/images/several_faces.png");
    let ddamfn = root().join("models/ddamfn-demo.safetensors");
    let member = |weights: &Path, weight: f32| {
        format!(
            "[[model.member]]\nweights = {:?}\nvalence_arousal = {weight}\nexpression = {weight}\naction_units = {weight}\n",
            weights
        )
    };
    let settings = |name: &str, text: &str| {
        let path = folder.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let alone = settings("alone.toml", &member(&ddamfn, 1.0));
    let both = settings(
        "both.toml",
        &(member(&ddamfn, 3.0) + &member(&folder.weights(), 1.0)),
    );
    succeeded(&folder.annotate(&picture, "tiny", &["--images"]));
    succeeded(&folder.annotate(&picture, "ddamfn", &["--images", "--pipeline", &alone]));
    succeeded(&folder.annotate(&picture, "both", &["--images", "--pipeline", &both, "--features"]));
    let [tiny, ddamfn, both] = ["tiny", "ddamfn", "both"].map(|run| folder.table(run, "several_faces").0);
    for ((tiny, ddamfn), both) in tiny.iter().zip(&ddamfn).zip(&both) {
        let valence = |row: &Row| row.raw.valence_arousal.unwrap().valence;
        let mean = (3.0 * valence(ddamfn) + valence(tiny)) / 4.0;
        assert!((valence(both) - mean).abs() < 1e-6);
        for unit in 0..12 {
            let (of_ddamfn, of_both) = (
                ddamfn.raw.action_units[unit].unwrap(),
                both.raw.action_units[unit].unwrap(),
            );
            let mean = match tiny.raw.action_units[unit] {
                Some(of_tiny) => (3.0 * of_ddamfn + of_tiny) / 4.0,
                None => of_ddamfn,
            };
            assert!((of_both - mean).abs() < 1e-6, "{unit}");
        }
        assert_eq!(tiny.raw.extra_units, both.raw.extra_units);
        assert!(ddamfn.raw.extra_units.is_empty());
    }
}

/// A clip in two shards, one of them twice, gives the bytes of a run in one piece; then everything that reads a run reads it.
#[test]
fn a_run_in_shards_is_read_by_every_command() {
    let folder = Folder::new();
    let workspace = Workspace::new();
    let clips = [
        workspace.face_clip("one.mkv", 8),
        workspace.face_clip("two.mkv", 6),
    ];
    let weights = folder.weights();
    let (whole, shards) = (folder.path("whole"), folder.path("shards"));
    let options: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"--weights", &weights, &"--device", &"cpu"];
    let mut annotate = abaw_with(&[
        &"annotate",
        &clips[0],
        &clips[1],
        &"--out",
        &whole,
        &"--threads",
        &"2",
    ]);
    for option in options {
        annotate.arg(option.as_ref());
    }
    succeeded(&expect_exit(0, &mut annotate));
    let mut plan = abaw_with(&[
        &"plan",
        &clips[0],
        &clips[1],
        &"--out",
        &shards,
        &"--shards",
        &"2",
    ]);
    for option in options {
        plan.arg(option.as_ref());
    }
    succeeded(&expect_exit(0, &mut plan));
    for shard in ["1", "0", "1"] {
        let plan = shards.join("plan.json");
        let mut shard = abaw_with(&[
            &"annotate",
            &"--plan",
            &plan,
            &"--shard",
            &shard,
            &"--threads",
            &"1",
        ]);
        succeeded(&expect_exit(0, &mut shard));
    }
    succeeded(&expect_exit(0, &mut abaw_with(&[&"merge", &shards])));
    for id in ["one", "two"] {
        let name = format!("frames/{id}.parquet");
        let (a, b) = (
            table::read(&whole.join(&name)).unwrap(),
            table::read(&shards.join(&name)).unwrap(),
        );
        assert_eq!(a.0, b.0);
        assert!(a.0.iter().any(|row| row.postprocessed.extra_units[1].is_some()));
    }

    let run =
        |arguments: &[&dyn AsRef<std::ffi::OsStr>]| succeeded(&expect_exit(0, &mut abaw_with(arguments)));
    let smooth = folder.path("smooth.toml");
    fs::write(
        &smooth,
        "[postprocess.smoothing]\naction_units = { kernel = \"box\", half_width = \"2 frames\" }\n",
    )
    .unwrap();
    let before = table::read(&whole.join("frames/one.parquet")).unwrap().0;
    run(&[&"postprocess", &whole, &"--pipeline", &smooth]);
    let after = table::read(&whole.join("frames/one.parquet")).unwrap().0;
    let mean: f32 = before[..3]
        .iter()
        .map(|row| row.raw.extra_units[1].unwrap())
        .sum::<f32>()
        / 3.0;
    let smoothed = after[0].postprocessed.affect.extra_units[1].unwrap();
    assert!((smoothed - mean).abs() < 1e-6, "{smoothed} is not {mean}");
    assert_eq!(before[0].raw, after[0].raw);

    let summary = run(&[&"summary", &whole, &"--json"]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let text = summary.to_string();
    assert!(
        text.contains("\"au14\":") && text.contains("\"au4\":null"),
        "{text}"
    );
    run(&[&"report", &whole, &"--out", &folder.path("report")]);
    let csv = folder.path("all.csv");
    run(&[&"export", &whole, &"--format", &"csv", &"--out", &csv]);
    let header = fs::read_to_string(&csv)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert!(
        header.ends_with("au5,au14,au5_prob,au14_prob,au5_prob_raw,au14_prob_raw"),
        "{header}"
    );
    for format in ["parquet", "label-studio", "cvat", "elan", "py-feat", "openface"] {
        let out = folder.path(&format!("{format}.out"));
        run(&[&"export", &whole, &"--format", &format, &"--out", &out]);
    }
    run(&[&"render", &whole, &"one", &"--out", &folder.path("one.mp4")]);
}

/// Labels and lists of the sample clips: what the network lacks is not scored, and not submitted by guessing.
#[test]
fn scores_and_submissions_do_without_what_a_network_lacks() {
    let folder = Folder::new();
    succeeded(&folder.annotate(&sample("carphone.mp4"), "run", &["--limit-frames", "24"]));
    let (run, labels) = (folder.path("run"), sample("aff-wild2/6th_ABAW_Annotations"));
    let output = abaw_with(&[&"evaluate", &run, &"--labels", &labels, &"--json"])
        .output()
        .unwrap();
    let scores: Value = serde_json::from_str(&succeeded(&output)).unwrap();
    assert!(scores["per_task"]["va"].is_number(), "{scores}");
    assert!(scores["per_task"]["au"].is_null(), "{scores}");
    let list = sample("aff-wild2/MTL/frame_list.txt");
    let out = folder.path("au.txt");
    let output = abaw_with(&[
        &"submit",
        &run,
        &"--challenge",
        &"au",
        &"--template",
        &list,
        &"--out",
        &out,
    ])
    .output()
    .unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", stdout_of(&output));
    assert!(!out.exists());
}

/// timm's EfficientNet-B0 against PyTorch, where `make bench` has put PyTorch and timm has been installed beside it.
#[test]
fn an_efficientnet_annotates_with_pytorchs_numbers() {
    let script = root().join("tests/python/efficientnet.py");
    let packages = ["pytorch", "networks", "python"].map(|name| root().join(".deps").join(name));
    if !packages[0].is_dir() || !packages[1].is_dir() {
        println!("skipped: no PyTorch with timm (make networks)");
        return;
    }
    let path = std::env::join_paths(&packages).unwrap();
    let python = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &path).arg(&script);
        python.args(arguments.iter().map(|argument| argument.as_ref()));
        stdout_of(&expect_exit(0, &mut python))
    };
    let folder = Folder::empty();
    let (model, picture) = (folder.path("b0.pt"), golden("face/images/several_faces.png"));
    python(&[&"export", &model, &picture]);
    let card = network("efficientnet.toml");
    succeeded(&import(&model, &card, &folder.weights()));
    succeeded(&folder.annotate(&picture, "run", &["--images"]));
    let table = folder.path("run").join("frames/several_faces.parquet");
    let expected: Golden = serde_json::from_str(&python(&[&"run", &model, &table, &picture])).unwrap();
    let (rows, _) = folder.table("run", "several_faces");
    assert_eq!(rows.len(), expected.affects.len());
    let spread = expected
        .affects
        .iter()
        .map(|affect| affect[0])
        .fold(f32::NAN, f32::max)
        - expected
            .affects
            .iter()
            .map(|affect| affect[0])
            .fold(f32::NAN, f32::min);
    assert!(
        spread > 100.0 * TOLERANCE,
        "all faces give nearly the same: {spread}"
    );
    for (row, expected) in rows.iter().zip(&expected.affects) {
        let point = row.raw.valence_arousal.unwrap();
        let expression = row.raw.expression.unwrap();
        let mut found = vec![point.valence, point.arousal];
        found.extend([1, 7, 2, 3, 4, 0, 5, 6].map(|class: usize| expression[class]));
        assert_near(&found, expected);
    }
}
