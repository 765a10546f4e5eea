//! Draws the annotations of one person: expression, point in the plane of valence and arousal, action units.

use super::canvas::{Anchor, Area, Canvas, Colour, person_colour};
use crate::face::{PersonId, Point};
use crate::labels::{ACTION_UNITS, ActionUnit, Expression, FinalAffect, ValenceArousal};
use crate::table::Row;

/// Width in units.
pub const CARD_WIDTH: f32 = 404.0;
/// Height in units.
pub const CARD_HEIGHT: f32 = 156.0;
/// Seconds that the trail of the point reaches back.
pub const TRAIL_SECONDS: f64 = 1.0;

const BACK: Colour = Colour([14, 17, 22, 200]);
const GREY: Colour = Colour([150, 156, 164, 255]);
const FAINT: Colour = Colour([255, 255, 255, 60]);
const HEADER: f32 = 30.0;
const PLANE: f32 = 108.0;
const BARS_LEFT: f32 = 156.0;
const BAR_STEP: f32 = 20.0;
const BAR_WIDTH: f32 = 14.0;
const BAR_HEIGHT: f32 = 74.0;
const SMALL_TEXT: f32 = 15.0;

/// The position of a card: its upper left corner in pixels, and the pixels per unit.
#[derive(Debug, Clone, Copy)]
pub struct PersonCard {
    /// Left edge in pixels.
    pub x: f32,
    /// Upper edge in pixels.
    pub y: f32,
    /// Pixels per unit.
    pub unit: f32,
}

impl PersonCard {
    /// Draws a row, and the points of the person's last second with their times.
    pub fn draw<'a>(
        self,
        canvas: &mut Canvas,
        row: &Row,
        person: PersonId,
        trail: impl Iterator<Item = &'a (f64, ValenceArousal)>,
        time_s: f64,
    ) {
        let colour = person_colour(person);
        canvas.panel(
            self.area(0.0, 0.0, CARD_WIDTH, CARD_HEIGHT),
            8.0 * self.unit,
            BACK,
        );
        canvas.fill(self.area(0.0, 8.0, 5.0, CARD_HEIGHT - 16.0), colour);

        let seen = row.sighting.is_face();
        let role = match (row.subject, seen) {
            (_, false) => ", not seen",
            (_, true) if row.usable == Some(false) => ", not usable",
            (true, true) => ", subject",
            (false, true) => "",
        };
        let header = format!("person {}{role}", person.0);
        canvas.text(
            &header,
            self.at(16.0, 22.0),
            Anchor::Left,
            18.0 * self.unit,
            colour,
        );
        if let Some(expression) = expression_text(&row.postprocessed) {
            let at = self.at(CARD_WIDTH - 14.0, 22.0);
            canvas.text(&expression, at, Anchor::Right, 18.0 * self.unit, Colour::WHITE);
        }
        self.draw_plane(canvas, trail, colour, time_s);
        let probabilities = row.postprocessed.affect.action_units;
        if probabilities.iter().any(Option::is_some) {
            self.draw_bars(canvas, probabilities, row.postprocessed.action_units, colour);
        }
    }

    /// Valence to the right, arousal upwards, -1 to 1.
    fn draw_plane<'a>(
        self,
        canvas: &mut Canvas,
        trail: impl Iterator<Item = &'a (f64, ValenceArousal)>,
        colour: Colour,
        time_s: f64,
    ) {
        let unit = self.unit;
        let (left, top) = (18.0, HEADER + 8.0);
        let area = self.area(left, top, PLANE, PLANE);
        canvas.fill(area, Colour::WHITE.faded(0.06));
        canvas.outline(area, unit, FAINT);
        let (middle_x, middle_y) = (left + PLANE / 2.0, top + PLANE / 2.0);
        canvas.line(
            &[self.at(left, middle_y), self.at(left + PLANE, middle_y)],
            unit,
            FAINT,
        );
        canvas.line(
            &[self.at(middle_x, top), self.at(middle_x, top + PLANE)],
            unit,
            FAINT,
        );
        let size = SMALL_TEXT * unit;
        canvas.text(
            "V",
            self.at(left + PLANE + 4.0, middle_y + 5.0),
            Anchor::Left,
            size,
            GREY,
        );
        canvas.text("A", self.at(middle_x + 5.0, top + 14.0), Anchor::Left, size, GREY);

        let position = |point: ValenceArousal| {
            let half = PLANE / 2.0;
            self.at(
                middle_x + half * point.valence.clamp(-1.0, 1.0),
                middle_y - half * point.arousal.clamp(-1.0, 1.0),
            )
        };
        let mut last = None;
        for &(then, point) in trail {
            let here = position(point);
            if let Some(before) = last {
                let age = ((time_s - then) / TRAIL_SECONDS) as f32;
                canvas.line(&[before, here], 2.5 * unit, colour.faded(1.0 - 0.85 * age));
            }
            last = Some(here);
        }
        if let Some(here) = last {
            canvas.disc(here, 6.0 * unit, Colour::WHITE);
            canvas.disc(here, 4.5 * unit, colour);
        }
    }

    /// Draws a bar for each action unit, as high as its probability, and in the person's colour if the unit is present.
    fn draw_bars(
        self,
        canvas: &mut Canvas,
        probabilities: [Option<f32>; ACTION_UNITS],
        present: [Option<bool>; ACTION_UNITS],
        colour: Colour,
    ) {
        let unit = self.unit;
        let top = HEADER + 12.0;
        for action_unit in ActionUnit::ALL {
            let nth = action_unit.index();
            let left = BARS_LEFT + nth as f32 * BAR_STEP;
            let part = probabilities[nth].map_or(0.0, |probability| probability.clamp(0.0, 1.0));
            canvas.fill(
                self.area(left, top, BAR_WIDTH, BAR_HEIGHT),
                Colour::WHITE.faded(0.12),
            );
            let height = BAR_HEIGHT * part;
            let (bar, text) = if present[nth] == Some(true) {
                (colour, Colour::WHITE)
            } else {
                (GREY.faded(0.7), GREY)
            };
            canvas.fill(self.area(left, top + BAR_HEIGHT - height, BAR_WIDTH, height), bar);
            let at = self.at(left + BAR_WIDTH / 2.0, top + BAR_HEIGHT + 17.0);
            let number = action_unit.number().to_string();
            canvas.text(&number, at, Anchor::Middle, SMALL_TEXT * unit, text);
        }
        let at = self.at(BARS_LEFT, top + BAR_HEIGHT + 33.0);
        canvas.text("action units", at, Anchor::Left, 12.0 * unit, GREY);
    }

    fn at(self, x: f32, y: f32) -> Point {
        Point {
            x: self.x + x * self.unit,
            y: self.y + y * self.unit,
        }
    }

    fn area(self, x: f32, y: f32, width: f32, height: f32) -> Area {
        let corner = self.at(x, y);
        Area {
            x: corner.x,
            y: corner.y,
            width: width * self.unit,
            height: height * self.unit,
        }
    }
}

/// The expression and its probability, as `Happiness 83%`.
pub fn expression_text(result: &FinalAffect) -> Option<String> {
    let expression: Expression = result.expression?;
    let name = expression.name();
    Some(match result.affect.expression {
        Some(probabilities) => format!("{name} {:.0}%", 100.0 * probabilities[expression.index()]),
        None => name.to_owned(),
    })
}
