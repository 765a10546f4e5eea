//! The challenges, and the headers of their files.

use std::fmt;

use super::mismatch::Mismatch;

/// A challenge of the ABAW competitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Challenge {
    /// Multi-task learning: valence and arousal, expression and action units of sparse frames.
    Mtl,
    /// Valence and arousal.
    Va,
    /// Eight expressions.
    Expr,
    /// Twelve action units.
    Au,
    /// Seven compound expressions.
    Ce,
}

impl Challenge {
    /// All challenges.
    pub const ALL: [Challenge; 5] = [
        Challenge::Mtl,
        Challenge::Va,
        Challenge::Expr,
        Challenge::Au,
        Challenge::Ce,
    ];

    /// The challenges with published labels.
    pub(super) const LABELLED: [Challenge; 4] =
        [Challenge::Mtl, Challenge::Va, Challenge::Expr, Challenge::Au];

    /// Those of them with one label file for each video.
    pub(super) const LABELLED_BY_VIDEO: [Challenge; 3] = [Challenge::Va, Challenge::Expr, Challenge::Au];

    /// The name on the command line: `mtl`, `va`, ...
    pub fn name(self) -> &'static str {
        match self {
            Challenge::Mtl => "mtl",
            Challenge::Va => "va",
            Challenge::Expr => "expr",
            Challenge::Au => "au",
            Challenge::Ce => "ce",
        }
    }

    /// The names of the columns after the image, which are also the header of a per-video file.
    pub fn columns(self) -> &'static str {
        match self {
            Challenge::Mtl => "valence,arousal,expression,aus",
            Challenge::Va => "valence,arousal",
            Challenge::Expr => "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
            Challenge::Au => "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
            Challenge::Ce => {
                "Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,Disgustedly_Surprised,\
                 Angrily_Surprised,Sadly_Fearful,Sadly_Angry"
            }
        }
    }

    /// The number of values a row holds after the image. It is not that of the columns' names:
    /// a class is one number under eight names, `aus` twelve numbers under one.
    pub fn values(self) -> usize {
        match self {
            Challenge::Mtl => 15,
            Challenge::Va => 2,
            Challenge::Expr | Challenge::Ce => 1,
            Challenge::Au => 12,
        }
    }

    /// The header of a submission whose template has none (ABAW3, 4, 7, 11 for `mtl`; 5, 6, 8 for
    /// the others).
    pub fn submission_header(self) -> String {
        let first = if self == Challenge::Mtl {
            "image"
        } else {
            "image_location"
        };
        format!("{first},{}", self.columns())
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first line of a file, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The first column is an image; otherwise the row's place in the file is its frame.
    pub has_images: bool,
    /// Whose columns follow; `None` where the header names the image alone.
    pub challenge: Option<Challenge>,
}

impl Header {
    /// Reads a header; `None` if the line is none of the known ones.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(',').map(str::trim).peekable();
        let has_images = fields
            .next_if(|first| matches!(*first, "image" | "image_location"))
            .is_some();
        if has_images && fields.peek().is_none() {
            return Some(Header {
                has_images,
                challenge: None,
            });
        }
        let challenge = Challenge::ALL
            .into_iter()
            .find(|c| c.columns().split(',').eq(fields.clone()))?;
        Some(Header {
            has_images,
            challenge: Some(challenge),
        })
    }

    /// The complaint that `line` should be a header of one of `challenges`.
    pub fn mismatch(line: &str, first_column: &str, challenges: &[Challenge]) -> Mismatch {
        let headers: Vec<_> = challenges
            .iter()
            .map(|c| format!("`{first_column}{}`", c.columns()))
            .collect();
        Mismatch::new(line, format!("the header {}", headers.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::labels::{ActionUnit, Expression};

    #[test]
    fn columns_are_in_the_order_of_the_labels() {
        assert_eq!(
            Challenge::Expr.columns(),
            Expression::ALL.map(Expression::name).join(",")
        );
        assert_eq!(
            Challenge::Au.columns(),
            ActionUnit::ALL.map(ActionUnit::name).join(",")
        );
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for challenge in Challenge::ALL {
            assert_eq!(Challenge::from_str(challenge.name(), false), Ok(challenge));
        }
    }

    #[test]
    fn every_header_is_recognised_and_no_other() {
        for challenge in Challenge::ALL {
            let plain = Header {
                has_images: false,
                challenge: Some(challenge),
            };
            assert_eq!(Header::parse(challenge.columns()), Some(plain));
            let with_images = Header {
                has_images: true,
                ..plain
            };
            assert_eq!(Header::parse(&challenge.submission_header()), Some(with_images));
        }
        let bare = Some(Header {
            has_images: true,
            challenge: None,
        });
        assert_eq!(Header::parse("image"), bare);
        assert_eq!(Header::parse("image_location"), bare);
        assert_eq!(
            Header::parse(" valence , arousal").and_then(|h| h.challenge),
            Some(Challenge::Va)
        );
        for other in [
            "",
            "frame,v,a",
            "valence",
            "valence,arousal,valence",
            "arousal,valence",
            "image,va",
            "Image",
        ] {
            assert_eq!(Header::parse(other), None, "{other}");
        }
    }
}
