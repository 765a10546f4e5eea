//! The subject's aligned face as the network sees it, with where its landmarks are and where they should be.

use super::canvas::{Anchor, Area, Canvas, Colour, person_colour};
use crate::face::alignment::fit;
use crate::face::template::CROP_SIZE;
use crate::face::{AlignmentSettings, Detection, Point, align};
use crate::frame::Picture;
use crate::table::Row;

/// Pixels of the canvas for one of the crop.
const TIMES: u32 = 6;
/// Height of the line of text below the crop, in pixels.
const LINE: u32 = 48;
const TEXT: f32 = 20.0;
const TEMPLATE: Colour = Colour([240, 228, 66, 255]);

/// Width and height of the canvas.
pub fn size() -> (u32, u32) {
    let side = CROP_SIZE * TIMES;
    (side, side + LINE)
}

/// Draws the face of a frame's subject: the crop with its own pixels, the template's points as circles, the
/// landmarks as discs, and how far apart they are.
pub fn draw(canvas: &mut Canvas, picture: &Picture, rows: &[Row], settings: &AlignmentSettings, time_s: f64) {
    let (width, height) = size();
    let whole = Area {
        x: 0.0,
        y: 0.0,
        width: width as f32,
        height: height as f32,
    };
    canvas.fill(whole, Colour([14, 17, 22, 255]));
    let Some(row) = rows.iter().find(|row| row.subject) else {
        return;
    };
    let baseline = height as f32 - LINE as f32 * 0.36;
    let left = Point { x: 12.0, y: baseline };
    let right = Point {
        x: width as f32 - 12.0,
        y: baseline,
    };
    let clock = format!("frame {}   {time_s:.2} s", row.frame);
    canvas.text(&clock, right, Anchor::Right, TEXT, Colour::WHITE);
    let (Some(person), Some((bounding_box, landmarks))) = (row.person, row.sighting.location()) else {
        canvas.text("no face seen", left, Anchor::Left, TEXT, Colour::WHITE);
        return;
    };
    let face = Detection {
        score: row.sighting.score().unwrap_or(1.0),
        bounding_box,
        landmarks,
    };
    let (crop, template) = align(picture, &face, settings);
    canvas.magnify(&crop, TIMES);
    let colour = person_colour(person);
    let mut text = format!("person {}", person.0);
    match (template, fit(&landmarks, settings)) {
        (Some(template), Some((_, to_crop))) => {
            let on_canvas = |x: f64, y: f64| Point {
                x: (x as f32 + 0.5) * TIMES as f32,
                y: (y as f32 + 0.5) * TIMES as f32,
            };
            for (landmark, wanted) in landmarks.0.iter().zip(&template.landmarks().0) {
                let (x, y) = to_crop.apply((f64::from(landmark.x), f64::from(landmark.y)));
                let wanted = on_canvas(f64::from(wanted.x), f64::from(wanted.y));
                canvas.circle(wanted, 10.0, 4.5, Colour::BLACK.faded(0.6));
                canvas.circle(wanted, 10.0, 2.5, TEMPLATE);
                canvas.disc(on_canvas(x, y), 5.0, Colour::BLACK.faded(0.7));
                canvas.disc(on_canvas(x, y), 4.0, colour);
            }
            let apart = to_crop.misfit(&landmarks, &template.landmarks()) / 5.0;
            text += &format!(", template {}, {apart:.1} px apart", template.name());
        }
        _ => text += ", fits no template",
    }
    canvas.text(&text, left, Anchor::Left, TEXT, colour);
}
