//! The settings of post-processing in a pipeline file, and which of them overrides which.

use super::{BlendSettings, FillGap, Kernel, Postprocess, PostprocessError, TemporalSettings, Thresholds};
use crate::labels::PerTask;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings that were found together: those that a team published, or a calibration. A setting that is `None` is left to
/// presets and calibrations of lower priority.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preset {
    /// One kernel per task.
    pub smoothing: PerTask<Option<Kernel>>,
    /// 12 numbers in [0, 1], ABAW order.
    pub thresholds: Option<Thresholds>,
}

impl Preset {
    /// The settings here, and those of `other` where there is none here.
    pub fn or(self, other: Preset) -> Preset {
        Preset {
            smoothing: self
                .smoothing
                .zip(other.smoothing)
                .map(|(ours, theirs)| ours.or(theirs)),
            thresholds: self.thresholds.or(other.thresholds),
        }
    }
}

/// The `[postprocess]` table of a pipeline file.
///
/// ```toml
/// presets = ["published_thresholds"]
/// smoothing.valence_arousal = { kernel = "box", half_width = "10 frames" }
///
/// [preset.published_thresholds]
/// thresholds = [0.44, 0.36, 0.39, 0.34, 0.46, 0.47, 0.38, 0.11, 0.10, 0.49, 0.62, 0.31]
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostprocessSettings {
    /// One kernel per task; overrides presets and calibration.
    // Not a flattened `Preset`: serde does not combine `flatten` with `deny_unknown_fields`.
    pub smoothing: PerTask<Option<Kernel>>,
    /// 12 numbers in [0, 1], ABAW order; overrides presets and calibration.
    pub thresholds: Option<Thresholds>,
    /// If true, nothing is filled or smoothed across a shot cut.
    pub stop_at_cuts: bool,
    /// The longest gap that is filled from the faces around it.
    pub fill_gap_s: FillGap,
    /// If true, a face whose look is not usable (by the limits of `[quality]`) counts as not seen.
    pub only_usable: bool,
    /// Names of the presets to use; an earlier one overrides a later one.
    pub presets: Vec<String>,
    /// The presets by name.
    pub preset: BTreeMap<String, Preset>,
    /// Runs whose predictions are blended.
    #[serde(skip_serializing_if = "BlendSettings::is_empty")]
    pub blend: BlendSettings,
    /// A network over time, whose outputs are smoothed and cut in place of the raw ones.
    #[serde(skip_serializing_if = "TemporalSettings::is_empty")]
    pub temporal: TemporalSettings,
}

impl PostprocessSettings {
    /// Resolves the settings: those set here override those of the named presets, which override the calibration of the
    /// weights. Without any there is no smoothing, and thresholds are 0.5.
    ///
    /// # Errors
    /// A preset that does not exist.
    pub fn resolve(&self, calibration: Option<&Preset>) -> Result<Postprocess, PostprocessError> {
        let set = self.set_here()?.or(calibration.cloned().unwrap_or_default());
        Ok(Postprocess {
            smoothing: set.smoothing.map(Option::unwrap_or_default),
            thresholds: set.thresholds.unwrap_or_default(),
            stop_at_cuts: self.stop_at_cuts,
            fill_gap_s: self.fill_gap_s,
            only_usable: self.only_usable,
        })
    }

    /// The names of the settings in a calibration that these settings override.
    ///
    /// # Errors
    /// A preset that does not exist.
    pub fn overruled(&self, calibration: &Preset) -> Result<Vec<&'static str>, PostprocessError> {
        let here = self.set_here()?;
        let smoothing = here.smoothing.zip(calibration.smoothing);
        let both = smoothing.map(|(ours, theirs)| ours.is_some() && theirs.is_some());
        let names = [
            ("smoothing.valence_arousal", both.valence_arousal),
            ("smoothing.expression", both.expression),
            ("smoothing.action_units", both.action_units),
            (
                "thresholds",
                here.thresholds.is_some() && calibration.thresholds.is_some(),
            ),
        ];
        Ok(names
            .into_iter()
            .filter_map(|(name, both)| both.then_some(name))
            .collect())
    }

    /// Leaves to a calibration what it sets.
    pub fn give_way_to(&mut self, calibration: &Preset) {
        let smoothing = self.smoothing.zip(calibration.smoothing);
        self.smoothing = smoothing.map(|(ours, theirs)| ours.filter(|_| theirs.is_none()));
        self.thresholds = self.thresholds.filter(|_| calibration.thresholds.is_none());
    }

    /// The settings made here or by the named presets.
    fn set_here(&self) -> Result<Preset, PostprocessError> {
        let mut set = Preset {
            smoothing: self.smoothing,
            thresholds: self.thresholds,
        };
        for name in &self.presets {
            let preset = self
                .preset
                .get(name)
                .ok_or_else(|| PostprocessError::UnknownPreset {
                    name: name.clone(),
                    known: self.preset.keys().cloned().collect::<Vec<_>>().join(", "),
                })?;
            set = set.or(preset.clone());
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postprocess::Window;

    const RECIPE: &str = r#"
        presets = ["hsemotion", "published"]

        [smoothing.valence_arousal]
        kernel = "box"
        half_width = "0.4 seconds"

        [preset.published]
        thresholds = [0.44, 0.36, 0.39, 0.34, 0.46, 0.47, 0.38, 0.11, 0.10, 0.49, 0.62, 0.31]

        [preset.hsemotion.smoothing]
        valence_arousal = { kernel = "frame_distance", sigma = 1e5, entries = 10 }
        expression = { kernel = "frame_distance", sigma = 1e5, entries = 50 }
    "#;

    #[test]
    fn settings_lie_over_presets_over_calibration_over_defaults() {
        let settings: PostprocessSettings = toml::from_str(RECIPE).unwrap();
        let calibration: Preset = toml::from_str(
            r#"
            thresholds = [0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]
            smoothing.expression = { kernel = "none" }
            smoothing.action_units = { kernel = "gaussian", sigma = "2 frames", radius = "6 frames" }
            "#,
        )
        .unwrap();
        let step = settings.resolve(Some(&calibration)).unwrap();
        let half_width = Window::Seconds(0.4);
        assert_eq!(step.smoothing.valence_arousal, Kernel::Box { half_width });
        assert_eq!(
            step.smoothing.expression,
            Kernel::FrameDistance {
                sigma: 1e5,
                entries: 50
            }
        );
        assert_eq!(
            step.smoothing.action_units,
            Kernel::Gaussian {
                sigma: Window::Frames(2),
                radius: Window::Frames(6)
            }
        );
        assert_eq!(step.thresholds.values()[7], 0.11);
        assert_eq!(
            settings.overruled(&calibration).unwrap(),
            ["smoothing.expression", "thresholds"]
        );
        assert_eq!(
            PostprocessSettings::default().resolve(None),
            Ok(Postprocess::default())
        );
    }

    #[test]
    fn settings_survive_being_written() {
        let settings: PostprocessSettings = toml::from_str(RECIPE).unwrap();
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<PostprocessSettings>(&text).unwrap(), settings);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "smoothing.valence = { kernel = \"none\" }",
            "smoothing.expression = { kernel = \"none\", half_width = \"3 frames\" }",
            "smoothing.expression = { kernel = \"box\", half_width = \"3 frames\", sigma = \"1 frames\" }",
            "smoothing.expression = { kernel = \"box\", half_width = 3 }",
            "smoothing.expression = { kernel = \"box\", half_width = \"-3 frames\" }",
            "smoothing.expression = { kernel = \"box\", half_width = \"-0.1 seconds\" }",
            "smoothing.expression = { kernel = \"box\", half_width = \"nan seconds\" }",
            "smoothing.expression = { kernel = \"box\" }",
            "smoothing.expression = { kernel = \"median\" }",
            "smoothing.expression = { kernel = \"frame_distance\", sigma = -1.0, entries = 3 }",
            "thresholds = [0.5]",
            "thresholds = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.1]",
            "fill = \"linear\"",
            "fill_gap_s = -0.5",
            "fill_gap_s = nan",
            "fill_gap_s = \"none\"",
        ] {
            assert!(toml::from_str::<PostprocessSettings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_preset_is_named_with_those_that_are_known() {
        let mut settings: PostprocessSettings = toml::from_str(RECIPE).unwrap();
        settings.presets = vec!["publisched".into()];
        let message = settings.resolve(None).unwrap_err().to_string();
        assert_eq!(
            message,
            "no preset is called `publisched`; known: hsemotion, published"
        );
    }
}
