//! Similarity transforms of the plane: rotation, scaling and translation, without reflection.

use super::{Landmarks, Point};

/// Sum of squared distances from their centroid, in square pixels, at which points count as one place:
/// below it their differences are rounding.
const LEAST_SPREAD: f64 = 1e-6;
/// Scale below which a transform counts as one without inverse.
const LEAST_SCALE: f64 = 1e-6;

/// Maps (x, y) to (a x - b y + x0, b x + a y + y0); a and b are not both 0, so there is an inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    a: f64,
    b: f64,
    x0: f64,
    y0: f64,
}

impl Similarity {
    /// The similarity that brings `from` closest to `to`, by the sum of squared distances; Umeyama's
    /// (IEEE PAMI 13(4), 1991) for the plane, in closed form. `None` if there is none that can be
    /// inverted: all points in one place, or one of them not finite.
    pub fn estimate(from: &Landmarks, to: &Landmarks) -> Option<Self> {
        let (from_x, from_y) = centroid(from);
        let (to_x, to_y) = centroid(to);
        let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
        for (p, q) in from.0.iter().zip(&to.0) {
            let (px, py) = (f64::from(p.x) - from_x, f64::from(p.y) - from_y);
            let (qx, qy) = (f64::from(q.x) - to_x, f64::from(q.y) - to_y);
            dot += px * qx + py * qy;
            cross += px * qy - py * qx;
            spread += px * px + py * py;
        }
        if spread.is_nan() || spread < LEAST_SPREAD {
            return None;
        }
        let (a, b) = (dot / spread, cross / spread);
        Self::new(
            a,
            b,
            to_x - a * from_x + b * from_y,
            to_y - b * from_x - a * from_y,
        )
    }

    /// The similarity that scales by `scale` and brings `from` to `to`; `None` if the scale is 0 or a
    /// number is not finite.
    pub fn scaling(scale: f64, from: Point, to: Point) -> Option<Self> {
        let x0 = f64::from(to.x) - scale * f64::from(from.x);
        let y0 = f64::from(to.y) - scale * f64::from(from.y);
        Self::new(scale, 0.0, x0, y0)
    }

    /// Turns by `angle` (radians, clockwise as a picture is seen) and scales by `scale` about the place
    /// (`centre`, `centre`), then moves by `shift`; `None` as for [`scaling`](Self::scaling).
    pub fn about(centre: f64, angle: f64, scale: f64, shift: (f64, f64)) -> Option<Self> {
        let (a, b) = (scale * angle.cos(), scale * angle.sin());
        let x0 = centre - a * centre + b * centre + shift.0;
        let y0 = centre - b * centre - a * centre + shift.1;
        Self::new(a, b, x0, y0)
    }

    fn new(a: f64, b: f64, x0: f64, y0: f64) -> Option<Self> {
        let invertible = a.hypot(b) > LEAST_SCALE && [a, b, x0, y0].into_iter().all(f64::is_finite);
        invertible.then_some(Self { a, b, x0, y0 })
    }

    /// This transform, and then a scaling by `factor`, above 0, about the place (0, 0).
    pub fn scaled(&self, factor: f64) -> Self {
        let Self { a, b, x0, y0 } = *self;
        Self {
            a: factor * a,
            b: factor * b,
            x0: factor * x0,
            y0: factor * y0,
        }
    }

    /// Where a place (x, y) goes.
    pub fn apply(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.a * x - self.b * y + self.x0,
            self.b * x + self.a * y + self.y0,
        )
    }

    /// The way back.
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self {
            a,
            b,
            x0: b * self.y0 - a * self.x0,
            y0: -b * self.x0 - a * self.y0,
        }
    }

    /// The rows of the 2x3 matrix, to be multiplied with (x, y, 1).
    pub fn matrix(&self) -> [[f64; 3]; 2] {
        [[self.a, -self.b, self.x0], [self.b, self.a, self.y0]]
    }

    /// How badly `from` fits `to` after the transform: the sum of the five distances in pixels.
    pub fn misfit(&self, from: &Landmarks, to: &Landmarks) -> f64 {
        let distance = |(p, q): (&Point, &Point)| {
            let (x, y) = self.apply((f64::from(p.x), f64::from(p.y)));
            (x - f64::from(q.x)).hypot(y - f64::from(q.y))
        };
        from.0.iter().zip(&to.0).map(distance).sum()
    }
}

fn centroid(landmarks: &Landmarks) -> (f64, f64) {
    let sum =
        |coordinate: fn(&Point) -> f32| landmarks.0.iter().map(|p| f64::from(coordinate(p))).sum::<f64>();
    (sum(|p| p.x) / 5.0, sum(|p| p.y) / 5.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::face::template::Template;

    fn landmarks() -> impl Strategy<Value = Landmarks> {
        prop::array::uniform5((-2000f32..2000.0, -2000f32..2000.0).prop_map(|(x, y)| Point { x, y }))
            .prop_map(Landmarks)
    }

    /// Any bit pattern: infinities, NaNs, denormals.
    fn any_landmarks() -> impl Strategy<Value = Landmarks> {
        prop::array::uniform5(any::<(u32, u32)>().prop_map(|(x, y)| Point {
            x: f32::from_bits(x),
            y: f32::from_bits(y),
        }))
        .prop_map(Landmarks)
    }

    proptest! {
        #[test]
        fn a_similar_figure_is_brought_back(angle in -3.2f64..3.2, scale in 0.05f64..20.0, x0 in -500f64..500.0, y0 in -500f64..500.0) {
            let moved = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), x0, y0 };
            let template = Template::Frontal.landmarks();
            let from = Landmarks(template.0.map(|p| {
                let (x, y) = moved.apply((f64::from(p.x), f64::from(p.y)));
                Point { x: x as f32, y: y as f32 }
            }));
            let back = Similarity::estimate(&from, &template).unwrap();
            prop_assert!(back.misfit(&from, &template) < 1e-3 / scale.min(1.0));
        }

        #[test]
        fn no_similarity_nearby_fits_better(from in landmarks(), nudge in prop::array::uniform4(-1e-2f64..1e-2)) {
            let to = Template::Left.landmarks();
            let squares = |s: &Similarity| from.0.iter().zip(&to.0).map(|(p, q)| {
                let (x, y) = s.apply((f64::from(p.x), f64::from(p.y)));
                (x - f64::from(q.x)).powi(2) + (y - f64::from(q.y)).powi(2)
            }).sum::<f64>();
            if let Some(best) = Similarity::estimate(&from, &to) {
                let other = Similarity { a: best.a + nudge[0], b: best.b + nudge[1], x0: best.x0 + nudge[2], y0: best.y0 + nudge[3] };
                prop_assert!(squares(&best) <= squares(&other) + 1e-6);
            }
        }

        #[test]
        fn the_inverse_leads_back(from in landmarks(), x in -200f64..200.0, y in -200f64..200.0) {
            if let Some(there) = Similarity::estimate(&from, &Template::Frontal.landmarks()) {
                let (u, v) = there.apply(there.inverse().apply((x, y)));
                prop_assert!((u - x).abs() < 1e-5 && (v - y).abs() < 1e-5, "{u} {v}");
            }
        }

        #[test]
        fn an_estimate_is_finite_or_none(from in any_landmarks()) {
            if let Some(found) = Similarity::estimate(&from, &Template::Frontal.landmarks()) {
                prop_assert!(found.matrix().as_flattened().iter().all(|value| value.is_finite()));
                prop_assert!(found.inverse().matrix().as_flattened().iter().all(|value| value.is_finite()));
            }
        }
    }

    #[test]
    fn points_in_one_place_have_no_similarity() {
        for place in [0.0, 50.0, 50.1, -1234.567] {
            let from = Landmarks(
                [Point {
                    x: place,
                    y: place / 3.0,
                }; 5],
            );
            assert_eq!(Similarity::estimate(&from, &Template::Frontal.landmarks()), None);
        }
    }
}
