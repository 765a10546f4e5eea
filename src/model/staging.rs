//! Buffers of bytes on their way to a device, used again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

/// Buffers for devices of one kind. For GPUs they lie in page-locked memory, from which a copy runs beside what the
/// device still computes.
#[derive(Debug)]
pub struct StagingPool {
    device: Device,
    buffers: Mutex<Buffers>,
}

/// No more buffers are kept than were in use at once, so that memory does not grow with the number of their sizes.
#[derive(Debug, Default)]
struct Buffers {
    /// The one freed last stands last.
    free: Vec<Tensor>,
    in_use: usize,
    most_in_use: usize,
}

impl Buffers {
    /// Drops the buffers that were freed first, whose size may be wanted no more.
    fn shrink(&mut self) {
        let kept = self.most_in_use - self.in_use;
        let surplus = self.free.len().saturating_sub(kept);
        self.free.drain(..surplus);
    }
}

/// One buffer; it goes back to its pool when dropped.
#[derive(Debug)]
pub struct Staging {
    pool: Arc<StagingPool>,
    /// `u8`, one dimension. `None` only while it is made and dropped.
    bytes: Option<Tensor>,
    len: usize,
}

impl StagingPool {
    /// A pool without buffers, for `device` and others of its kind.
    pub fn new(device: Device) -> Arc<Self> {
        Arc::new(Self {
            device,
            buffers: Mutex::default(),
        })
    }

    /// A buffer of `len` bytes with anything in it.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn take(self: &Arc<Self>, len: usize) -> Result<Staging, TchError> {
        let mut buffers = self.buffers();
        let known = buffers.free.iter().rposition(|bytes| bytes.numel() == len);
        let known = known.map(|at| buffers.free.remove(at));
        buffers.in_use += 1;
        buffers.most_in_use = buffers.most_in_use.max(buffers.in_use);
        buffers.shrink();
        drop(buffers);
        let mut staging = Staging {
            pool: Arc::clone(self),
            bytes: known,
            len,
        };
        if staging.bytes.is_none() {
            let bytes = Tensor::f_empty([len as i64], (Kind::Uint8, Device::Cpu))?;
            staging.bytes = Some(match self.device.is_cuda() {
                // The public `pin_memory` warns about its own device argument.
                true => bytes.f_internal_pin_memory(self.device)?,
                false => bytes,
            });
        }
        Ok(staging)
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staging {
    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let data = self
            .bytes
            .as_ref()
            .map_or(std::ptr::NonNull::dangling().as_ptr(), |bytes| {
                bytes.data_ptr().cast::<u8>()
            });
        // SAFETY: a contiguous `u8` tensor in the host's memory of `len` bytes. A view of it that `as_floats` gave is used by
        // a pass, which keeps the buffer to its end.
        unsafe { std::slice::from_raw_parts_mut(data, self.len) }
    }

    /// Hashes of equal parts, each of its length and of each 16th group of 8 bytes.
    pub fn fingerprints(&self, parts: usize) -> Vec<u64> {
        const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
        let fingerprint = |part: &[u8]| {
            let groups = part.as_chunks::<8>().0.iter().step_by(16);
            groups.fold(part.len() as u64, |hash, group| {
                (hash.rotate_left(23) ^ u64::from_le_bytes(*group)).wrapping_mul(PRIME)
            })
        };
        let length = (self.len / parts.max(1)).max(1);
        self.bytes().chunks_exact(length).map(fingerprint).collect()
    }

    fn bytes(&self) -> &[u8] {
        let data = self
            .bytes
            .as_ref()
            .map_or(std::ptr::NonNull::dangling().as_ptr(), |bytes| {
                bytes.data_ptr().cast::<u8>()
            });
        // SAFETY: a contiguous `u8` tensor in the host's memory of `len` bytes, which nothing writes meanwhile: that takes
        // `&mut self`.
        unsafe { std::slice::from_raw_parts(data, self.len) }
    }

    /// The bytes as numbers, to be written. The length must be a multiple of 4.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: any four bytes are a number.
        let (before, floats, after) = unsafe { self.bytes_mut().align_to_mut() };
        debug_assert!(
            before.is_empty() && after.is_empty(),
            "libtorch aligns to 64 bytes"
        );
        floats
    }

    /// The bytes as numbers of this shape, without a copy: the buffer must be kept as long as the tensor.
    ///
    /// # Errors
    /// libtorch's, if the shape does not fit.
    pub fn as_floats(&self, shape: &[i64]) -> Result<Tensor, TchError> {
        let empty = Tensor::new();
        let bytes = self.bytes.as_ref().unwrap_or(&empty);
        bytes.f_view_dtype(Kind::Float)?.f_view(shape)
    }

    /// Gives the bytes to a device of the pool's kind as a tensor of this shape. On a GPU the copy may still run: the buffer must
    /// be kept until something that was computed from it has been read.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn on_device(&self, device: Device, shape: &[i64]) -> Result<Tensor, TchError> {
        let empty = Tensor::new();
        let bytes = self.bytes.as_ref().unwrap_or(&empty);
        // A copy on a CPU, too.
        bytes
            .f_to_device_(device, Kind::Uint8, device.is_cuda(), true)?
            .f_view(shape)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let mut buffers = self.pool.buffers();
        buffers.in_use -= 1;
        buffers.free.extend(self.bytes.take());
        buffers.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_come_to_the_device() {
        let pool = StagingPool::new(Device::Cpu);
        let mut buffer = pool.take(6).unwrap();
        buffer.bytes_mut().copy_from_slice(&[1, 2, 3, 4, 5, 6]);
        let address = buffer.bytes_mut().as_ptr();
        let tensor = buffer.on_device(Device::Cpu, &[2, 3]).unwrap();
        assert_eq!(Vec::<Vec<u8>>::try_from(&tensor).unwrap(), [[1, 2, 3], [4, 5, 6]]);
        drop(buffer);
        let mut other = pool.take(6).unwrap();
        assert_eq!(other.bytes_mut().as_ptr(), address);
        other.bytes_mut().fill(0);
        assert_eq!(Vec::<Vec<u8>>::try_from(&tensor).unwrap(), [[1, 2, 3], [4, 5, 6]]);
        assert_ne!(pool.take(6).unwrap().bytes_mut().as_ptr(), address);
    }

    #[test]
    fn many_sizes_take_no_more_memory_than_was_in_use_at_once() {
        let pool = StagingPool::new(Device::Cpu);
        let two = [pool.take(100).unwrap(), pool.take(100).unwrap()];
        drop(two);
        for len in 1..20 {
            let buffer = pool.take(len).unwrap();
            assert_eq!((pool.buffers().free.len(), buffer.len), (1, len));
        }
        assert_eq!(pool.buffers().free.len(), 2);
        let sizes: Vec<usize> = pool.buffers().free.iter().map(Tensor::numel).collect();
        assert_eq!(sizes, [18, 19]);
    }
}
