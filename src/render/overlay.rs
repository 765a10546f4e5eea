//! Draws the annotations of a frame: boxes, landmarks, names above the faces, and a card for each person.

use std::collections::{BTreeMap, VecDeque};

use super::canvas::{Anchor, Area, Canvas, Colour, person_colour};
use super::person_card::{CARD_HEIGHT, CARD_WIDTH, PersonCard, TRAIL_SECONDS, expression_text};
use crate::face::{BoundingBox, PersonId, Point};
use crate::labels::ValenceArousal;
use crate::table::{Row, Sighting};

/// Lengths below are for a picture whose shorter side has this many pixels, and grow with it.
const DESIGN_SIDE: f32 = 720.0;
/// The least growth at which text can be read.
const LEAST_UNIT: f32 = 0.62;
const MARGIN: f32 = 12.0;
const TEXT: f32 = 20.0;
const BANNER_TEXT: &str = "UNTRAINED WEIGHTS: the numbers mean nothing";
const BANNER_COLOUR: Colour = Colour([176, 0, 32, 235]);
/// Height of the letters in units, where the picture is wide enough.
const BANNER_SIZE: f32 = 20.0;

/// Draws frame after frame.
pub struct Overlay {
    /// Rows at the upper edge that are kept free, in pixels of the canvas.
    top: f32,
    /// Pixels of the canvas for one of the design.
    unit: f32,
    /// The last points of each person in view, with their times.
    trails: BTreeMap<PersonId, VecDeque<(f64, ValenceArousal)>>,
}

impl Overlay {
    /// Makes an overlay for a canvas of this size; only boxes are drawn above `top`.
    pub fn new(width: u32, height: u32, top: f32) -> Self {
        let unit = unit_of(width, height);
        // A card must fit in, however narrow the picture.
        let widest = (width as f32 - 2.0 * MARGIN * LEAST_UNIT) / CARD_WIDTH;
        Self {
            top,
            unit: unit.min(widest).max(0.3),
            trails: BTreeMap::new(),
        }
    }

    /// Draws the rows of one frame, which is `scale` times as large on the canvas. `time_s`: seconds
    /// from the film's beginning.
    pub fn draw(&mut self, canvas: &mut Canvas, rows: &[Row], scale: f32, time_s: f64) {
        self.update_trails(rows, time_s);
        for row in rows {
            if let (Some(person), Some((face_box, landmarks))) = (row.person, row.sighting.location()) {
                self.draw_face(
                    canvas,
                    row,
                    person,
                    scaled(&face_box, scale),
                    landmarks.0.map(|point| on_canvas(point, scale)),
                );
            }
        }
        let [frame, ..] = rows else { return };
        self.draw_clock(canvas, frame, time_s);
        self.draw_cards(canvas, rows, time_s);
    }

    /// Adds the points of persons in view to their trails, and removes the trails of others.
    fn update_trails(&mut self, rows: &[Row], time_s: f64) {
        let present = |person: &PersonId| rows.iter().any(|row| row.person == Some(*person));
        self.trails.retain(|person, _| present(person));
        for row in rows {
            let Some(person) = row.person else { continue };
            let Some(point) = row.postprocessed.affect.valence_arousal else {
                self.trails.remove(&person);
                continue;
            };
            let trail = self.trails.entry(person).or_default();
            trail.push_back((time_s, point));
            while trail
                .front()
                .is_some_and(|(then, _)| time_s - then > TRAIL_SECONDS)
            {
                trail.pop_front();
            }
        }
    }

    fn draw_face(
        &self,
        canvas: &mut Canvas,
        row: &Row,
        person: PersonId,
        face_box: BoundingBox,
        landmarks: [Point; 5],
    ) {
        let unit = self.unit;
        let colour = person_colour(person);
        let area = Area {
            x: face_box.x1,
            y: face_box.y1,
            width: face_box.x2 - face_box.x1,
            height: face_box.y2 - face_box.y1,
        };
        let line = if row.subject { 3.0 } else { 2.0 } * unit;
        let is_usable = row.usable != Some(false);
        match row.sighting {
            Sighting::Carried { .. } => canvas.outline(area, line, colour.faded(0.5)),
            _ if !is_usable => canvas.outline(area, line, colour.faded(0.5)),
            _ => canvas.outline(area, line, colour),
        }
        for centre in landmarks {
            let radius = (2.6 * unit).max(1.5);
            canvas.disc(centre, radius + unit.max(0.7), Colour::BLACK.faded(0.7));
            canvas.disc(centre, radius, Colour::WHITE);
        }

        let text = match expression_text(&row.postprocessed) {
            _ if !is_usable => format!("{} not usable", person.0),
            Some(expression) => format!("{} {expression}", person.0),
            None => person.0.to_string(),
        };
        let size = TEXT * unit;
        let width = canvas.text_width(&text, size) + 10.0 * unit;
        let height = size * 1.2;
        let right = (canvas.width() as f32 - width).max(0.0);
        // Above the box, or inside where the picture ends.
        let y = match area.y - height {
            above if above >= self.top => above,
            _ => area.y.max(self.top),
        };
        let tag = Area {
            x: (area.x - line / 2.0).clamp(0.0, right),
            y,
            width,
            height,
        };
        canvas.fill(tag, colour);
        let at = Point {
            x: tag.x + 5.0 * unit,
            y: tag.y + height * 0.77,
        };
        canvas.text(&text, at, Anchor::Left, size, Colour::BLACK);
    }

    fn draw_clock(&self, canvas: &mut Canvas, row: &Row, time_s: f64) {
        let size = 16.0 * self.unit;
        let text = format!("frame {}   {time_s:.2} s", row.frame);
        let width = canvas.text_width(&text, size) + 14.0 * self.unit;
        let area = Area {
            x: canvas.width() as f32 - width,
            y: self.top,
            width,
            height: size * 1.5,
        };
        canvas.fill(area, Colour::BLACK.faded(0.55));
        let at = Point {
            x: canvas.width() as f32 - 7.0 * self.unit,
            y: self.top + size * 1.1,
        };
        canvas.text(&text, at, Anchor::Right, size, Colour::WHITE);
    }

    /// Draws one card for each person along the lower edge, in at most two rows; the subject's is always shown.
    fn draw_cards(&self, canvas: &mut Canvas, rows: &[Row], time_s: f64) {
        let unit = self.unit;
        let (width, height, margin) = (CARD_WIDTH * unit, CARD_HEIGHT * unit, MARGIN * unit);
        let across = (((canvas.width() as f32 - margin) / (width + margin)) as usize).max(1);
        let down = if canvas.height() as f32 > 4.0 * (height + margin) {
            2
        } else {
            1
        };
        let mut people: Vec<&Row> = rows.iter().filter(|row| row.person.is_some()).collect();
        people.sort_by_key(|row| (!row.subject, row.person));
        people.truncate(across * down);
        people.sort_by_key(|row| row.person);
        for (nth, row) in people.into_iter().enumerate() {
            let Some(person) = row.person else { continue };
            let (column, line) = (nth % across, nth / across + 1);
            let card = PersonCard {
                x: margin + column as f32 * (width + margin),
                y: canvas.height() as f32 - line as f32 * (height + margin),
                unit,
            };
            let trail = self.trails.get(&person).into_iter().flatten();
            card.draw(canvas, row, person, trail, time_s);
        }
    }
}

/// A band along the upper edge that warns of meaningless numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Banner {
    size: f32,
}

impl Banner {
    /// Makes a banner with legible text that fits the width.
    pub fn new(canvas: &mut Canvas) -> Self {
        let fitting =
            canvas.width() as f32 / canvas.text_width(BANNER_TEXT, BANNER_SIZE).max(1.0) * BANNER_SIZE * 0.94;
        Self {
            size: (BANNER_SIZE * unit_of(canvas.width(), canvas.height())).min(fitting),
        }
    }

    /// Returns the number of rows that it covers.
    pub fn height(self) -> f32 {
        (self.size * 1.5).ceil()
    }

    /// Draws it.
    pub fn draw(self, canvas: &mut Canvas) {
        let area = Area {
            x: 0.0,
            y: 0.0,
            width: canvas.width() as f32,
            height: self.height(),
        };
        canvas.fill(area, BANNER_COLOUR);
        let middle = Point {
            x: area.width / 2.0,
            y: area.height * 0.72,
        };
        canvas.text(BANNER_TEXT, middle, Anchor::Middle, self.size, Colour::WHITE);
    }
}

/// Pixels of a canvas for one of the design.
fn unit_of(width: u32, height: u32) -> f32 {
    (width.min(height) as f32 / DESIGN_SIDE).max(LEAST_UNIT)
}

/// A box of a frame on the canvas. Pixels are squares there: their centres lie half a pixel further.
pub fn scaled(face_box: &BoundingBox, scale: f32) -> BoundingBox {
    let on_canvas = |at: f32| (at + 0.5) * scale;
    BoundingBox {
        x1: on_canvas(face_box.x1),
        y1: on_canvas(face_box.y1),
        x2: on_canvas(face_box.x2),
        y2: on_canvas(face_box.y2),
    }
}

fn on_canvas(point: Point, scale: f32) -> Point {
    Point {
        x: (point.x + 0.5) * scale,
        y: (point.y + 0.5) * scale,
    }
}
