//! Who is who: joins the faces of one frame after another into persons.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::assignment::assign;
use super::identity::IdentitySettings;
use super::landmark_filter::{LandmarkFilter, LandmarkSmoothing};
use super::motion::{Motion, MotionSettings};
use super::{BoundingBox, Detection, FaceError, Landmarks, PersonId};
use crate::frame::{FALLBACK_FRAME_RATE, FrameIndex};

/// How faces become tracks. Times are seconds of presentation time; costs are minus the logarithm of
/// a likelihood, 0 for a face that is just where it was expected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackerSettings {
    /// A track that was not seen for longer than this ends, seconds.
    pub max_gap_s: f64,
    /// A track is established once it has this many detections with a score of `birth_score`.
    pub birth_detections: u32,
    /// Score from which a detection counts for `birth_detections`, in [0, 1].
    pub birth_score: f32,
    /// With lower scores it takes so many, as in the dark.
    pub birth_detections_weak: u32,
    /// A track not established yet ends after this gap already, seconds.
    pub birth_gap_s: f64,
    /// How far a face may stray from its predicted path between two frames, in face sizes
    /// (standard deviation): a shaking camera, a nod.
    pub stray: f64,
    /// How much a face's width and height may stray, as a logarithm (standard deviation).
    pub size_stray: f64,
    /// The most a detection may cost to belong to a track: 8 is a stray of four standard deviations
    /// where the prediction is certain.
    pub max_cost: f64,
    /// What it costs more to belong to a track that was out of sight: where two faces overlap, the
    /// one that is found is the one that was found before.
    pub hidden_cost: f64,
    /// How far a face may leap between two frames that the detector saw, beyond all that its motion explains, face sizes:
    /// half its width a frame, or a sudden stop. Only where it is the only face.
    pub leap: f64,
    /// The motion of a face.
    pub motion: MotionSettings,
    /// The smoothing of landmarks within a track.
    pub landmarks: LandmarkSmoothing,
    /// When two tracks are of one person.
    pub identity: IdentitySettings,
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self {
            max_gap_s: 1.0,
            birth_detections: 3,
            birth_score: 0.8,
            birth_detections_weak: 25,
            birth_gap_s: 0.2,
            stray: 0.18,
            size_stray: 0.15,
            max_cost: 9.5,
            hidden_cost: 0.5,
            leap: 1.0,
            motion: MotionSettings::default(),
            landmarks: LandmarkSmoothing::default(),
            identity: IdentitySettings::default(),
        }
    }
}

impl TrackerSettings {
    /// Refuses numbers that make no sense; the tracker relies on them.
    pub fn check(&self) -> Result<(), FaceError> {
        let above_zero = |value: f64| value.is_finite() && value > 0.0;
        let not_below_zero = |value: f64| value.is_finite() && value >= 0.0;
        let positive = [
            ("max_gap_s", self.max_gap_s),
            ("stray", self.stray),
            ("size_stray", self.size_stray),
            ("max_cost", self.max_cost),
            ("motion.speed", self.motion.speed),
            ("motion.growth", self.motion.growth),
            ("motion.persistence_s", self.motion.persistence_s),
            ("motion.box_noise", self.motion.box_noise),
            ("landmarks.cutoff_hz", self.landmarks.cutoff_hz),
            ("landmarks.speed_cutoff_hz", self.landmarks.speed_cutoff_hz),
        ];
        let not_negative = [
            ("birth_score", self.birth_score.into()),
            ("birth_gap_s", self.birth_gap_s),
            ("hidden_cost", self.hidden_cost),
            ("leap", self.leap),
            ("identity.margin", self.identity.margin),
            ("landmarks.cutoff_per_speed", self.landmarks.cutoff_per_speed),
        ];
        FaceError::unless(above_zero, "above 0", &positive)?;
        FaceError::unless(not_below_zero, "0 or above", &not_negative)
    }
}

/// A face of one frame and who it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackedFace {
    /// Whose face; no two faces of a frame have the same.
    pub person: PersonId,
    /// The face as detected; of a carried face, what its track predicts, with the last score.
    pub detection: Detection,
    /// The landmarks steadied over time, for alignment.
    pub landmarks_smoothed: Landmarks,
    /// The detector did not run: box and landmarks are predicted from the frames before.
    pub carried: bool,
}

/// Times closer than this are the same, seconds.
const SAME_TIME_S: f64 = 1e-6;
/// The most that the logarithm of a face's size may change in a leap.
const LEAP_GROWTH: f64 = 0.3;
/// Most living tracks, and so most faces of a frame. Beyond it tracks out of sight end early, and
/// of one frame's faces the smallest are left out; no detector finds as many.
const MAX_TRACKS: usize = 4096;

/// Follows the faces of one video.
///
/// Every detection gets a person: that of the track it continues, or a new one. Which detection
/// continues which track is the optimal assignment under a Kalman filter's prediction of each
/// face's place and size; of equally good ones the older track gets the larger, then the more left
/// face. The order in which detections come does not matter.
///
/// A track that is not seen lives on for `max_gap_s`, so that a face comes back under its number
/// after an occlusion; a track seen only now and then, or only with low scores, for `birth_gap_s`.
#[derive(Debug, Clone)]
pub struct Tracker {
    settings: TrackerSettings,
    frame_period_s: f64,
    /// In the order of their birth.
    tracks: Vec<Track>,
    next_person: PersonId,
    last_frame: Option<(FrameIndex, Option<f64>)>,
}

#[derive(Debug, Clone)]
struct Track {
    person: PersonId,
    motion: Motion,
    landmarks: LandmarkFilter,
    /// Of the last detection.
    last_box: BoundingBox,
    score: f32,
    detections: u32,
    /// Those with a score of `birth_score`.
    good_detections: u32,
    /// Seconds since the last detection.
    unseen_s: f64,
    /// The detector found it when it last ran.
    in_sight: bool,
}

impl Tracker {
    /// A tracker for one video; `settings` as [`TrackerSettings::check`] passes them. `frame_rate`
    /// in frames a second serves where a frame has no time, or one not later than the last.
    pub fn new(settings: TrackerSettings, frame_rate: Option<f64>) -> Self {
        let frame_rate = frame_rate.filter(|rate| (1e-3..=1e3).contains(rate));
        Self {
            settings,
            frame_period_s: 1.0 / frame_rate.unwrap_or(FALLBACK_FRAME_RATE),
            tracks: Vec::new(),
            next_person: PersonId(0),
            last_frame: None,
        }
    }

    /// Takes the detections of a frame, none included; call it or [`Tracker::carry`] once a frame,
    /// in order. `cut`: a new shot begins with this frame, so all tracks end before it.
    ///
    /// Gives one face for each detection, ordered by person. Detections with a number in them that
    /// is not finite are left out.
    pub fn update(
        &mut self,
        frame: FrameIndex,
        time_s: Option<f64>,
        cut: bool,
        mut detections: Vec<Detection>,
    ) -> Vec<TrackedFace> {
        self.advance(frame, time_s);
        if cut {
            self.tracks.clear();
        }
        detections.retain(is_finite);
        detections.sort_by(canonical_order);
        detections.truncate(MAX_TRACKS);

        let mut owners = self.assign(&detections);
        self.leap(&detections, &mut owners);
        for track in &mut self.tracks {
            track.in_sight = false;
        }
        let mut faces = Vec::with_capacity(detections.len());
        let mut newcomers = Vec::new();
        for (detection, owner) in detections.into_iter().zip(owners) {
            match owner {
                Some(track) => faces.push(self.tracks[track].correct(detection, &self.settings)),
                None => newcomers.push(detection),
            }
        }
        self.end_unseen(newcomers.len());
        for detection in newcomers {
            let track = Track::new(self.free_person(), &detection, &self.settings);
            faces.push(track.face(detection));
            self.tracks.push(track);
        }
        faces.sort_by_key(|face| face.person);
        faces
    }

    /// Carries on, for a frame on which the detector does not run, the faces it found when it last
    /// ran, for `max_gap_s` at most; ordered by person. On a frame that begins a shot the detector
    /// must run ([`Tracker::update`]): nothing can be carried across a cut.
    pub fn carry(&mut self, frame: FrameIndex, time_s: Option<f64>) -> Vec<TrackedFace> {
        self.advance(frame, time_s);
        let max_gap_s = self.settings.max_gap_s;
        let carried = |track: &&Track| track.in_sight && track.unseen_s <= max_gap_s + SAME_TIME_S;
        let mut faces: Vec<_> = self.tracks.iter().filter(carried).map(Track::carried).collect();
        faces.sort_by_key(|face| face.person);
        faces
    }

    /// Moves all tracks on to a frame's time.
    fn advance(&mut self, frame: FrameIndex, time_s: Option<f64>) {
        let time_s = time_s.filter(|time| time.is_finite());
        if let Some((last_frame, last_time_s)) = self.last_frame {
            let frames = frame.number().saturating_sub(last_frame.number()).max(1);
            let by_time = time_s.zip(last_time_s).map(|(now, before)| now - before);
            let step = by_time
                .filter(|&step| step >= SAME_TIME_S)
                .unwrap_or(f64::from(frames) * self.frame_period_s);
            // A picture that stands for long, as in a recorded screen, moves nobody.
            let moving = step.min(self.settings.max_gap_s);
            for track in &mut self.tracks {
                track.unseen_s += step;
                track.motion.advance(moving, &self.settings.motion);
            }
        }
        self.last_frame = Some((frame, time_s));
    }

    /// The index of the track that each detection continues.
    fn assign(&self, detections: &[Detection]) -> Vec<Option<usize>> {
        let TrackerSettings {
            stray,
            size_stray,
            max_cost,
            hidden_cost,
            ..
        } = self.settings;
        let mut costs = Vec::with_capacity(detections.len() * self.tracks.len());
        for detection in detections {
            costs.extend(self.tracks.iter().map(|track| {
                let surprise = track.motion.surprise(&detection.bounding_box, stray, size_stray);
                surprise + if track.in_sight { 0.0 } else { hidden_cost }
            }));
        }
        assign(&costs, detections.len(), self.tracks.len(), max_cost)
    }

    /// Gives the only face to the only track if it is near where the face was when the detector last ran. With others about
    /// nobody leaps: one who is missed for a frame would get a neighbour's face.
    fn leap(&mut self, detections: &[Detection], owners: &mut [Option<usize>]) {
        let ([seen], [None], [track]) = (detections, &*owners, &mut self.tracks[..]) else {
            return;
        };
        if track.in_sight && track.reaches(seen, &self.settings) && track.is_like(seen) {
            owners[0] = Some(0);
            // What it did before tells nothing of what comes.
            track.motion = Motion::new(&seen.bounding_box, &self.settings.motion);
        }
    }

    /// Ends the tracks that were not seen for too long, and makes room for newcomers.
    fn end_unseen(&mut self, newcomers: usize) {
        let settings = &self.settings;
        self.tracks
            .retain(|track| track.in_sight || track.unseen_s <= track.longest_gap_s(settings) + SAME_TIME_S);
        if self.tracks.len() + newcomers > MAX_TRACKS {
            self.tracks.retain(|track| track.in_sight);
        }
    }

    /// The next number that no living track has; there is one, as `MAX_TRACKS` is less than 32,768.
    fn free_person(&mut self) -> PersonId {
        loop {
            let person = self.next_person;
            // Tables hold numbers up to 32,767.
            self.next_person = PersonId((person.0 + 1) % (1 << 15));
            if self.tracks.iter().all(|track| track.person != person) {
                return person;
            }
        }
    }
}

impl Track {
    fn new(person: PersonId, seen: &Detection, settings: &TrackerSettings) -> Self {
        let motion = Motion::new(&seen.bounding_box, &settings.motion);
        Self {
            person,
            landmarks: LandmarkFilter::new(&seen.landmarks, &motion),
            motion,
            last_box: seen.bounding_box,
            score: seen.score,
            detections: 1,
            good_detections: u32::from(seen.score >= settings.birth_score),
            unseen_s: 0.0,
            in_sight: true,
        }
    }

    /// Takes in a detection of this face.
    fn correct(&mut self, seen: Detection, settings: &TrackerSettings) -> TrackedFace {
        self.motion.correct(&seen.bounding_box, &settings.motion);
        self.landmarks
            .correct(&seen.landmarks, &self.motion, self.unseen_s, &settings.landmarks);
        self.last_box = seen.bounding_box;
        self.score = seen.score;
        self.detections = self.detections.saturating_add(1);
        if seen.score >= settings.birth_score {
            self.good_detections = self.good_detections.saturating_add(1);
        }
        self.unseen_s = 0.0;
        self.in_sight = true;
        self.face(seen)
    }

    /// Whether a face is so near to the last one that it may have leapt there.
    fn reaches(&self, seen: &Detection, settings: &TrackerSettings) -> bool {
        let (before, now) = (self.last_box.centre(), seen.bounding_box.centre());
        let distance = f64::from((now.x - before.x).hypot(now.y - before.y));
        distance <= settings.leap * side(&self.last_box)
    }

    /// Whether a face is about as large as the last one.
    fn is_like(&self, seen: &Detection) -> bool {
        (side(&seen.bounding_box) / side(&self.last_box)).ln().abs() <= LEAP_GROWTH
    }

    fn longest_gap_s(&self, settings: &TrackerSettings) -> f64 {
        let established = self.good_detections >= settings.birth_detections
            || self.detections >= settings.birth_detections_weak;
        if established {
            settings.max_gap_s
        } else {
            settings.birth_gap_s.min(settings.max_gap_s)
        }
    }

    fn face(&self, detection: Detection) -> TrackedFace {
        TrackedFace {
            person: self.person,
            detection,
            landmarks_smoothed: self.landmarks.landmarks(&self.motion),
            carried: false,
        }
    }

    fn carried(&self) -> TrackedFace {
        let landmarks = self.landmarks.landmarks(&self.motion);
        let predicted = Detection {
            score: self.score,
            bounding_box: self.motion.bounding_box(),
            landmarks,
        };
        TrackedFace {
            carried: true,
            ..self.face(predicted)
        }
    }
}

/// The size of a face, pixels: the root of its box's area.
fn side(face: &BoundingBox) -> f64 {
    f64::from(face.area()).max(1.0).sqrt()
}

/// The numbers of a detection: box, score, landmarks.
fn numbers(detection: &Detection) -> [f32; 15] {
    let BoundingBox { x1, y1, x2, y2 } = detection.bounding_box;
    let mut numbers = [0.0; 15];
    numbers[..5].copy_from_slice(&[x1, y1, x2, y2, detection.score]);
    for (at, point) in detection.landmarks.0.iter().enumerate() {
        numbers[5 + 2 * at] = point.x;
        numbers[6 + 2 * at] = point.y;
    }
    numbers
}

fn is_finite(detection: &Detection) -> bool {
    numbers(detection).iter().all(|number| number.is_finite())
}

/// Largest first, then from left to right; equal only if all numbers are.
fn canonical_order(a: &Detection, b: &Detection) -> Ordering {
    let by_size = b.bounding_box.area().total_cmp(&a.bounding_box.area());
    let by_numbers = || {
        let pairs = numbers(a).into_iter().zip(numbers(b));
        pairs.map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne())
    };
    by_size.then_with(|| by_numbers().unwrap_or(Ordering::Equal))
}
