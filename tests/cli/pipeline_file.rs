//! Settings of the pipeline file and of the machine: they shape the numbers, and the table says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::labels::Affect;
use abaw::model::weights::{Card, NumberFormat, Weights};
use abaw::model::{Architecture, initial_weights};
use abaw::table::{self, Footer, Row};

use crate::support::{abaw, root, stderr_of, stdout_of};

/// `abaw` on a machine without a GPU, whatever this one has.
fn abaw_without_gpu() -> Command {
    let mut command = abaw();
    command.env("CUDA_VISIBLE_DEVICES", "");
    command
}

/// A file of weights whose output layers are scaled down: a fresh network's logits are in the hundreds,
/// where every probability is 0 or 1.
struct CalmWeights(tempfile::TempDir);

impl CalmWeights {
    fn new() -> Self {
        let mut tensors = initial_weights(&Architecture::MULTITASK, 7).unwrap();
        for task in ["val_arousal", "emotions", "actions"] {
            let weight = tensors
                .get_mut(&format!("custom_classifier.{task}.weight"))
                .unwrap();
            *weight = &*weight * 0.001;
        }
        let weights = Weights::new(tensors, Card::as_published("a test".to_owned())).unwrap();
        let calm = Self(tempfile::tempdir().unwrap());
        weights.save(&calm.path(), NumberFormat::F32).unwrap();
        calm
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("weights.safetensors")
    }
}

fn annotate(run: &Path, options: &[&str]) -> Output {
    let clip = root().join("sample_data/carphone.mp4");
    let mut command = abaw_without_gpu();
    command.arg("annotate").arg(clip).args(["--limit-frames", "6"]);
    command.args(options).arg("--out").arg(run).output().unwrap()
}

/// The table of a run with a pipeline file of these lines.
fn table_with(settings: &str, options: &[&str]) -> (Vec<Row>, Footer) {
    let folder = tempfile::tempdir().unwrap();
    let (file, run) = (folder.path().join("pipeline.toml"), folder.path().join("run"));
    fs::write(&file, settings).unwrap();
    let options = [
        &["--device", "cpu", "--pipeline", file.to_str().unwrap()],
        options,
    ]
    .concat();
    let output = annotate(&run, &options);
    assert!(output.status.success(), "{}", stderr_of(&output));
    table::read(&run.join("frames/carphone.parquet")).unwrap()
}

/// Valence, arousal, eight expressions and twelve action units of each of the six frames.
fn raw(rows: &[Row]) -> Vec<[f32; 22]> {
    let numbers = |affect: &Affect| {
        let point = affect.valence_arousal.unwrap();
        let mut numbers = vec![point.valence, point.arousal];
        numbers.extend(affect.expression.unwrap());
        numbers.extend(affect.all_action_units().unwrap());
        numbers.try_into().unwrap()
    };
    assert_eq!(rows.len(), 6);
    rows.iter().map(|row| numbers(&row.raw)).collect()
}

/// The one error line of a command that exits with 2 and leaves no run.
fn refused(options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = annotate(&run, options);
    let said = stderr_of(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(!run.exists(), "a refused run is left behind");
    errors[0].to_owned()
}

#[test]
fn alignments_give_other_numbers_and_are_recorded() {
    let calm = CalmWeights::new();
    let path = calm.path();
    let weights = ["--weights", path.to_str().unwrap()];
    let (rows, footer) = table_with("", &weights);
    let default = raw(&rows);
    let alignment = |footer: &Footer| footer.settings["pipeline"]["alignment"].clone();
    assert_eq!(
        alignment(&footer),
        serde_json::json!({ "templates": "ddamfn", "landmarks": "float" })
    );
    for (key, value) in [("templates", "arcface"), ("landmarks", "truncated")] {
        let (rows, footer) = table_with(&format!("[alignment]\n{key} = \"{value}\"\n"), &weights);
        assert_ne!(raw(&rows), default, "{key} = {value} changes nothing");
        assert_eq!(alignment(&footer)[key], value);
    }
}

#[test]
fn bf16_is_close_to_f32() {
    let exact = raw(&table_with("", &[]).0);
    let rounded = raw(&table_with("[model]\nprecision = \"bf16\"\n", &[]).0);
    assert_ne!(exact, rounded);
    let pairs = exact.iter().flatten().zip(rounded.iter().flatten());
    let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest < 0.02, "{furthest} apart");
    println!("bf16 is at most {furthest} from f32");
}

#[test]
fn the_precision_is_recorded_and_the_option_overrides_the_file() {
    for (in_file, option) in [("bf16", "f32"), ("f32", "bf16")] {
        let settings = format!("[model]\nprecision = \"{in_file}\"\n");
        let (_, footer) = table_with(&settings, &["--precision", option]);
        assert!(footer.inference.contains(option), "{}", footer.inference);
        assert_eq!(footer.settings["pipeline"]["model"]["precision"], option);
    }
}

#[test]
fn what_the_machine_cannot_do_is_refused_in_one_line() {
    let line = refused(&["--device", "cpu", "--precision", "f16"]);
    assert!(line.contains("f16 needs a CUDA device"), "{line}");
    let line = refused(&["--set", "model.precision=half"]);
    assert!(line.contains("unknown precision `half`: use auto, f32"), "{line}");
    for device in ["cuda", "cuda:1"] {
        let line = refused(&["--device", device]);
        assert!(line.contains("CUDA") && line.contains("--device cpu"), "{line}");
    }
}

#[test]
fn auto_falls_back_to_the_cpu_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = annotate(&run, &["--device", "auto"]);
    let said = stderr_of(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.lines()
            .any(|line| line == "device: cpu" || line.starts_with("device: cpu (")),
        "{said}"
    );
    let (_, footer) = table::read(&run.join("frames/carphone.parquet")).unwrap();
    assert!(footer.inference.starts_with("cpu, f32"), "{}", footer.inference);
}

#[test]
fn doctor_says_what_the_machine_has_and_lacks() {
    let cache = tempfile::tempdir().unwrap();
    let output = abaw()
        .arg("doctor")
        .env("ABAW_CACHE", cache.path())
        .output()
        .unwrap();
    let said = stdout_of(&output);
    assert!(output.status.success(), "{said}{}", stderr_of(&output));
    assert!(output.stderr.is_empty(), "{}", stderr_of(&output));
    let value = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {said}"))[name.len()..]
            .trim()
            .to_owned()
    };
    assert_eq!(value("abaw"), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        value("libtorch"),
        abaw::device::LibtorchVersion::NEEDED.to_string()
    );
    assert!(value("libav").contains("libavcodec"), "{said}");
    // Where the parts lie; each is on the line after its version.
    for (name, library) in [("libtorch", "libtorch_cpu.so"), ("libav", "libavcodec.so")] {
        let mut lines = said.lines().skip_while(|line| !line.starts_with(name));
        let folder = lines.nth(1).unwrap().trim();
        let mut files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        assert!(
            files.any(|file| file.to_string_lossy().starts_with(library)),
            "{folder}"
        );
    }
    // A CPU-only install is a normal state: no library is missed, nothing is to do.
    assert!(value("CUDA").starts_with("not used: "), "{said}");
    assert!(!said.contains(".so"), "{said}");
    assert!(value("films").starts_with("H.264 by lib"), "{said}");
    assert_eq!(
        (value("device"), value("to do")),
        ("cpu".to_owned(), "nothing".to_owned())
    );
    let cores = value("cores").parse::<usize>();
    assert!(cores.is_ok_and(|count| count > 0), "{said}");
    assert!(value("detector").contains("(trained, sha256 "), "{said}");
    assert!(
        value("affect").starts_with("ddamfn-demo.safetensors (trained, sha256 "),
        "{said}"
    );
}
