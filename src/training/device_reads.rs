//! Numbers that are read from the device. Each read waits for it, so that there are few.

use tch::{Kind, TchError, Tensor};

/// Scalars as numbers, in one read.
///
/// # Errors
/// libtorch's.
pub fn read_scalars<'a>(scalars: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<f64>, TchError> {
    let doubles = scalars
        .into_iter()
        .map(|scalar| scalar.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([1]))
        .collect::<Result<Vec<Tensor>, TchError>>()?;
    if doubles.is_empty() {
        return Ok(Vec::new());
    }
    Vec::try_from(Tensor::f_cat(&doubles, 0)?)
}

/// Whether all numbers of all `f32` tensors are finite, in one read. A sum in double precision is finite exactly if all
/// its terms are: it cannot overflow.
///
/// # Errors
/// libtorch's.
pub fn all_finite<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<bool, TchError> {
    let sums = tensors
        .into_iter()
        .map(|tensor| tensor.f_sum(Kind::Double))
        .collect::<Result<Vec<Tensor>, TchError>>()?;
    Ok(read_scalars(&sums)?.into_iter().all(f64::is_finite))
}

/// The sum of the squares of all numbers of all tensors, in one read.
///
/// # Errors
/// libtorch's.
pub fn sum_of_squares<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<f64, TchError> {
    let squares = tensors
        .into_iter()
        .map(|tensor| tensor.f_square()?.f_sum(Kind::Double))
        .collect::<Result<Vec<Tensor>, TchError>>()?;
    Ok(read_scalars(&squares)?.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_that_is_not_finite_is_found() {
        let large = Tensor::from_slice(&[f32::MAX, f32::MAX, -1.0]);
        assert!(all_finite([&large, &large]).unwrap());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!all_finite([&large, &Tensor::from_slice(&[0.0, bad])]).unwrap());
        }
        let both = Tensor::from_slice(&[f32::INFINITY, f32::NEG_INFINITY]);
        assert!(!all_finite([&both]).unwrap());
        assert!(all_finite([]).unwrap());
    }

    #[test]
    fn squares_of_all_tensors_are_added() {
        let tensors = [
            Tensor::from_slice(&[1f32, 2.0]),
            Tensor::from_slice(&[[3f32]].concat()),
        ];
        assert_eq!(sum_of_squares(&tensors).unwrap(), 14.0);
    }
}
