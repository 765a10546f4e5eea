//! Text: glyphs of one embedded font, drawn once each and kept.

use std::collections::HashMap;

use ab_glyph::{Font as _, FontRef, InvalidFont, PxScale, ScaleFont as _};

/// DejaVu Sans Condensed Bold, printable ASCII; its licence lies beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold.subset.ttf");

/// The font, with the glyphs drawn so far.
pub struct Font {
    font: FontRef<'static>,
    drawn: HashMap<(char, u32), Glyph>,
}

/// A glyph of some size.
#[derive(Debug, Clone, Default)]
pub struct Glyph {
    /// From the pen's position on the baseline to the first column and row, in pixels.
    pub left: i32,
    pub top: i32,
    /// Columns of `coverage`.
    pub width: u32,
    /// How much of each pixel is ink, row by row, 0 to 255.
    pub coverage: Vec<u8>,
    /// How far the pen moves on, in pixels.
    pub advance: f32,
}

impl Font {
    /// The embedded font.
    ///
    /// # Errors
    /// Only if the embedded file is broken.
    pub fn embedded() -> Result<Self, InvalidFont> {
        Ok(Self {
            font: FontRef::try_from_slice(FONT)?,
            drawn: HashMap::new(),
        })
    }

    /// A glyph at a size: pixels from the top of the tallest letter to the bottom of the deepest.
    pub fn glyph(&mut self, letter: char, pixels: u32) -> &Glyph {
        let font = &self.font;
        self.drawn
            .entry((letter, pixels))
            .or_insert_with(|| draw(font, letter, pixels))
    }

    /// The width of a text in pixels.
    pub fn width(&mut self, text: &str, pixels: u32) -> f32 {
        text.chars()
            .map(|letter| self.glyph(letter, pixels).advance)
            .sum()
    }
}

fn draw(font: &FontRef, letter: char, pixels: u32) -> Glyph {
    let scale = PxScale::from(pixels as f32);
    let id = font.glyph_id(letter);
    let mut glyph = Glyph {
        advance: font.as_scaled(scale).h_advance(id),
        ..Glyph::default()
    };
    if let Some(outline) = font.outline_glyph(id.with_scale(scale)) {
        let bounds = outline.px_bounds();
        glyph.left = bounds.min.x as i32;
        glyph.top = bounds.min.y as i32;
        glyph.width = bounds.width() as u32;
        glyph.coverage = vec![0; (bounds.width() * bounds.height()) as usize];
        outline.draw(|x, y, ink| {
            if let Some(pixel) = glyph.coverage.get_mut((y * glyph.width + x) as usize) {
                *pixel = (ink * 255.0) as u8;
            }
        });
    }
    glyph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_letter_has_a_glyph() {
        let mut font = Font::embedded().unwrap();
        for letter in '!'..='~' {
            let glyph = font.glyph(letter, 20);
            assert!(
                glyph.advance > 0.0 && glyph.coverage.iter().any(|&ink| ink > 128),
                "{letter}"
            );
        }
        assert!(font.width("Happiness", 30) > 1.4 * font.width("Happiness", 20));
    }
}
