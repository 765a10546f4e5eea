//! The curves of a training run, as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::error::TrainingError;
use super::loss_values::LossValues;
use super::write::write;
use crate::metrics::Scores;

/// Pixels.
const SIZE: (u32, u32) = (1000, 420);
/// Okabe and Ito's palette, which colour-blind people can tell apart.
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

type DrawingError = Box<dyn Error + Send + Sync>;

/// What is drawn of an epoch.
pub struct EpochScores<'a> {
    /// 1-based.
    pub number: usize,
    /// Means over its steps.
    pub losses: &'a LossValues,
    /// Scores on the validation set.
    pub validation: &'a Scores,
    /// The share of right expressions there.
    pub accuracy: Option<f64>,
}

/// A named curve: an epoch and its value for each point.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws losses (left) and validation scores (right) by epoch as an SVG file.
///
/// # Errors
/// A file that cannot be written.
pub fn draw(path: &Path, epochs: &[EpochScores]) -> Result<(), TrainingError> {
    let curve = |name, value: &dyn Fn(&EpochScores) -> Option<f64>| Curve {
        name,
        points: epochs
            .iter()
            .filter_map(|epoch| Some((epoch.number as f64, value(epoch)?)))
            .collect(),
    };
    let losses = [
        curve("valence, arousal", &|r| r.losses.valence_arousal),
        curve("expressions", &|r| r.losses.expression),
        curve("action units", &|r| r.losses.action_units),
    ];
    let scores = [
        curve("CCC valence, arousal", &|r| r.validation.va),
        curve("F1 expressions", &|r| r.validation.expression),
        curve("F1 action units", &|r| r.validation.au),
        curve("expression accuracy", &|r| r.accuracy),
    ];
    let mut svg = String::new();
    drawn(&mut svg, &losses, &scores).map_err(TrainingError::Curves)?;
    write(path, svg.as_bytes())
}

fn drawn(svg: &mut String, losses: &[Curve], scores: &[Curve]) -> Result<(), DrawingError> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(boxed)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    chart(&left, "training loss", losses)?;
    chart(&right, "validation", scores)?;
    area.present().map_err(boxed)
}

fn chart(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    title: &str,
    curves: &[Curve],
) -> Result<(), DrawingError> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let epochs = points().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let highest = points().map(|(_, value)| *value).fold(0.1, f64::max);
    let lowest = points().map(|(_, value)| *value).fold(0.0, f64::min);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(44)
        .build_cartesian_2d(1.0..epochs, lowest..highest * 1.05)
        .map_err(boxed)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .light_line_style(WHITE)
        .draw()
        .map_err(boxed)?;
    for (curve, colour) in curves.iter().zip(COLOURS) {
        if curve.points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)).point_size(2))
            .map_err(boxed)?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperRight)
        .draw()
        .map_err(boxed)
}

fn boxed(error: impl Error + Send + Sync + 'static) -> DrawingError {
    error.into()
}
