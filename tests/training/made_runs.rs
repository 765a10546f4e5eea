//! Runs of made-up tables and features: no video is decoded, no network asked.

use std::path::Path;

use abaw::config::Pipeline;
use abaw::face::{BoundingBox, Detection, Landmarks, PersonId};
use abaw::frame::FrameIndex;
use abaw::labels::{Affect, FinalAffect};
use abaw::model::FEATURE;
use abaw::run::{Input, InputKind, Plan, RunFolder, RunSettings, VideoId, merge};
use abaw::table::{self, Counts, FaceFeature, FeatureCard, Footer, Row, Sighting, WeightsRecord};
use half::f16;
use serde_json::json;

/// A video of a run: what was seen of its only person in each frame, and the first frames of later shots.
pub struct MadeVideo {
    pub id: String,
    pub faces: Vec<Option<MadeFace>>,
    pub cuts: Vec<u32>,
}

/// A face's feature, of which the rest is 0, and its raw outputs.
pub struct MadeFace {
    pub feature: Vec<f32>,
    pub raw: Affect,
}

/// Writes a finished run with features, as annotated by a network with this sha256.
pub fn write(folder: &Path, videos: &[MadeVideo], network: &str) {
    let id = |video: &MadeVideo| VideoId::try_from(video.id.clone()).unwrap();
    let inputs = videos.iter().map(|video| Input {
        id: id(video),
        path: "/nowhere/film.mp4".into(),
        kind: InputKind::Video,
        bytes: 1,
        modified: None,
    });
    let mut pipeline = Pipeline::default();
    pipeline.model.features = true;
    let settings = RunSettings {
        pipeline,
        calibration: None,
        device_kind: "cpu".to_owned(),
        limit_frames: None,
    };
    let weights = ["detector", "affect"].map(|role| WeightsRecord {
        role: role.to_owned(),
        weights: WeightsRecord::TRAINED.to_owned(),
        source: format!("{role}.safetensors"),
        sha256: Some(network.to_owned()),
        missing_tasks: Vec::new(),
        extra_units: Vec::new(),
        weak_expressions: Vec::new(),
    });
    let plan = Plan::new(inputs.collect(), 1, settings, weights.to_vec()).unwrap();
    let run = RunFolder::new(folder);
    plan.freeze(&run, false).unwrap();
    for video in videos {
        let rows: Vec<Row> = (1..)
            .zip(&video.faces)
            .map(|(frame, face)| row(frame, face.as_ref()))
            .collect();
        let seen = rows.iter().filter(|row| row.sighting.is_face()).count();
        let features = rows.iter().zip(&video.faces).filter_map(|(row, face)| {
            let mut feature = [f16::ZERO; FEATURE];
            for (half, number) in feature.iter_mut().zip(&face.as_ref()?.feature) {
                *half = f16::from_f32(*number);
            }
            Some(Ok(FaceFeature {
                frame: row.frame,
                person: PersonId(0),
                feature,
            }))
        });
        let card = FeatureCard {
            versions: Default::default(),
            weights: plan.weights.clone(),
            inference: "cpu, f32".to_owned(),
            raw_settings_hash: plan.raw_settings_hash.clone(),
            input_bytes: 1,
        };
        table::write_features(&run.features(&id(video)), &video.id, features, &card).unwrap();
        let footer = Footer {
            versions: Default::default(),
            settings: json!({}),
            settings_hash: plan.settings_hash.clone(),
            raw_settings_hash: plan.raw_settings_hash.clone(),
            weights: plan.weights.clone(),
            inference: "cpu, f32".to_owned(),
            postprocess: json!({}),
            stream: json!({"fps": 25.0}),
            cuts: video.cuts.clone(),
            input_bytes: 1,
            input_modified: None,
            counts: Counts {
                frames: rows.len() as u64,
                frames_with_face: seen as u64,
                persons: 1,
            },
        };
        table::write(
            &run.table(&id(video)),
            &video.id,
            &rows,
            &footer,
            &Default::default(),
        )
        .unwrap();
    }
    merge(&run, None).unwrap();
}

fn row(frame: u32, face: Option<&MadeFace>) -> Row {
    let detection = Detection {
        score: 0.9,
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
        time_s: Some(f64::from(frame - 1) / 25.0),
        person: Some(PersonId(0)),
        subject: true,
        sighting: face.map_or(Sighting::Missing, |_| Sighting::Found(detection)),
        quality: None,
        usable: None,
        raw: face.map(|face| face.raw.clone()).unwrap_or_default(),
        postprocessed: FinalAffect::default(),
    }
}
