//! What people look at: a run as a folder of web pages that need no server and no network.
//!
//! ```text
//! run.json, tables, labels -> facts (one a video), track -> pages, data scripts     (askama, uPlot)
//! videos                   -> highlights, thumbnails
//! ```
//!
//! ```text
//! OUT/index.html           overview and table of videos
//! OUT/assets/              styles and scripts, uPlot among them
//! OUT/videos/<slug>.html   a video's page
//! OUT/videos/<slug>.js     its numbers, a call of `abaw.video(...)`: a page opened from disk may run
//!                          scripts beside it, but read no files
//! OUT/videos/<slug>.files/ thumbnails; overlay.mp4 if RUN/overlay/<id>.mp4 is there
//! ```

mod error;
mod folder;
mod highlights;
mod numbers;
mod overview;
mod page_data;
mod score_page;
mod scores;
mod thumbnail;
mod tracks;
mod video_entry;
mod video_page;
mod weights_card;

pub use error::ReportError;

use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use rayon::prelude::*;

use crate::affwild2::Labels;
use crate::finalise::{SubjectError, SubjectReader};
use crate::run::{Event, Failure, PlannedInput, RunFolder, RunReader, RunSummary, Stage, Status};
use crate::tuning::ThresholdCounts;
use folder::ReportFolder;
use highlights::Highlight;
use overview::Overview;
use page_data::data_script;
use score_page::ScorePage;
use scores::LabelledRun;
use tracks::Tracks;
use video_entry::{VideoEntry, VideoFacts};
use video_page::{Neighbours, VideoPage};

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Videos with a page of their own.
    pub pages: usize,
    pub thumbnails: usize,
    /// Videos of the run that have no readable table now; the report says why.
    pub unreadable: usize,
    /// Videos without pictures, since the video could not be read: id and reason.
    pub without_pictures: Vec<String>,
    /// Labelled videos that the run knows nothing of.
    pub unknown_labels: Vec<String>,
}

/// Writes the report of a finished run into a folder, many videos at once; memory holds a table for each
/// core. With labels it shows predictions over them, and scores.
///
/// # Errors
/// A run that is not finished; labels that [`finalise::evaluate`](crate::finalise::evaluate) cannot score it on; a
/// folder that holds other things; what cannot be written. A table or a video that cannot be read costs only its
/// own page.
pub fn write(
    run: &RunReader,
    labels: Option<&Labels>,
    out: &Path,
    on_event: &mut (dyn FnMut(&Event) + Send),
) -> Result<Written, ReportError> {
    let summary = finished(run)?;
    let labelled = labels.map(|labels| LabelledRun::new(run, labels)).transpose()?;
    let folder = ReportFolder::prepare(out)?;
    let reporter = Reporter {
        run,
        subjects: SubjectReader::of(run),
        summary: &summary,
        folder: &folder,
        labelled: labelled.as_ref(),
        untrained: weights_card::untrained(&summary.weights),
    };
    let seen = Mutex::new(on_event);
    let reported: Vec<Reported> = (0..summary.videos.len())
        .into_par_iter()
        .map(|at| {
            let reported = reporter.video(at)?;
            if let Ok(mut on_event) = seen.lock() {
                on_event(&reported.event);
            }
            Ok(reported)
        })
        .collect::<Result<_, ReportError>>()?;

    let mut written = Written {
        unknown_labels: labelled.as_ref().map(LabelledRun::unknown).unwrap_or_default(),
        ..Written::default()
    };
    let mut entries = Vec::with_capacity(reported.len());
    let mut curves = ThresholdCounts::default();
    for one in reported {
        written.pages += usize::from(one.entry.facts.is_some());
        written.unreadable += usize::from(one.entry.unreadable.is_some());
        written.thumbnails += one.thumbnails;
        written.without_pictures.extend(one.no_pictures);
        if let Some(more) = &one.curves {
            curves.merge(more);
        }
        entries.push(one.entry);
    }
    let thresholds = run.plan().postprocess().map_err(SubjectError::from)?.thresholds;
    let weights = weights_card::cards(run.plan(), &summary.weights);
    let scores = labelled
        .as_ref()
        .map(|labelled| ScorePage::new(labelled, &curves, &thresholds));
    let overview = Overview::new(run, &summary, &entries, scores, weights)?;
    folder.write_overview(&overview)?;
    Ok(written)
}

/// The summary of a run that is closed.
fn finished(run: &RunReader) -> Result<RunSummary, ReportError> {
    let root = run.folder().root();
    let unfinished = || ReportError::NotFinished { run: root.to_owned() };
    let text = std::fs::read(run.folder().summary()).map_err(|_| unfinished())?;
    let summary: RunSummary = serde_json::from_slice(&text).map_err(|error| ReportError::Summary {
        path: run.folder().summary(),
        reason: error.to_string(),
    })?;
    let planned = run.plan().inputs.iter().map(|input| &input.id);
    match planned.eq(summary.videos.iter().map(|video| &video.id)) {
        true => Ok(summary),
        false => Err(unfinished()),
    }
}

/// What all videos' pages need.
struct Reporter<'a> {
    run: &'a RunReader,
    subjects: SubjectReader<'a>,
    summary: &'a RunSummary,
    folder: &'a ReportFolder,
    labelled: Option<&'a LabelledRun<'a>>,
    untrained: bool,
}

/// A video whose page is written.
struct Reported {
    entry: VideoEntry,
    thumbnails: usize,
    no_pictures: Option<String>,
    curves: Option<ThresholdCounts>,
    event: Event,
}

impl Reporter<'_> {
    fn video(&self, at: usize) -> Result<Reported, ReportError> {
        let input = &self.run.plan().inputs[at];
        let mut entry = VideoEntry::new(&self.summary.videos[at]);
        if self.summary.videos[at].status == Status::Failed {
            return Ok(self.without_page(input, entry));
        }
        let (rows, footer) = match self.run.table(&input.id) {
            Ok(table) => table,
            Err(error) => {
                entry.unreadable = Some(error.to_string());
                return Ok(self.without_page(input, entry));
            }
        };
        let facts = VideoFacts::of(&rows, &footer);
        let tracks = Tracks::of(&self.subjects, &rows, &footer, self.labelled, &input.id)?;
        let highlights = highlights::choose(&tracks);
        let pictures = thumbnail::write(
            self.run.plan(),
            input,
            &highlights,
            &self.folder.files_of(&entry.slug),
        )?;
        let overlay = self
            .folder
            .take_overlay(self.run.folder(), &input.id, &entry.slug)?;
        let shown: Vec<&Highlight> = highlights
            .iter()
            .filter(|highlight| pictures.has(highlight))
            .collect();
        self.folder
            .write_data(&entry.slug, &data_script(&tracks, &entry.slug, &shown, overlay))?;
        let curves = self.labelled.map(|_| tracks.threshold_counts());
        entry.scores = self.labelled.and_then(|labelled| labelled.scores_of(&input.id));
        entry.facts = Some(facts);
        let page = VideoPage {
            entry: &entry,
            footer: &footer,
            tracks: &tracks,
            neighbours: Neighbours::of(self.summary, at),
            no_pictures: pictures.reason.as_deref(),
            overlay,
            overlay_place: self.folder.overlay_place(self.run.folder(), &input.id),
            untrained: self.untrained,
        };
        self.folder.write_page(&entry.slug, &page)?;
        let event = Event::Done {
            id: input.id.clone(),
            counts: footer.counts,
            seconds: Default::default(),
            damage: None,
        };
        Ok(Reported {
            thumbnails: pictures.written(),
            no_pictures: pictures.reason.map(|reason| format!("{}: {reason}", input.id)),
            entry,
            curves,
            event,
        })
    }

    /// A video that the overview names, without a table to show.
    fn without_page(&self, input: &PlannedInput, entry: VideoEntry) -> Reported {
        let event = match &entry.unreadable {
            None => Event::Skipped { id: input.id.clone() },
            Some(error) => Event::Failed {
                id: input.id.clone(),
                failure: Failure {
                    input: input.path.display().to_string(),
                    stage: Stage::Postprocess,
                    error: error.clone(),
                    when: Timestamp::now(),
                },
            },
        };
        Reported {
            entry,
            thumbnails: 0,
            no_pictures: None,
            curves: None,
            event,
        }
    }
}

/// The run in a folder, which must be one.
///
/// # Errors
/// As [`RunReader::open`].
pub fn open(run: &Path) -> Result<RunReader, ReportError> {
    Ok(RunReader::open(RunFolder::new(run))?)
}
