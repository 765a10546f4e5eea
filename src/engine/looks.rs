//! Which look the detector has at the frames between two looks at the whole picture.
//!
//! As soon as a whole look is back, the frames after it are looked at around its faces, all at once. Their answers count in
//! decode order: where one shows that a face is lost or moves off, that frame is looked at as a whole, and the frames
//! after it around the faces found there. So it depends on the video alone which look counts for a frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::face::{Detection, Look, Surroundings};

/// How a frame is looked at, and its place among those of its video.
pub struct FrameLook {
    /// Frames of its video that were read before it.
    pub position: u32,
    /// The position of the last frame up to it that the reader gave a whole look.
    pub whole_before: u32,
    /// The look that it has, or is to have.
    pub look: Look,
    /// The parts to look at, of a near look that has begun.
    pub near: Option<NearLook>,
    /// It is looked at whole since a near look was not enough.
    again: bool,
}

/// A look around the faces of an earlier frame.
#[derive(Clone)]
pub struct NearLook {
    /// The position of that frame.
    of: u32,
    /// What is seen.
    pub parts: Arc<Surroundings>,
}

/// What is to happen to a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was found in it counts.
    Counts,
    /// Nobody was there before, so nobody is in it.
    Nobody,
    /// The detector has to look at it.
    LookAt,
}

/// What whole looks at a video have shown.
#[derive(Default)]
pub struct Looks {
    /// The surroundings of the faces in frames that were looked at whole, by position; `None` where they save too little.
    parts: BTreeMap<u32, Option<Arc<Surroundings>>>,
    /// The last of the tracked frames that had to be looked at once more.
    again: Option<u32>,
}

impl FrameLook {
    /// A frame as the reader gives it.
    pub fn new(position: u32, whole_before: u32, look: Look) -> Self {
        Self {
            position,
            whole_before,
            look,
            near: None,
            again: false,
        }
    }

    /// Whether other frames are looked at around its faces.
    pub fn is_base(&self) -> bool {
        self.look == Look::Whole && (self.position == self.whole_before || self.again)
    }
}

impl Looks {
    /// Notes the surroundings of the faces in a frame that [is a base](FrameLook::is_base).
    pub fn note(&mut self, frame: &FrameLook, parts: Option<Surroundings>) {
        self.parts.insert(frame.position, parts.map(Arc::new));
    }

    /// Whether a near look is due at a frame, of which nothing was `found` yet, and can begin.
    pub fn can_begin(&self, frame: &FrameLook, found: Option<&[Detection]>) -> bool {
        frame.look == Look::Near && found.is_none() && self.parts.contains_key(&self.base_of(frame))
    }

    /// Begins the look at a frame between whole looks.
    pub fn begin(&self, frame: &mut FrameLook) -> Verdict {
        let of = self.base_of(frame);
        let Some(Some(parts)) = self.parts.get(&of) else {
            frame.look = Look::Whole;
            frame.near = None;
            return Verdict::LookAt;
        };
        frame.near = Some(NearLook {
            of,
            parts: Arc::clone(parts),
        });
        match parts.corners().is_empty() {
            true => Verdict::Nobody,
            false => Verdict::LookAt,
        }
    }

    /// Decides whether what was found in a frame counts, now that all before it have been tracked.
    pub fn take_turn(&mut self, frame: &mut FrameLook, found: Option<&[Detection]>) -> Verdict {
        if let (Some(near), Some(faces)) = (&frame.near, found) {
            if near.of != self.base_of(frame) {
                return self.begin(frame);
            }
            if !near.parts.hold(faces) {
                frame.look = Look::Whole;
                frame.near = None;
                frame.again = true;
                return Verdict::LookAt;
            }
        }
        if frame.again {
            self.again = Some(frame.position);
        }
        self.parts.retain(|&position, _| position >= frame.whole_before);
        Verdict::Counts
    }

    /// The position of the frame around whose faces this one is looked at.
    fn base_of(&self, frame: &FrameLook) -> u32 {
        let between = frame.whole_before + 1..frame.position;
        self.again
            .filter(|again| between.contains(again))
            .unwrap_or(frame.whole_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::{BoundingBox, Landmarks};

    fn face(x1: f32) -> Detection {
        Detection {
            score: 0.9,
            bounding_box: BoundingBox {
                x1,
                y1: 200.0,
                x2: x1 + 100.0,
                y2: 320.0,
            },
            landmarks: Landmarks::default(),
        }
    }

    fn around(faces: &[Detection]) -> Option<Surroundings> {
        Surroundings::of(faces, (1280, 720), 640)
    }

    fn near(position: u32) -> FrameLook {
        FrameLook::new(position, 0, Look::Near)
    }

    #[test]
    fn a_near_look_waits_for_the_whole_one_before_it() {
        let mut looks = Looks::default();
        assert!(!looks.can_begin(&near(1), None));
        looks.note(&FrameLook::new(0, 0, Look::Whole), around(&[face(300.0)]));
        assert!(looks.can_begin(&near(1), None));
        let mut frame = near(1);
        assert_eq!(looks.begin(&mut frame), Verdict::LookAt);
        assert!(frame.near.is_some());
        assert_eq!(looks.take_turn(&mut frame, Some(&[face(310.0)])), Verdict::Counts);
    }

    #[test]
    fn after_a_lost_face_earlier_looks_at_later_frames_do_not_count() {
        let mut looks = Looks::default();
        looks.note(&FrameLook::new(0, 0, Look::Whole), around(&[face(300.0)]));
        let (mut first, mut second) = (near(1), near(2));
        looks.begin(&mut first);
        looks.begin(&mut second);
        assert_eq!(looks.take_turn(&mut first, Some(&[])), Verdict::LookAt);
        assert!(first.is_base() && first.near.is_none());
        looks.note(&first, around(&[face(900.0)]));
        assert_eq!(looks.take_turn(&mut first, Some(&[face(900.0)])), Verdict::Counts);
        // Its look was around the old place.
        assert_eq!(
            looks.take_turn(&mut second, Some(&[face(300.0)])),
            Verdict::LookAt
        );
        assert_eq!(second.near.as_ref().map(|near| near.of), Some(1));
        assert_eq!(
            looks.take_turn(&mut second, Some(&[face(905.0)])),
            Verdict::Counts
        );
    }

    #[test]
    fn where_nobody_was_nobody_is_looked_for_and_close_ups_are_seen_whole() {
        let mut looks = Looks::default();
        looks.note(&FrameLook::new(0, 0, Look::Whole), around(&[]));
        assert_eq!(looks.begin(&mut near(1)), Verdict::Nobody);
        looks.note(&FrameLook::new(0, 0, Look::Whole), None);
        let mut frame = near(1);
        assert_eq!(looks.begin(&mut frame), Verdict::LookAt);
        assert!(frame.look == Look::Whole && !frame.is_base());
        assert_eq!(looks.take_turn(&mut frame, Some(&[face(300.0)])), Verdict::Counts);
    }
}
