//! Several finished runs as one: predictions for the same face, found in each run's tables and blended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::blend::blend_affects;
use crate::hash::hash;
use crate::labels::{Affect, PerTask};
use crate::postprocess::BlendSettings;
use crate::run::{InputNames, Plan, PlanError, RunFolder, RunReader, RunReaderError, VideoId, absolute};
use crate::table::{Row, WeightsRecord};

/// Runs cannot be blended.
#[derive(Debug, thiserror::Error)]
pub enum BlendError {
    /// A blended run cannot be read.
    #[error("blended run {}: {source}", run.display())]
    Run {
        /// Its folder.
        run: PathBuf,
        /// Why not.
        source: RunReaderError,
    },
    /// A blended run was made anew with other settings or weights.
    #[error(
        "blended run {} holds other numbers than when it was named; `abaw postprocess RUN --pipeline FILE` takes it \
         as it is now",
        run.display()
    )]
    Changed {
        /// Its folder.
        run: PathBuf,
    },
    /// A blended run lacks a video.
    #[error("blended run {} has no video {video}", run.display())]
    UnknownVideo {
        /// Its folder.
        run: PathBuf,
        /// The id of the video.
        video: String,
    },
    /// A blended run has not annotated a video yet.
    #[error("blended run {} is not finished: {video} has neither a table nor a recorded failure", run.display())]
    Unfinished {
        /// Its folder.
        run: PathBuf,
        /// The id of the video.
        video: String,
    },
}

/// A run and the runs blended into it, each with a weight in each task. Any number of threads may use it at once.
pub struct Blend {
    overlap: f32,
    /// The weights of the run itself.
    own: PerTask<f64>,
    /// The names of the run's own videos.
    names: InputNames,
    others: Vec<Other>,
}

struct Other {
    folder: PathBuf,
    content: String,
    run: RunReader,
    weights_per_task: PerTask<f64>,
    /// Rows that were to be blended.
    rows: AtomicU64,
    /// Those of them whose face is in this run.
    matched: AtomicU64,
}

/// How many rows of a run found their face in another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blended {
    /// Folder of the other run.
    pub run: PathBuf,
    /// Rows that were to be blended.
    pub rows: u64,
    /// Those of them whose face is in the other run.
    pub matched: u64,
    /// The other run's networks.
    pub weights: Vec<WeightsRecord>,
}

/// Writes a hash of each named run's raw columns into the settings, so that a later change is noticed, and makes the
/// paths absolute.
///
/// # Errors
/// A run that cannot be read.
pub fn record_contents(settings: &mut BlendSettings) -> Result<(), BlendError> {
    for member in &mut settings.member {
        if let Some(folder) = &member.run {
            let folder = absolute(folder);
            let (_, content) = open(&folder)?;
            (member.run, member.content) = (Some(folder), Some(content));
        }
    }
    Ok(())
}

/// A run, and the sha256 of all that its raw columns depend on.
fn open(folder: &Path) -> Result<(RunReader, String), BlendError> {
    let failed = |source: RunReaderError| BlendError::Run {
        run: folder.to_owned(),
        source,
    };
    let run = RunReader::open(RunFolder::new(folder)).map_err(failed)?;
    let plan = run.plan();
    let content = hash(&(&plan.raw_settings_hash, &plan.weights)).map_err(|source| {
        let path = run.folder().plan();
        failed(PlanError::NotAPlan { path, source }.into())
    })?;
    Ok((run, content))
}

impl Blend {
    /// The blend that a plan asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// A run that cannot be read, or that was made anew with other settings since it was named.
    pub fn of(plan: &Plan) -> Result<Option<Self>, BlendError> {
        let settings = &plan.settings.pipeline.postprocess.blend;
        if settings.is_empty() {
            return Ok(None);
        }
        let mut blend = Blend {
            overlap: settings.overlap,
            own: PerTask::default(),
            names: InputNames::of(&plan.inputs),
            others: Vec::new(),
        };
        for member in &settings.member {
            let Some(folder) = &member.run else {
                blend.own = member.weights_per_task();
                continue;
            };
            let (run, content) = open(folder)?;
            if member.content.as_ref().is_some_and(|named| *named != content) {
                return Err(BlendError::Changed { run: folder.clone() });
            }
            blend.others.push(Other {
                folder: folder.clone(),
                content,
                run,
                weights_per_task: member.weights_per_task(),
                rows: AtomicU64::new(0),
                matched: AtomicU64::new(0),
            });
        }
        Ok(Some(blend))
    }

    /// The blended prediction for each of a video's rows; `None` where no run with a weight saw the face.
    ///
    /// `side`: the ending of the name by which the video is asked for, `_left` or `_right`, or nothing.
    ///
    /// A face is the same in two runs where it is in the same frame and the boxes overlap enough. Rows
    /// without a box (crops, frames without any face) are matched with the row of the subject. Where the other run has
    /// no such face or failed on the video, it does not count.
    ///
    /// # Errors
    /// A run that lacks the video, has not annotated it yet, or whose table cannot be read.
    pub fn predictions(
        &self,
        id: &VideoId,
        side: &str,
        rows: &[Row],
    ) -> Result<Vec<Option<Affect>>, BlendError> {
        let mut theirs = Vec::with_capacity(self.others.len());
        for other in &self.others {
            let found = other.rows_of(&self.names, id, side)?;
            let partners = partners(rows, &found, self.overlap);
            other.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
            let matched = partners.iter().flatten().count() as u64;
            other.matched.fetch_add(matched, Ordering::Relaxed);
            theirs.push((other.weights_per_task, found, partners));
        }
        let blended = rows.iter().enumerate().map(|(at, row)| {
            let own = row.sighting.is_face().then_some((&row.raw, self.own));
            let others = theirs.iter().filter_map(|(weights, found, partners)| {
                let row: &Row = &found[partners[at]?];
                row.sighting.is_face().then_some((&row.raw, *weights))
            });
            let affect = blend_affects(own.into_iter().chain(others));
            affect.has_numbers().then_some(affect)
        });
        Ok(blended.collect())
    }

    /// For each blended run the number of rows so far, and of those that found their face there.
    pub fn blended(&self) -> Vec<Blended> {
        let of = |other: &Other| Blended {
            run: other.folder.clone(),
            rows: other.rows.load(Ordering::Relaxed),
            matched: other.matched.load(Ordering::Relaxed),
            weights: other.run.plan().weights.clone(),
        };
        self.others.iter().map(of).collect()
    }

    /// The blend as table footers record it.
    pub fn record(&self) -> serde_json::Value {
        let of = |other: &Other| {
            json!({
                "run": other.folder,
                "content": other.content,
                "say": other.weights_per_task,
                "weights": other.run.plan().weights,
            })
        };
        let others: Vec<_> = self.others.iter().map(of).collect();
        json!({"own": self.own, "overlap": self.overlap, "others": others})
    }
}

impl Other {
    /// This run's rows of a video of the run it is blended into; none if it failed on the video.
    fn rows_of(&self, own_names: &InputNames, id: &VideoId, side: &str) -> Result<Vec<Row>, BlendError> {
        // A run over other folders has other ids: an ending is enough where it is unique.
        let mut names = own_names.of_id(id.as_str()).map(|name| format!("{name}{side}"));
        let Some(name) = names.find(|name| self.run.input_named(name).is_some()) else {
            return Err(BlendError::UnknownVideo {
                run: self.folder.clone(),
                video: id.to_string(),
            });
        };
        let rows = self.run.raw_rows(&name).map_err(|source| BlendError::Run {
            run: self.folder.clone(),
            source,
        })?;
        match rows {
            Some(rows) => Ok(rows),
            None if self.run.has_failed(&name) => Ok(Vec::new()),
            None => Err(BlendError::Unfinished {
                run: self.folder.clone(),
                video: name,
            }),
        }
    }
}

/// For each row the index in `theirs` of the row of the same face. Both are in ascending order of frames.
fn partners(rows: &[Row], theirs: &[Row], overlap: f32) -> Vec<Option<usize>> {
    let mut partners = vec![None; rows.len()];
    let (mut start, mut first) = (0, 0);
    for frame in rows.chunk_by(|a, b| a.frame == b.frame) {
        while theirs.get(first).is_some_and(|row| row.frame < frame[0].frame) {
            first += 1;
        }
        let count = theirs[first..]
            .iter()
            .take_while(|row| row.frame == frame[0].frame)
            .count();
        let same_frame = &theirs[first..first + count];
        for (own, other) in pairs(frame, same_frame, overlap) {
            partners[start + own] = Some(first + other);
        }
        start += frame.len();
        first += count;
    }
    partners
}

/// The pairs of rows of one frame that are of one face.
fn pairs(own: &[Row], theirs: &[Row], overlap: f32) -> Vec<(usize, usize)> {
    let place = |row: &Row| row.sighting.location().map(|(face, _)| face);
    let mut near: Vec<(f32, usize, usize)> = Vec::new();
    for (at, row) in own.iter().enumerate() {
        for (other, candidate) in theirs.iter().enumerate() {
            if let (Some(ours), Some(other_box)) = (place(row), place(candidate)) {
                near.push((ours.overlap(&other_box), at, other));
            }
        }
    }
    near.retain(|(shared, ..)| *shared >= overlap);
    // The sort is stable: of equals the rows that come first in their tables.
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, at, other) in near {
        if pairs.iter().all(|(own, their)| *own != at && *their != other) {
            pairs.push((at, other));
        }
    }
    let subject = |rows: &[Row]| rows.iter().position(|row| row.subject);
    if let (Some(at), Some(other)) = (subject(own), subject(theirs)) {
        let boxless = place(&own[at]).is_none() || place(&theirs[other]).is_none();
        let free = pairs.iter().all(|(own, their)| *own != at && *their != other);
        if boxless && free {
            pairs.push((at, other));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::{BoundingBox, Detection, Landmarks, PersonId};
    use crate::frame::FrameIndex;
    use crate::labels::FinalAffect;
    use crate::table::Sighting;

    const WIDTH: f32 = 40.0;

    /// A row of a frame; `left`: of the face's box, `None` for a crop or a frame without a face.
    fn row(frame: u32, left: Option<f32>, subject: bool) -> Row {
        let found = |x1| {
            Sighting::Found(Detection {
                score: 0.9,
                bounding_box: BoundingBox {
                    x1,
                    y1: 0.0,
                    x2: x1 + WIDTH,
                    y2: WIDTH,
                },
                landmarks: Landmarks::default(),
            })
        };
        Row {
            frame: FrameIndex::new(frame).unwrap(),
            time_s: None,
            person: left.map(|_| PersonId(0)),
            subject,
            sighting: left.map_or(Sighting::Crop, found),
            quality: None,
            usable: None,
            raw: Affect::default(),
            postprocessed: FinalAffect::default(),
        }
    }

    #[test]
    fn faces_are_the_same_where_their_boxes_overlap() {
        let own = [
            row(1, Some(0.0), true),
            row(1, Some(100.0), false),
            row(2, Some(0.0), true),
            row(4, Some(0.0), true),
        ];
        let theirs = [
            row(1, Some(104.0), true),
            row(1, Some(2.0), false),
            row(1, Some(4.0), false),
            row(3, Some(0.0), true),
            row(4, Some(300.0), true),
        ];
        assert_eq!(
            partners(&own, &theirs, 0.5),
            [Some(1), Some(0), None, None],
            "the nearest box, in the same frame, and no one else's for a face that was not found"
        );
        assert_eq!(partners(&own, &theirs, 0.99), [None; 4]);
        assert_eq!(partners(&own, &[], 0.5), [None; 4]);
    }

    #[test]
    fn rows_without_a_box_go_with_the_subject() {
        let crops = [row(1, None, true), row(3, None, true)];
        let film = [
            row(1, Some(0.0), false),
            row(1, Some(90.0), true),
            row(2, Some(0.0), true),
            row(3, Some(0.0), true),
        ];
        assert_eq!(partners(&crops, &film, 0.5), [Some(1), Some(3)]);
        assert_eq!(partners(&film, &crops, 0.5), [None, Some(0), None, Some(1)]);
        assert_eq!(partners(&crops, &crops, 0.5), [Some(0), Some(1)]);
    }
}
