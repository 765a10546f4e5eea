//! What leaves the engine: a table, or a failure, for each video.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::feature_store::FeatureStore;
use super::video::{FinishedVideo, VideoOutcome, VideoState};
use crate::error_chain::sentence;
use crate::finalise::{Postprocessor, postprocess_table};
use crate::path_error::PathError;
use crate::run::{Event, Plan, PlannedInput, RunFolder, Stage, TableState};
use crate::table::{self, Counts, FaceFeature, FeatureCard, Footer, Row, Timing};

/// Where a run publishes, and what every table of it records of its making.
pub struct Publication {
    run: RunFolder,
    plan: Plan,
    /// The footer of each table, its facts of one video left empty.
    footer: Footer,
    postprocessor: Postprocessor,
    /// Sizes of batches that were halved, by stage.
    halved: Mutex<BTreeMap<Stage, usize>>,
}

/// What there is to tell of a table that was written.
struct Published {
    counts: Counts,
    damage: Option<String>,
    note: Option<String>,
}

impl Publication {
    /// The publication of a plan; `inference`: on what and in which form the networks run.
    pub fn new(
        run: RunFolder,
        plan: &Plan,
        versions: BTreeMap<String, String>,
        inference: String,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let postprocessor = Postprocessor::of(&run, plan)?;
        let footer = Footer {
            versions,
            settings: serde_json::to_value(&plan.settings)?,
            settings_hash: plan.settings_hash.clone(),
            raw_settings_hash: plan.raw_settings_hash.clone(),
            weights: plan.weights.clone(),
            inference,
            postprocess: postprocessor.record()?,
            stream: serde_json::Value::Null,
            cuts: Vec::new(),
            input_bytes: 0,
            input_modified: None,
            counts: Counts::default(),
        };
        Ok(Self {
            run,
            plan: plan.clone(),
            footer,
            postprocessor,
            halved: Mutex::default(),
        })
    }

    /// Does what can be done for an input without reading it: nothing if its table is there,
    /// post-processing alone if the table is there but for that. `None`: the input is to be read.
    pub fn without_reading(&self, input: &PlannedInput) -> Option<Event> {
        match self.plan.table_state(&self.run, input) {
            TableState::Current => Some(Event::Skipped { id: input.id.clone() }),
            TableState::OtherPostprocess => Some(postprocess_table(
                &self.run,
                &self.plan,
                &self.postprocessor,
                input,
            )),
            TableState::Absent => None,
        }
    }

    /// Publishes a video's table, or records why there is none.
    pub(super) fn publish(&self, video: &VideoState, outcome: VideoOutcome) -> Event {
        let id = &video.input.id;
        let finished = outcome.and_then(|tracked| video.finish(tracked));
        let published = finished.and_then(|finished| self.write(video, finished));
        match published {
            Ok(Published { counts, damage, note }) => Event::Done {
                id: id.clone(),
                counts,
                seconds: video.clock.seconds(),
                damage,
                note,
            },
            // Another process may have done it meanwhile.
            Err(_) if self.plan.table_state(&self.run, &video.input) == TableState::Current => {
                Event::Skipped { id: id.clone() }
            }
            Err((stage, error)) => {
                // A table of an earlier attempt would pass for this one's.
                let _ = std::fs::remove_file(self.run.table(id));
                Event::Failed {
                    id: id.clone(),
                    failure: self.run.fail(id, &video.input.path, stage, error),
                }
            }
        }
    }

    /// Notes that batches of a stage are smaller from now on than the plan has it: tables name it, since outputs differ by
    /// rounding between sizes of batches.
    pub(super) fn record_halved_batch(&self, stage: Stage, batch: usize) {
        let mut halved = self.halved.lock().unwrap_or_else(PoisonError::into_inner);
        halved.insert(stage, batch);
    }

    /// Device kind, precision and form of the networks, with batches that were halved.
    fn inference(&self) -> String {
        let halved = self.halved.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = halved
            .iter()
            .map(|(stage, batch)| format!(", {} batch halved to {batch}", stage.name()));
        self.footer.inference.clone() + &batches.collect::<String>()
    }

    /// A store for the features of a video; `None` if they are not wanted.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn feature_store(&self) -> Result<Option<FeatureStore>, PathError> {
        if !self.plan.settings.pipeline.model.features {
            return Ok(None);
        }
        let root = self.run.root();
        FeatureStore::in_folder(root)
            .map(Some)
            .map_err(PathError::at(root))
    }

    /// Publishes the features of a video's faces, before the table: where that is, they are.
    fn write_features(
        &self,
        video: &VideoState,
        finished: &FinishedVideo,
        store: &FeatureStore,
    ) -> Result<(), (Stage, String)> {
        let id = &video.input.id;
        let card = FeatureCard {
            versions: self.footer.versions.clone(),
            weights: self.plan.weights.clone(),
            inference: self.inference(),
            raw_settings_hash: self.plan.raw_settings_hash.clone(),
            input_bytes: video.input.bytes,
        };
        let faces = finished.timeline.faces();
        let feature = |(slot, frame, person)| -> io::Result<FaceFeature> {
            let feature = store.get(slot)?;
            Ok(FaceFeature {
                frame,
                person,
                feature,
            })
        };
        let features = faces.into_iter().map(feature);
        let written = table::write_features(&self.run.features(id), id.as_str(), features, &card);
        written.map_err(|error| (Stage::Write, sentence(&error)))
    }

    fn write(&self, video: &VideoState, finished: FinishedVideo) -> Result<Published, (Stage, String)> {
        if finished.timeline.frames() == 0 {
            return Err((Stage::Decode, "no frame could be decoded".to_owned()));
        }
        let timing = Timing {
            cuts: finished.timeline.cuts().to_vec(),
            frame_rate: finished.frame_rate,
        };
        if let Some(features) = video.features() {
            self.write_features(video, &finished, features)?;
        }
        let mut rows = finished.timeline.into_rows(&finished.ranking);
        video
            .clock
            .time(Stage::Postprocess, || {
                self.postprocessor.apply(&video.input.id, "", &mut rows, &timing)
            })
            .map_err(|error| (Stage::Postprocess, error.to_string()))?;
        let counts = count(&rows);
        let footer = Footer {
            stream: finished.source.facts,
            cuts: timing.cuts.iter().map(|frame| frame.number()).collect(),
            input_bytes: video.input.bytes,
            input_modified: video.input.modified,
            counts,
            inference: self.inference(),
            ..self.footer.clone()
        };
        let id = &video.input.id;
        table::write(
            &self.run.table(id),
            id.as_str(),
            &rows,
            &footer,
            &video.clock.seconds(),
        )
        .map_err(|error| (Stage::Write, error.to_string()))?;
        // A leftover record of an earlier failure is only confusing; merge prefers the table.
        let _ = self.run.forget_failure(id);
        Ok(Published {
            counts,
            damage: finished.source.damage,
            note: finished.source.note,
        })
    }
}

fn count(rows: &[Row]) -> Counts {
    let persons: BTreeSet<_> = rows.iter().filter_map(|row| row.person).collect();
    let frames = rows.iter().filter(|row| row.subject).count();
    let mut with_face: Vec<_> = rows
        .iter()
        .filter(|row| row.sighting.is_face())
        .map(|row| row.frame)
        .collect();
    with_face.dedup();
    Counts {
        frames: frames as u64,
        frames_with_face: with_face.len() as u64,
        persons: persons.len() as u64,
    }
}
