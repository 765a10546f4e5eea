//! Labels to files: a folder of per-video files, as [`Labels`](super::Labels) reads it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::{Challenge, FrameLabel};
use crate::labels::{INVALID_CLASS, INVALID_VALENCE_AROUSAL};
use crate::publish::publish;

/// Writes the labels of a video, whose frames count from the first on, below `root` as `VA_Set/<video>.txt`,
/// `EXPR_Set/<video>.txt` and `AU_Set/<video>.txt`: those tasks of which some frame is annotated. Returns the files.
///
/// # Errors
/// The file system's.
pub fn write_video_labels(root: &Path, video: &str, frames: &[FrameLabel]) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    for challenge in Challenge::LABELLED_BY_VIDEO {
        if !frames.iter().any(|label| is_annotated(label, challenge)) {
            continue;
        }
        let folder = format!("{}_Set", challenge.name().to_uppercase());
        let path = root.join(folder).join(format!("{video}.txt"));
        publish(&path, |file| write_lines(file, challenge, frames)).map_err(Error::writing(&path))?;
        written.push(path);
    }
    Ok(written)
}

fn is_annotated(label: &FrameLabel, challenge: Challenge) -> bool {
    match challenge {
        Challenge::Va => label.valence_arousal.is_some(),
        Challenge::Expr => label.expression.is_some(),
        _ => label.action_units.iter().any(Option::is_some),
    }
}

fn write_lines(file: &mut impl Write, challenge: Challenge, frames: &[FrameLabel]) -> io::Result<()> {
    writeln!(file, "{}", challenge.columns())?;
    for label in frames {
        match challenge {
            Challenge::Va => match label.valence_arousal {
                Some(point) => writeln!(file, "{},{}", point.valence, point.arousal)?,
                None => writeln!(file, "{INVALID_VALENCE_AROUSAL},{INVALID_VALENCE_AROUSAL}")?,
            },
            Challenge::Expr => {
                let class = label.expression.map(|expression| expression.index() as i8);
                writeln!(file, "{}", class.unwrap_or(INVALID_CLASS))?;
            }
            _ => {
                let units = label.action_units.map(|unit| match unit {
                    Some(present) => i8::from(present).to_string(),
                    None => INVALID_CLASS.to_string(),
                });
                writeln!(file, "{}", units.join(","))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affwild2::Labels;
    use crate::labels::{Expression, ValenceArousal};
    use proptest::prelude::*;

    prop_compose! {
        fn label()(
            point in proptest::option::of((-1f32..=1.0, -1f32..=1.0)),
            class in proptest::option::of(0usize..8),
            action_units in proptest::array::uniform12(proptest::option::of(any::<bool>())),
        ) -> FrameLabel {
            FrameLabel {
                valence_arousal: point.map(|(valence, arousal)| ValenceArousal { valence, arousal }),
                expression: class.and_then(Expression::from_index),
                action_units,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_read(frames in proptest::collection::vec(label(), 1..30)) {
            let folder = tempfile::tempdir().unwrap();
            let files = write_video_labels(folder.path(), "batch1/v", &frames).unwrap();
            prop_assume!(!files.is_empty());
            let labels = Labels::read(folder.path()).unwrap();
            prop_assert_eq!(labels.videos().iter().collect::<Vec<_>>(), ["batch1/v"]);
            let read: Vec<FrameLabel> = labels.rows().iter().map(|row| row.label).collect();
            prop_assert_eq!(read, frames);
        }
    }
}
