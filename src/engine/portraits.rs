//! Looks at the faces of a video's tracks, by which tracks of one person are found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::timeline::Timeline;
use crate::face::chip::{KeptChips, chip};
use crate::face::identity::{IdentitySettings, TrackLooks};
use crate::face::{Landmarks, PersonId};
use crate::frame::Picture;
use crate::model::{IdentityError, IdentityNetwork};

/// The most chips that a video keeps, 67 kB each. With more, their features are computed, whether they will be needed or not.
const MOST_CHIPS: usize = 240;

/// The looks of all tracks of a video. The network runs once the video is over, if there is anything to join.
pub struct Portraits {
    network: Arc<IdentityNetwork>,
    tracks: BTreeMap<PersonId, Portrait>,
    chips: usize,
}

#[derive(Default)]
struct Portrait {
    chips: KeptChips,
    looks: TrackLooks,
}

impl Portraits {
    /// Of a video of which nothing has been seen.
    pub fn new(network: Arc<IdentityNetwork>) -> Self {
        Self {
            network,
            tracks: BTreeMap::new(),
            chips: 0,
        }
    }

    /// Takes a usable look at a face.
    ///
    /// # Errors
    /// As [`IdentityNetwork::features`].
    pub fn look(
        &mut self,
        track: PersonId,
        picture: &Picture,
        landmarks: &Landmarks,
    ) -> Result<(), IdentityError> {
        let portrait = self.tracks.entry(track).or_default();
        let before = portrait.chips.count();
        portrait.chips.look(|| chip(picture, landmarks));
        self.chips = self.chips + portrait.chips.count() - before;
        if self.chips > MOST_CHIPS {
            self.compute_features()?;
        }
        Ok(())
    }

    /// Joins the tracks of `timeline` that are of one person; for each that was joined the number it has now.
    ///
    /// # Errors
    /// As [`IdentityNetwork::features`].
    pub fn join(
        mut self,
        timeline: &mut Timeline,
        settings: &IdentitySettings,
    ) -> Result<BTreeMap<PersonId, PersonId>, IdentityError> {
        self.tracks
            .retain(|_, portrait| portrait.chips.usable() >= u64::from(settings.least_looks));
        let spans = timeline.spans();
        let seen = || self.tracks.keys().filter_map(|track| spans.get(track));
        let first_end = seen().map(|span| span.1).min();
        let last_beginning = seen().map(|span| span.0).max();
        if last_beginning <= first_end {
            // All are seen beside each other.
            return Ok(BTreeMap::new());
        }
        self.compute_features()?;
        let looks = self
            .tracks
            .into_iter()
            .map(|(track, portrait)| (track, portrait.looks));
        Ok(timeline.join(looks.collect(), settings))
    }

    fn compute_features(&mut self) -> Result<(), IdentityError> {
        for portrait in self.tracks.values_mut() {
            for feature in self.network.features(&portrait.chips.take())? {
                portrait.looks.add(&feature);
            }
        }
        self.chips = 0;
        Ok(())
    }
}
