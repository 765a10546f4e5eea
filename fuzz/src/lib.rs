//! What must hold for any bytes, a function a parser: it returns, and what it accepts keeps its rules.
//!
//! `make fuzz` searches for bytes that break it (`targets/`, one a function); `tests/cli/fuzz_cases.rs` runs all
//! of them on what was found before (`cases/`) and on damaged samples, in every `make test`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use abaw::affwild2::{self, Challenge, FrameList, IfMissing, ImageName, Labels, VideoList, VideoPredictions};
use abaw::config::Pipeline;
use abaw::export::{self, AnnotatedVideo, Format, Source, Whose};
use abaw::hash::hash;
use abaw::model::torchscript::{NetworkCard, Program};
use abaw::model::weights::Summary;
use abaw::postprocess::{PostprocessError, Window};
use abaw::run::{Failure, Plan, RunFolder, RunSummary};
use abaw::table::{self, FeatureReader, Footer};
use abaw::temporal::{NUMBERS, SequencePass, TemporalWeights, reach};
use abaw::tuning::Calibration;
use tempfile::TempDir;

/// A parser, put to the test on some bytes; it panics where a rule is broken.
pub type Target = fn(&[u8]);

/// All of them, by the names of their files in `targets/` and folders in `cases/`.
pub const TARGETS: [(&str, Target); 15] = [
    ("labels", labels),
    ("annotations", annotations),
    ("frame_list", frame_list),
    ("video_list", video_list),
    ("image_name", image_name),
    ("pipeline", pipeline),
    ("calibration", calibration),
    ("weights", weights),
    ("pickle", pickle),
    ("program", program),
    ("network_card", network_card),
    ("run_files", run_files),
    ("table", table),
    ("features", features),
    ("temporal_weights", temporal_weights),
];

const NAME: &str = "video.txt";

/// Label files of every form, and submissions read as labels.
pub fn labels(bytes: &[u8]) {
    match Labels::from_bytes(Path::new(NAME), bytes) {
        Err(error) => names_a_line(&error, bytes),
        Ok(labels) => {
            for row in labels.rows() {
                assert!(row.video.index() < labels.videos().len());
                if let Some(point) = row.label.valence_arousal {
                    assert!(point.valence.abs() <= 1.0 && point.arousal.abs() <= 1.0);
                }
            }
            let by_video: usize = labels.by_video().map(|(_, rows)| rows.len()).sum();
            assert_eq!(by_video, labels.rows().len());
        }
    }
}

/// A table of two frames, which annotations may be about.
static ANNOTATED: LazyLock<AnnotatedVideo> = LazyLock::new(|| {
    let folder = scratch();
    let path = file_of(&folder, include_bytes!("../cases/table/two_frames.parquet"));
    let (rows, footer) = table::read(&path).unwrap();
    AnnotatedVideo::new("v".to_owned(), "v.mp4".into(), rows, &footer)
});

/// What annotation tools and the report's pages save, taken for each of their formats.
pub fn annotations(bytes: &[u8]) {
    let folder = scratch();
    let path = file_of(&folder, bytes);
    let tools = [
        Format::LabelStudio,
        Format::Cvat,
        Format::Elan,
        Format::PyFeat,
        Format::Openface,
    ];
    for source in tools.map(Source::Tool).into_iter().chain([Source::Report]) {
        let found = match export::read(&path, source) {
            Ok(found) => found,
            Err(error) => {
                let name = path.display().to_string();
                assert!(error.to_string().contains(&name), "{source:?}: {error}");
                continue;
            }
        };
        let video = &*ANNOTATED;
        for corrections in found.iter().flat_map(|one| one.corrections(video, None)) {
            let persons = corrections.persons().map(Whose::Person);
            for whose in persons.chain([Whose::Subject]) {
                let labels = corrections.labels(video, whose);
                assert_eq!(labels.len(), 2);
                for point in labels.iter().filter_map(|label| label.valence_arousal) {
                    assert!(point.valence.abs() <= 1.0 && point.arousal.abs() <= 1.0);
                }
            }
        }
    }
}

/// Templates and frame lists: what is accepted can be submitted, and the submission reads back.
pub fn frame_list(bytes: &[u8]) {
    let list = match FrameList::from_bytes(Path::new(NAME), bytes) {
        Ok(list) => list,
        Err(error) => return names_a_line(&error, bytes),
    };
    for row in list.rows() {
        let name = ImageName::parse(row.image).unwrap();
        assert_eq!(
            (name.video, name.frame),
            (list.videos().name(row.video), row.frame)
        );
    }
    for challenge in Challenge::ALL {
        if let Err(error) = list.check_is_for(challenge) {
            names_a_line(&error, bytes);
            continue;
        }
        let folder = scratch();
        let out = folder.path().join("submission.txt");
        let nothing = |_: &str| Ok::<_, affwild2::Error>(None::<VideoPredictions>);
        let summary =
            affwild2::write_submission(challenge, &list, &out, IfMissing::Neutral, nothing).unwrap();
        assert_eq!(summary.lines, list.rows().len());
        let again = FrameList::read(&out).unwrap();
        assert!(again.rows().eq(list.rows()));
        again.check_is_for(challenge).unwrap();
    }
}

/// Lists of videos, or of their frames.
pub fn video_list(bytes: &[u8]) {
    match VideoList::from_bytes(Path::new(NAME), bytes) {
        Err(error) => names_a_line(&error, bytes),
        Ok(list) => {
            assert_eq!(list.lengths().len(), list.videos().len());
            assert!(list.videos().iter().all(stays_inside));
        }
    }
}

/// Names of frames, and windows as settings write them.
pub fn image_name(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Some(name) = ImageName::parse(text) {
        assert!(stays_inside(name.video));
        assert_eq!(ImageName::parse(&name.to_string()), Some(name));
    }
    if let Ok(window) = text.parse::<Window>() {
        assert_eq!(window.to_string().parse(), Ok(window));
    }
}

/// Pipeline files: what is accepted has a hash, and reads the same after it was written.
pub fn pipeline(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok(pipeline) = Pipeline::parse(text, Path::new("")) else {
        return;
    };
    if let Err(error) = pipeline.postprocess.resolve(None) {
        assert!(matches!(error, PostprocessError::UnknownPreset { .. }));
    }
    let written = toml::to_string(&pipeline).unwrap();
    let again = Pipeline::parse(&written, Path::new("")).unwrap();
    assert_eq!(again, pipeline);
    assert_eq!(hash(&again).unwrap(), hash(&pipeline).unwrap());
    let json = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&json).unwrap(), pipeline);
}

/// Calibrations, of files and of weights.
pub fn calibration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(preset) = Calibration::preset_of(text) {
        let written = toml::to_string(&preset).unwrap();
        assert_eq!(Calibration::preset_of(&written).unwrap(), preset);
    }
}

/// Files of weights of every format, as they come.
pub fn weights(bytes: &[u8]) {
    let folder = scratch();
    let path = file_of(&folder, bytes);
    if let Err(error) = Summary::of(&path) {
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// The pickle in a PyTorch checkpoint, past the zip archive's own checks.
pub fn pickle(bytes: &[u8]) {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("a/data.pkl", bytes), ("a/data/0", &[0; 256])] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(content).unwrap();
    }
    weights(archive.finish().unwrap().get_ref());
}

/// The JSON that runs leave: plans, summaries, failures, footers.
pub fn run_files(bytes: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes) {
        let run = RunFolder::new("run");
        for input in &plan.inputs {
            assert!(run.table(&input.id).starts_with("run/frames"));
            assert!(
                !run.table(&input.id)
                    .components()
                    .any(|part| part.as_os_str() == "..")
            );
        }
        let _ = plan.postprocess();
        let written = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<Plan>(&written).unwrap(), plan);
    }
    let _ = serde_json::from_slice::<RunSummary>(bytes);
    let _ = serde_json::from_slice::<Failure>(bytes);
    let _ = serde_json::from_slice::<Footer>(bytes);
}

/// Tables.
pub fn table(bytes: &[u8]) {
    let folder = scratch();
    let path = file_of(&folder, bytes);
    if let Err(error) = table::read(&path) {
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// Features of faces.
pub fn features(bytes: &[u8]) {
    let folder = scratch();
    let path = file_of(&folder, bytes);
    let read = FeatureReader::open(&path).and_then(|faces| faces.take(10_000).collect::<Result<Vec<_>, _>>());
    if let Err(error) = read {
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// Weights of temporal networks: one that is accepted has outputs for every frame.
pub fn temporal_weights(bytes: &[u8]) {
    let folder = scratch();
    if let Ok((network, card)) = TemporalWeights::load(&file_of(&folder, bytes)) {
        assert_eq!(network.reach(), reach(&card.dilations));
        let mut pass = SequencePass::new(&network);
        let early = (0..3)
            .filter_map(|frame| pass.push((frame == 1).then_some(&[0.5; NUMBERS])))
            .count();
        assert_eq!(early + pass.finish().len(), 3);
    }
}

/// An error about a file's text names one of its lines, or the one after the last.
fn names_a_line(error: &affwild2::Error, bytes: &[u8]) {
    match error {
        affwild2::Error::Line { line, .. } => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines + 1).contains(line), "line {line} of {lines}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        other => panic!("{other}"),
    }
}

fn stays_inside(name: &str) -> bool {
    let below = Path::new(name);
    below.is_relative() && !below.components().any(|part| part.as_os_str() == "..")
}

/// A folder in memory, where there is one.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn file_of(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// TorchScript files. Looked through again, a program is the same.
pub fn program(bytes: &[u8]) {
    if let Ok(program) = Program::new(bytes.to_vec()) {
        assert_eq!(Program::new(program.bytes().to_vec()).unwrap(), program);
    }
}

/// Cards of TorchScript networks.
pub fn network_card(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(card) = NetworkCard::parse(text) {
        assert_eq!(NetworkCard::parse(&card.to_toml()).unwrap(), card);
    }
}
