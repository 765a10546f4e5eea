//! Draws lines, discs, panels and text over a frame.

use tiny_skia::{
    Color, FillRule, FilterQuality, LineCap, Paint, PathBuilder, Pixmap, PixmapPaint, PremultipliedColorU8,
    Rect, Stroke, Transform,
};

use super::error::RenderError;
use super::font::Font;
use crate::face::{PersonId, Point};
use crate::frame::Picture;

/// Red, green, blue, opacity; 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 4]);

impl Colour {
    /// Opaque white.
    pub const WHITE: Colour = Colour([255, 255, 255, 255]);
    /// Opaque black.
    pub const BLACK: Colour = Colour([0, 0, 0, 255]);

    /// The same colour, `opacity` of 0 to 1.
    pub fn faded(self, opacity: f32) -> Self {
        let [red, green, blue, _] = self.0;
        Colour([red, green, blue, (opacity.clamp(0.0, 1.0) * 255.0) as u8])
    }

    fn paint(self) -> Paint<'static> {
        let [red, green, blue, opacity] = self.0;
        let mut paint = Paint::default();
        paint.set_color(Color::from_rgba8(red, green, blue, opacity));
        paint.anti_alias = true;
        paint
    }
}

/// Colours of persons, which the colour-blind can tell apart too (Okabe and Ito, 2008).
const PERSON_COLOURS: [[u8; 3]; 7] = [
    [86, 180, 233],
    [230, 159, 0],
    [0, 158, 115],
    [240, 228, 66],
    [204, 121, 167],
    [213, 94, 0],
    [0, 114, 178],
];

/// The colour of a person; the eighth has the first one's again.
pub fn person_colour(person: PersonId) -> Colour {
    let [red, green, blue] = PERSON_COLOURS[usize::from(person.0) % PERSON_COLOURS.len()];
    Colour([red, green, blue, 255])
}

/// A rectangle of the canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl Area {
    fn rect(self) -> Option<Rect> {
        Rect::from_xywh(self.x, self.y, self.width, self.height)
    }
}

/// The position of a text relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Left,
    Middle,
    Right,
}

/// An opaque picture to draw on. Positions are in pixels; (0, 0) is the upper left corner of the upper left pixel.
pub struct Canvas {
    pixmap: Pixmap,
    font: Font,
}

impl Canvas {
    /// A black canvas.
    ///
    /// # Errors
    /// A size without pixels; a broken embedded font.
    pub fn new(width: u32, height: u32) -> Result<Self, RenderError> {
        let font = Font::embedded().map_err(|error| RenderError::Canvas(error.to_string()))?;
        let no_size = || RenderError::Canvas(format!("{width}x{height} pixels"));
        let pixmap = Pixmap::new(width, height).ok_or_else(no_size)?;
        Ok(Self { pixmap, font })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.pixmap.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.pixmap.height()
    }

    /// Rows of red, green, blue, 255.
    pub fn rgba(&self) -> &[u8] {
        self.pixmap.data()
    }

    /// Covers the canvas with a picture, `scale` times as large, from the upper left corner. One pixel beyond its right and
    /// lower edge repeats the last column and row; the rest is black.
    pub fn lay(&mut self, picture: &Picture, scale: f32) {
        let same = scale == 1.0
            && self.width() - picture.width().min(self.width()) <= 1
            && self.height() - picture.height().min(self.height()) <= 1;
        if same {
            self.copy(picture);
        } else {
            self.pixmap.fill(Color::BLACK);
            self.scale(picture, scale);
        }
    }

    /// Draws a picture `times` as large from the upper left corner; its pixels stay squares.
    pub fn magnify(&mut self, picture: &Picture, times: u32) {
        let (width, times) = (self.width() as usize, times as usize);
        let columns = (picture.width() as usize).min(width / times);
        let rows = (picture.height() as usize).min(self.height() as usize / times);
        let pixels = self.pixmap.data_mut();
        for y in 0..rows {
            let first = y * times * width * 4;
            for x in 0..columns {
                let [red, green, blue] = picture.pixel(x as u32, y as u32);
                let square = &mut pixels[first + x * times * 4..][..times * 4];
                square.as_chunks_mut::<4>().0.fill([red, green, blue, 255]);
            }
            for copy in 1..times {
                pixels.copy_within(first..first + columns * times * 4, first + copy * width * 4);
            }
        }
    }

    /// Draws a picture `scale` times as large from the upper left corner.
    fn scale(&mut self, picture: &Picture, scale: f32) {
        let Some(mut source) = Pixmap::new(picture.width(), picture.height()) else {
            return;
        };
        let pixels = source.data_mut().as_chunks_mut::<4>().0.iter_mut();
        for (to, from) in pixels.zip(picture.rgb().as_chunks::<3>().0) {
            *to = [from[0], from[1], from[2], 255];
        }
        let paint = PixmapPaint {
            quality: FilterQuality::Bilinear,
            ..PixmapPaint::default()
        };
        let transform = Transform::from_scale(scale, scale);
        self.pixmap
            .draw_pixmap(0, 0, source.as_ref(), &paint, transform, None);
    }

    /// Copies a picture of about the canvas's size, its last column and row repeated.
    fn copy(&mut self, picture: &Picture) {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (columns, rows) = (picture.width() as usize, picture.height() as usize);
        let pixels = self.pixmap.data_mut();
        for y in 0..height {
            let from = &picture.rgb()[y.min(rows - 1) * columns * 3..][..columns * 3];
            let to = &mut pixels[y * width * 4..][..width * 4];
            let last = from.len() - 3;
            for (to, from) in to.as_chunks_mut::<4>().0.iter_mut().zip(from.as_chunks::<3>().0) {
                *to = [from[0], from[1], from[2], 255];
            }
            if width > columns {
                to[columns * 4..].copy_from_slice(&[from[last], from[last + 1], from[last + 2], 255]);
            }
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, area: Area, colour: Colour) {
        if let Some(rect) = area.rect() {
            self.pixmap
                .fill_rect(rect, &colour.paint(), Transform::identity(), None);
        }
    }

    /// Fills a rectangle with round corners.
    pub fn panel(&mut self, area: Area, radius: f32, colour: Colour) {
        let Area { x, y, width, height } = area;
        let (right, bottom) = (x + width, y + height);
        let mut path = PathBuilder::new();
        path.move_to(x + radius, y);
        path.line_to(right - radius, y);
        path.quad_to(right, y, right, y + radius);
        path.line_to(right, bottom - radius);
        path.quad_to(right, bottom, right - radius, bottom);
        path.line_to(x + radius, bottom);
        path.quad_to(x, bottom, x, bottom - radius);
        path.line_to(x, y + radius);
        path.quad_to(x, y, x + radius, y);
        path.close();
        if let Some(path) = path.finish() {
            let identity = Transform::identity();
            self.pixmap
                .fill_path(&path, &colour.paint(), FillRule::Winding, identity, None);
        }
    }

    /// Draws a rectangle's outline, half of its line inside.
    pub fn outline(&mut self, area: Area, line: f32, colour: Colour) {
        if let Some(rect) = area.rect() {
            self.stroke(PathBuilder::from_rect(rect), line, colour);
        }
    }

    /// Draws a line through points.
    pub fn line(&mut self, points: &[Point], line: f32, colour: Colour) {
        let mut path = PathBuilder::new();
        for (nth, point) in points.iter().enumerate() {
            match nth {
                0 => path.move_to(point.x, point.y),
                _ => path.line_to(point.x, point.y),
            }
        }
        if let Some(path) = path.finish() {
            self.stroke(path, line, colour);
        }
    }

    /// Fills a disc.
    pub fn disc(&mut self, centre: Point, radius: f32, colour: Colour) {
        if let Some(path) = PathBuilder::from_circle(centre.x, centre.y, radius) {
            let identity = Transform::identity();
            self.pixmap
                .fill_path(&path, &colour.paint(), FillRule::Winding, identity, None);
        }
    }

    /// Draws a circle.
    pub fn circle(&mut self, centre: Point, radius: f32, line: f32, colour: Colour) {
        if let Some(path) = PathBuilder::from_circle(centre.x, centre.y, radius) {
            self.stroke(path, line, colour);
        }
    }

    fn stroke(&mut self, path: tiny_skia::Path, line: f32, colour: Colour) {
        let stroke = Stroke {
            width: line,
            line_cap: LineCap::Round,
            ..Stroke::default()
        };
        self.pixmap
            .stroke_path(&path, &colour.paint(), &stroke, Transform::identity(), None);
    }

    /// The width of a text.
    pub fn text_width(&mut self, text: &str, size: f32) -> f32 {
        self.font.width(text, size.round() as u32)
    }

    /// Writes a text on a baseline.
    pub fn text(&mut self, text: &str, at: Point, anchor: Anchor, size: f32, colour: Colour) {
        let pixels = size.round() as u32;
        let width = self.font.width(text, pixels);
        let mut pen = at.x
            - match anchor {
                Anchor::Left => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::Right => width,
            };
        let baseline = at.y.round() as i32;
        let (columns, rows) = (self.pixmap.width() as i32, self.pixmap.height() as i32);
        let canvas = self.pixmap.pixels_mut();
        for letter in text.chars() {
            let glyph = self.font.glyph(letter, pixels);
            let (left, top) = (pen.round() as i32 + glyph.left, baseline + glyph.top);
            for (row, inks) in glyph
                .coverage
                .chunks_exact(glyph.width.max(1) as usize)
                .enumerate()
            {
                let y = top + row as i32;
                for (column, &ink) in inks.iter().enumerate() {
                    let x = left + column as i32;
                    if ink > 0 && (0..columns).contains(&x) && (0..rows).contains(&y) {
                        let pixel = &mut canvas[(y * columns + x) as usize];
                        *pixel = inked(*pixel, colour, ink);
                    }
                }
            }
            pen += glyph.advance;
        }
    }

    /// Red, green and blue of a pixel, which must lie inside.
    #[cfg(test)]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width() as usize + x as usize) * 4;
        let pixel = &self.rgba()[at..at + 3];
        [pixel[0], pixel[1], pixel[2]]
    }

    /// Returns the pixels, to be changed in place; each must stay opaque.
    pub fn rgba_mut(&mut self) -> &mut [u8] {
        self.pixmap.data_mut()
    }
}

/// Blends a colour over an opaque pixel.
fn inked(pixel: PremultipliedColorU8, colour: Colour, ink: u8) -> PremultipliedColorU8 {
    let [red, green, blue, opacity] = colour.0;
    let ink = u32::from(ink) * u32::from(opacity) / 255;
    let mix =
        |under: u8, over: u8| ((u32::from(under) * (255 - ink) + u32::from(over) * ink + 127) / 255) as u8;
    PremultipliedColorU8::from_rgba(
        mix(pixel.red(), red),
        mix(pixel.green(), green),
        mix(pixel.blue(), blue),
        255,
    )
    .unwrap_or(pixel)
}
