//! Runs of made-up tables: no video is decoded, no network asked.

use std::path::{Path, PathBuf};

use abaw::config::Pipeline;
use abaw::face::{BoundingBox, Detection, Landmarks, PersonId};
use abaw::frame::FrameIndex;
use abaw::labels::{Affect, Expression, FinalAffect, ValenceArousal};
use abaw::run::{FileState, Input, InputKind, Plan, RunFolder, RunSettings, VideoId, merge};
use abaw::table::{self, Counts, Footer, Row, Sighting};
use serde_json::json;

/// Frames a second.
pub const RATE: u32 = 30;

/// A video of the run: its id, what it is and where, its frames, and how many persons are in each of them.
pub struct Video {
    pub id: String,
    pub kind: InputKind,
    pub path: PathBuf,
    pub frames: u32,
    pub persons: u16,
}

impl Video {
    /// A video whose file is not there any more.
    pub fn lost(id: &str, frames: u32) -> Self {
        Self {
            id: id.to_owned(),
            kind: InputKind::Video,
            path: "/nowhere/film.mp4".into(),
            frames,
            persons: 1,
        }
    }
}

/// Writes a finished run, with the rows that `row` gives for a frame.
pub fn write(folder: &Path, videos: &[Video], row: impl Fn(&Video, u32) -> Row) -> RunFolder {
    let id = |video: &Video| VideoId::try_from(video.id.clone()).unwrap();
    let inputs = videos.iter().map(|video| Input {
        id: id(video),
        path: video.path.clone(),
        kind: video.kind,
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
    for video in videos {
        let of_frame = |frame| {
            let one = row(video, frame);
            (0..video.persons).map(move |person| Row {
                person: Some(PersonId(person)),
                subject: person == 0,
                ..one.clone()
            })
        };
        let rows: Vec<Row> = (1..=video.frames).flat_map(of_frame).collect();
        let seen = rows.iter().filter(|row| row.sighting.is_face()).count();
        let footer = Footer {
            versions: Default::default(),
            settings: json!({}),
            settings_hash: plan.settings_hash.clone(),
            raw_settings_hash: plan.raw_settings_hash.clone(),
            weights: Vec::new(),
            inference: "cpu, f32".to_owned(),
            postprocess: json!({}),
            stream: json!({"fps": f64::from(RATE), "width": 1280, "height": 720, "damage": {"corrupt_packets": 2}}),
            cuts: vec![video.frames / 2],
            input_bytes: FileState::of(&video.path, video.kind).map_or(1, |state| state.bytes),
            input_modified: None,
            counts: Counts {
                frames: video.frames.into(),
                frames_with_face: seen as u64,
                persons: video.persons.into(),
            },
        };
        let seconds = [("decode".to_owned(), 1.0), ("infer".to_owned(), 2.0)].into();
        table::write(&run.table(&id(video)), &video.id, &rows, &footer, &seconds).unwrap();
    }
    merge(&run, None).unwrap();
    run
}

/// A row of the only person, with waves for numbers; no face in the middle tenth of each 1000 frames.
pub fn row(frame: u32, point: ValenceArousal) -> Row {
    let phase = f64::from(frame) / 40.0;
    let wave = |nth: usize| ((phase / (nth + 1) as f64).sin() * 0.5 + 0.5) as f32;
    let likely: [f32; 8] = std::array::from_fn(|class| wave(class) + 0.05);
    let sum: f32 = likely.iter().sum();
    let affect = Affect {
        valence_arousal: Some(point),
        expression: Some(likely.map(|one| one / sum)),
        action_units: std::array::from_fn(|unit| Some(wave(unit))),
        ..Affect::default()
    };
    let is_seen = !(450..550).contains(&(frame % 1000));
    let detection = Detection {
        score: 0.9 + 0.1 * wave(0),
        bounding_box: BoundingBox {
            x1: 100.0,
            y1: 80.0,
            x2: 220.0,
            y2: 240.0,
        },
        landmarks: Landmarks::default(),
    };
    Row {
        frame: FrameIndex::new(frame).unwrap(),
        time_s: Some(f64::from(frame - 1) / f64::from(RATE)),
        person: Some(PersonId(0)),
        subject: true,
        sighting: match is_seen {
            true => Sighting::Found(detection),
            false => Sighting::Missing,
        },
        quality: None,
        usable: None,
        raw: match is_seen {
            true => affect.clone(),
            false => Affect::default(),
        },
        postprocessed: FinalAffect {
            expression: affect.expression.as_ref().map(Expression::most_probable),
            action_units: affect.action_units.map(|unit| Some(unit? >= 0.5)),
            extra_units: Box::default(),
            affect,
        },
    }
}

/// A slow wave.
pub fn wave(frame: u32) -> ValenceArousal {
    let phase = f64::from(frame) / 300.0;
    ValenceArousal {
        valence: (phase.sin() * 0.5) as f32,
        arousal: ((phase * 1.7).cos() * 0.4) as f32,
    }
}
