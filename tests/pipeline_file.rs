//! Settings of the pipeline file and of the machine: they shape the numbers, and the table says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::labels::Affect;
use abaw::table::{self, Footer, Row};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `abaw` on a machine without a GPU, whatever this one has.
fn abaw() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abaw"));
    command.env("CUDA_VISIBLE_DEVICES", "");
    command
}

fn annotate(run: &Path, options: &[&str]) -> Output {
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sample_data/carphone.mp4");
    let mut command = abaw();
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
    assert!(output.status.success(), "{}", text(&output.stderr));
    table::read(&run.join("frames/carphone.parquet")).unwrap()
}

fn raw(rows: &[Row]) -> Vec<Affect> {
    let raw: Vec<Affect> = rows.iter().map(|row| row.raw).collect();
    assert!(raw.len() == 6 && raw.iter().all(|affect| affect.valence_arousal.is_some()));
    raw
}

/// The one error line of a command that exits with 2 and leaves no run.
fn refused(options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = annotate(&run, options);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(!run.exists(), "a refused run is left behind");
    errors[0].to_owned()
}

#[test]
fn alignments_give_other_numbers_and_are_recorded() {
    let (rows, footer) = table_with("", &[]);
    let default = raw(&rows);
    let alignment = |footer: &Footer| footer.settings["pipeline"]["alignment"].clone();
    assert_eq!(
        alignment(&footer),
        serde_json::json!({ "templates": "ddamfn", "landmarks": "float" })
    );
    for (key, value) in [("templates", "arcface"), ("landmarks", "truncated")] {
        let (rows, footer) = table_with(&format!("[alignment]\n{key} = \"{value}\"\n"), &[]);
        assert_ne!(raw(&rows), default, "{key} = {value} changes nothing");
        assert_eq!(alignment(&footer)[key], value);
    }
}

#[test]
fn bf16_is_recorded_and_close_to_f32() {
    let (exact, _) = table_with("", &[]);
    let by_file = table_with("[model]\nprecision = \"bf16\"\n", &[]);
    let by_option = table_with("", &["--precision", "bf16"]);
    assert_eq!(by_file, by_option);
    let (rounded, footer) = by_option;
    assert!(footer.inference.contains("bf16"), "{}", footer.inference);
    assert_ne!(raw(&rounded), raw(&exact));
    for (a, b) in raw(&rounded).iter().zip(&raw(&exact)) {
        let numbers = |affect: &Affect| -> Vec<f32> {
            let point = affect.valence_arousal.unwrap();
            let mut numbers = vec![point.valence, point.arousal];
            numbers.extend(affect.expression.unwrap());
            numbers.extend(affect.action_units.unwrap());
            numbers
        };
        let pairs = numbers(a).into_iter().zip(numbers(b));
        let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 0.02, "{furthest} apart");
    }
}

#[test]
fn what_the_machine_cannot_do_is_refused_in_one_line() {
    let line = refused(&["--device", "cpu", "--precision", "f16"]);
    assert!(line.contains("f16 needs a CUDA device"), "{line}");
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
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("device: cpu, since ")),
        "{said}"
    );
    let (_, footer) = table::read(&run.join("frames/carphone.parquet")).unwrap();
    assert!(footer.inference.starts_with("cpu, f32"), "{}", footer.inference);
}

#[test]
fn doctor_says_what_the_machine_has_and_lacks() {
    let output = abaw().arg("doctor").output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
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
    assert!(value("CUDA").starts_with("no: "), "{said}");
    assert!(value("libav").contains("libavcodec"), "{said}");
    let cores = value("cores").split(',').next().unwrap().parse::<usize>();
    assert!(cores.is_ok_and(|count| count > 0), "{said}");
    assert!(value("detector").contains("(trained, sha256 "), "{said}");
    assert!(value("affect").contains("untrained"), "{said}");
}
