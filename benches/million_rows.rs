//! What the commands on tables cost for a million rows: `cargo bench --bench million_rows`, a minute or two.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use abaw::config::Pipeline;
use abaw::face::PersonId;
use abaw::frame::FrameIndex;
use abaw::labels::{Affect, FinalAffect, ValenceArousal};
use abaw::run::{Input, InputKind, Plan, RunFolder, RunSettings, VideoId};
use abaw::table::{self, Counts, Footer, Row, Sighting};
use serde_json::json;

const VIDEOS: usize = 300;
const FRAMES: u32 = 3400;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    write_run(&run);
    let labels = folder.path().join("AU_Detection_Challenge");
    let list = folder.path().join("list.txt");
    write_labels(&labels, &list);
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/abaw6-video.toml");
    let out = folder.path().join("au.txt");
    let calibration = folder.path().join("calibration.toml");
    measure(&["postprocess"], &[("", &run), ("--pipeline", &recipe)]);
    measure(&["evaluate"], &[("", &run), ("--labels", &labels)]);
    measure(
        &["submit", "--challenge", "au"],
        &[("", &run), ("--template", &list), ("--out", &out)],
    );
    measure(
        &["tune"],
        &[("", &run), ("--labels", &labels), ("--out", &calibration)],
    );
}

fn measure(words: &[&str], paths: &[(&str, &Path)]) {
    let mut command = Command::new("/usr/bin/env");
    command.args(["python3", "-c", PEAK, env!("CARGO_BIN_EXE_abaw")]);
    command.args(words);
    for (flag, path) in paths {
        if !flag.is_empty() {
            command.arg(flag);
        }
        command.arg(path);
    }
    let start = Instant::now();
    let output = command.output().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let peak = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{peak}");
    println!(
        "{}: {seconds:.1} s, {}",
        words[0],
        peak.lines().last().unwrap_or("?")
    );
}

/// Runs a command and writes its processor seconds and the most memory it held as the last line of stderr.
const PEAK: &str = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); \
    used = resource.getrusage(resource.RUSAGE_CHILDREN); \
    print('%.1f s of processor, %d MB' % (used.ru_utime + used.ru_stime, used.ru_maxrss // 1024), file=sys.stderr); \
    sys.exit(code)";

fn write_run(folder: &Path) {
    let id = |video: usize| VideoId::try_from(format!("batch1/v{video}")).unwrap();
    let inputs = (0..VIDEOS).map(|video| Input {
        id: id(video),
        path: format!("/videos/v{video}.mp4").into(),
        kind: InputKind::Video,
        bytes: 1,
        modified: None,
    });
    let settings = RunSettings {
        pipeline: Pipeline::default(),
        calibration: None,
        device_kind: "cpu".to_owned(),
        limit_frames: None,
    };
    let plan = Plan::new(inputs.collect(), 1, settings, Vec::new()).unwrap();
    let run = RunFolder::new(folder);
    plan.freeze(&run, false).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for video in 0..VIDEOS {
        let rows: Vec<Row> = (1..=FRAMES).map(|frame| row(frame, &mut random)).collect();
        let counts = Counts {
            frames: FRAMES.into(),
            frames_with_face: FRAMES.into(),
            persons: 1,
        };
        let footer = Footer {
            versions: Default::default(),
            settings: json!({}),
            settings_hash: plan.settings_hash.clone(),
            raw_settings_hash: plan.raw_settings_hash.clone(),
            weights: Vec::new(),
            inference: String::new(),
            postprocess: json!({}),
            stream: json!({"fps": 30.0}),
            cuts: Vec::new(),
            input_bytes: 1,
            input_modified: None,
            counts,
        };
        let id = id(video);
        table::write(&run.table(&id), id.as_str(), &rows, &footer, &Default::default()).unwrap();
    }
}

fn row(frame: u32, random: &mut fastrand::Rng) -> Row {
    let affect = Affect {
        valence_arousal: Some(ValenceArousal {
            valence: random.f32(),
            arousal: random.f32(),
        }),
        expression: Some(std::array::from_fn(|_| random.f32() / 8.0)),
        action_units: std::array::from_fn(|_| Some(random.f32())),
        extra_units: Box::default(),
    };
    Row {
        frame: FrameIndex::new(frame).unwrap(),
        time_s: Some(f64::from(frame) / 30.0),
        person: Some(PersonId(0)),
        subject: true,
        sighting: Sighting::Crop,
        quality: None,
        usable: None,
        raw: affect.clone(),
        postprocessed: FinalAffect {
            affect,
            expression: None,
            action_units: [Some(false); 12],
            extra_units: Box::default(),
        },
    }
}

fn write_labels(folder: &Path, list: &Path) {
    const COLUMNS: &str = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26";
    fs::create_dir(folder).unwrap();
    let mut frames = format!("image_location,{COLUMNS}\n");
    for video in 0..VIDEOS {
        let mut labels = format!("{COLUMNS}\n");
        for frame in 1..=FRAMES {
            labels += if frame % 3 == 0 {
                "1,0,1,0,1,0,1,0,1,0,1,0\n"
            } else {
                "0,1,0,1,0,0,0,0,0,0,1,1\n"
            };
            frames += &format!("v{video}/{frame:05}.jpg\n");
        }
        fs::write(folder.join(format!("v{video}.txt")), labels).unwrap();
    }
    fs::write(list, frames).unwrap();
}
