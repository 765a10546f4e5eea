//! Element-wise work on maps that lie in a CPU's memory with their channels last, each in one pass.
//!
//! libtorch's own operators would do the same in two passes or more, with a map allocated for each; that took
//! nearly half of the network's time (`docs/benchmarks.md`).

use half::bf16;
use pulp::Arch;
use tch::{Device, Kind, TchError, Tensor};

/// A number format of maps; computed with in `f32`.
pub(super) trait Number: Copy {
    const KIND: Kind;
    fn value(self) -> f32;
    fn of(value: f32) -> Self;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
}

impl Number for bf16 {
    const KIND: Kind = Kind::BFloat16;

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// To the nearest, of two to the even one. The crate's own treats NaN apart, which keeps the compiler from
    /// vector instructions; a NaN that comes of numbers in bf16 stays one here, since its low bits are zero.
    #[inline(always)]
    fn of(value: f32) -> Self {
        let bits = value.to_bits();
        bf16::from_bits((bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

/// PReLU in place, with a slope for each channel.
pub(super) fn prelu(map: Tensor, slope: &Tensor) -> Result<Tensor, TchError> {
    match map.kind() {
        Kind::BFloat16 => prelu_of::<bf16>(map, slope),
        _ => prelu_of::<f32>(map, slope),
    }
}

/// PReLU with a slope for each channel, the output cut into maps of so many channels.
pub(super) fn prelu_apart(map: &Tensor, slope: &Tensor, shares: &[i64]) -> Result<Vec<Tensor>, TchError> {
    match map.kind() {
        Kind::BFloat16 => prelu_apart_of::<bf16>(map, slope, shares),
        _ => prelu_apart_of::<f32>(map, slope, shares),
    }
}

/// Means of the rows and of the columns of maps `[N, C, H, W]` that follow each other in their channels:
/// `[N, C, H + W, 1]` in `f32`, the rows first.
pub(super) fn pool(maps: &[Tensor]) -> Result<Tensor, TchError> {
    match maps.first().map(Tensor::kind) {
        Some(Kind::BFloat16) => pool_of::<bf16>(maps),
        _ => pool_of::<f32>(maps),
    }
}

/// Maps `[N, C, H, W]` that follow each other in their channels, as one, times gates `[N, C, H + W, 1]` in
/// `f32`, those of the rows first.
pub(super) fn gate(maps: &[Tensor], gates: &Tensor) -> Result<Tensor, TchError> {
    match maps.first().map(Tensor::kind) {
        Some(Kind::BFloat16) => gate_of::<bf16>(maps, gates),
        _ => gate_of::<f32>(maps, gates),
    }
}

#[inline(always)]
fn prelu_of_number<T: Number>(x: T, slope: T) -> T {
    let x = x.value();
    T::of(if x > 0.0 { x } else { x * slope.value() })
}

fn prelu_of<T: Number>(mut map: Tensor, slope: &Tensor) -> Result<Tensor, TchError> {
    let channels = map.size4()?.1 as usize;
    let slopes = values::<T>(slope)?;
    let map_values = values_mut::<T>(&mut map)?;
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for pixel in map_values.chunks_exact_mut(channels) {
                for (value, slope) in pixel.iter_mut().zip(slopes) {
                    *value = prelu_of_number(*value, *slope);
                }
            }
        },
    );
    Ok(map)
}

fn prelu_apart_of<T: Number>(map: &Tensor, slope: &Tensor, shares: &[i64]) -> Result<Vec<Tensor>, TchError> {
    let Sizes {
        batch,
        channels,
        height,
        width,
    } = Sizes::of(std::slice::from_ref(map))?;
    let (pixels, slopes) = (values::<T>(map)?, values::<T>(slope)?);
    let mut first = 0;
    let cut = |&share: &i64| {
        let share = share as usize;
        let mut apart = empty::<T>(batch, share, height, width)?;
        let places = values_mut::<T>(&mut apart)?.chunks_exact_mut(share);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let slopes = &slopes[first..][..share];
                for (pixel, place) in pixels.chunks_exact(channels).zip(places) {
                    let pixel = &pixel[first..][..share];
                    for ((value, pixel), slope) in place.iter_mut().zip(pixel).zip(slopes) {
                        *value = prelu_of_number(*pixel, *slope);
                    }
                }
            },
        );
        first += share;
        Ok(apart)
    };
    shares.iter().map(cut).collect()
}

fn pool_of<T: Number>(maps: &[Tensor]) -> Result<Tensor, TchError> {
    let Sizes {
        batch,
        channels,
        height,
        width,
    } = Sizes::of(maps)?;
    let mut pools = empty::<f32>(batch, channels, height + width, 1)?;
    let all = values_mut::<f32>(&mut pools)?;
    let mut first = 0;
    for map in maps {
        let share = map.size4()?.1 as usize;
        let pixels = values::<T>(map)?;
        let mut row_sum = vec![0.0f32; share];
        let mut column_sums = vec![0.0f32; width * share];
        let pictures = pixels.chunks_exact(height * width * share);
        let pools = all.chunks_exact_mut((height + width) * channels);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (picture, pools) in pictures.zip(pools) {
                    let mut pools = pools
                        .chunks_exact_mut(channels)
                        .map(|pool| &mut pool[first..][..share]);
                    column_sums.fill(0.0);
                    for (row, pool) in picture.chunks_exact(width * share).zip(&mut pools) {
                        row_sum.fill(0.0);
                        let columns = column_sums.chunks_exact_mut(share);
                        for (pixel, column_sum) in row.chunks_exact(share).zip(columns) {
                            for ((value, row), column) in pixel.iter().zip(&mut row_sum).zip(column_sum) {
                                let value = value.value();
                                *row += value;
                                *column += value;
                            }
                        }
                        for (pool, sum) in pool.iter_mut().zip(&row_sum) {
                            *pool = sum / width as f32;
                        }
                    }
                    for (sums, pool) in column_sums.chunks_exact(share).zip(&mut pools) {
                        for (pool, sum) in pool.iter_mut().zip(sums) {
                            *pool = sum / height as f32;
                        }
                    }
                }
            },
        );
        first += share;
    }
    Ok(pools)
}

fn gate_of<T: Number>(maps: &[Tensor], gates: &Tensor) -> Result<Tensor, TchError> {
    let Sizes {
        batch,
        channels,
        height,
        width,
    } = Sizes::of(maps)?;
    let gates = values::<f32>(gates)?;
    let mut gated = empty::<T>(batch, channels, height, width)?;
    let all = values_mut::<T>(&mut gated)?;
    let mut first = 0;
    for map in maps {
        let share = map.size4()?.1 as usize;
        let pixels = values::<T>(map)?;
        let pictures = pixels.chunks_exact(height * width * share);
        let gated = all.chunks_exact_mut(height * width * channels);
        let gates = gates.chunks_exact((height + width) * channels);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((picture, gated), gates) in pictures.zip(gated).zip(gates) {
                    let (rows, columns) = gates.split_at(height * channels);
                    let lines = picture.chunks_exact(width * share);
                    let gated = gated.chunks_exact_mut(width * channels);
                    for ((line, gated), row) in lines.zip(gated).zip(rows.chunks_exact(channels)) {
                        let row = &row[first..][..share];
                        let places = line.chunks_exact(share).zip(gated.chunks_exact_mut(channels));
                        for ((pixel, gated), column) in places.zip(columns.chunks_exact(channels)) {
                            let (gated, column) = (&mut gated[first..][..share], &column[first..][..share]);
                            for (((gated, pixel), column), row) in
                                gated.iter_mut().zip(pixel).zip(column).zip(row)
                            {
                                *gated = T::of(pixel.value() * column * row);
                            }
                        }
                    }
                }
            },
        );
        first += share;
    }
    Ok(gated)
}

/// The sizes of maps side by side.
struct Sizes {
    batch: usize,
    /// Of all maps.
    channels: usize,
    height: usize,
    width: usize,
}

impl Sizes {
    fn of(maps: &[Tensor]) -> Result<Self, TchError> {
        let mut sizes = Self {
            batch: 0,
            channels: 0,
            height: 0,
            width: 0,
        };
        for map in maps {
            let (batch, channels, height, width) = map.size4()?;
            sizes = Self {
                batch: batch as usize,
                channels: sizes.channels + channels as usize,
                height: height as usize,
                width: width as usize,
            };
        }
        Ok(sizes)
    }
}

/// `[N, C, H, W]`, channels last, not yet filled.
pub(super) fn empty<T: Number>(
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Tensor, TchError> {
    let shape = [batch, height, width, channels].map(|size| size as i64);
    Tensor::f_empty(shape, (T::KIND, Device::Cpu))?.f_permute([0, 3, 1, 2])
}

/// A tensor's numbers as they lie in memory.
pub(super) fn values<T: Number>(tensor: &Tensor) -> Result<&[T], TchError> {
    check::<T>(tensor)?;
    // SAFETY: the tensor lies densely in this process's memory and has the format T (checked above), whose
    // bit patterns are all valid; it outlives the slice, and nobody writes to a map while it is looked at.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

/// The numbers of a tensor that nobody else holds.
pub(super) fn values_mut<T: Number>(tensor: &mut Tensor) -> Result<&mut [T], TchError> {
    check::<T>(tensor)?;
    // SAFETY: as in `values`; callers pass what an operator has just made, so no other tensor shares it. What
    // `empty` made holds whatever numbers libtorch's memory held.
    Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) })
}

/// Refuses what is not on the CPU, of another format, or does not lie densely with its channels last.
fn check<T: Number>(tensor: &Tensor) -> Result<(), TchError> {
    let lies_well = match tensor.dim() {
        4 => tensor.f_permute([0, 2, 3, 1])?.is_contiguous(),
        _ => tensor.is_contiguous(),
    };
    match tensor.device() == Device::Cpu && tensor.kind() == T::KIND && lies_well {
        true => Ok(()),
        false => Err(TchError::Kind(format!(
            "a map of kind {:?} on {:?}, dense with channels last: {lies_well}; needed: {:?} on the CPU",
            tensor.kind(),
            tensor.device(),
            T::KIND
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::channels_last;
    use super::*;

    fn random(shape: [i64; 4], kind: Kind) -> Tensor {
        let numbers = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
        channels_last(&numbers).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!((a.size(), a.kind()), (b.size(), b.kind()));
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
            .abs()
            .max()
            .double_value(&[])
    }

    /// Shares as in the network, one of them of no multiple of a vector's length.
    fn maps(kind: Kind) -> Vec<Tensor> {
        [96, 32, 170]
            .map(|channels| random([3, channels, 7, 5], kind))
            .into()
    }

    #[test]
    fn prelu_is_that_of_libtorch() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let map = random([2, 170, 7, 7], kind);
            let slope = Tensor::randn([170], (Kind::Float, Device::Cpu)).to_kind(kind);
            let expected = map.prelu(&slope);
            assert_eq!(difference(&prelu(map.copy(), &slope).unwrap(), &expected), 0.0);
            let apart = prelu_apart(&map, &slope, &[128, 42]).unwrap();
            assert_eq!(
                apart.iter().map(|map| map.size()[1]).collect::<Vec<_>>(),
                [128, 42]
            );
            assert_eq!(difference(&Tensor::cat(&apart, 1), &expected), 0.0);
        }
    }

    #[test]
    fn pools_are_means_of_rows_and_columns() {
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 1e-2)] {
            let maps = maps(kind);
            let all = Tensor::cat(&maps, 1);
            let rows = all.mean_dim([3].as_slice(), true, None);
            let columns = all.mean_dim([2].as_slice(), true, None).transpose(2, 3);
            let expected = Tensor::cat(&[rows, columns], 2).to_kind(Kind::Float);
            let found = difference(&pool(&maps).unwrap(), &expected);
            assert!(found <= tolerance, "{kind:?} {found:e}");
        }
    }

    #[test]
    fn gates_multiply_the_maps_side_by_side() {
        for (kind, tolerance) in [(Kind::Float, 0.0), (Kind::BFloat16, 3e-2)] {
            let maps = maps(kind);
            let gates = random([3, 298, 12, 1], Kind::Float);
            let (rows, columns) = (gates.narrow(2, 0, 7), gates.narrow(2, 7, 5).transpose(2, 3));
            let expected = (Tensor::cat(&maps, 1) * columns * rows).to_kind(kind);
            let found = difference(&gate(&maps, &gates).unwrap(), &expected);
            assert!(found <= tolerance, "{kind:?} {found:e}");
        }
    }

    #[test]
    fn bf16_is_rounded_as_libtorch_rounds() {
        let mut numbers: Vec<f32> = (0..20_000)
            .map(|i| f32::from_bits(i * 214_013 + 17))
            .filter(|number| !number.is_nan())
            .collect();
        numbers.extend([f32::NAN, f32::INFINITY, f32::MAX, -0.0, f32::MIN_POSITIVE]);
        let theirs = Tensor::from_slice(&numbers).to_kind(Kind::BFloat16);
        let theirs = values::<bf16>(&theirs).unwrap();
        for (number, theirs) in numbers.into_iter().zip(theirs) {
            let ours = <bf16 as Number>::of(number);
            assert!(
                ours == *theirs || (ours.is_nan() && theirs.is_nan()),
                "{number:e}: {ours} {theirs}"
            );
        }
    }

    #[test]
    fn what_lies_otherwise_is_refused() {
        let slope = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let rows_last = Tensor::zeros([1, 2, 3, 3], (Kind::Float, Device::Cpu));
        let error = prelu(rows_last, &slope).unwrap_err().to_string();
        assert!(error.contains("channels last: false"), "{error}");
        assert!(prelu(random([1, 2, 3, 3], Kind::Double), &slope).is_err());
    }
}
