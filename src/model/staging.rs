//! Buffers of bytes on their way to a device, used again and again.

use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

/// Buffers that are not in use are kept, at most so many.
const KEPT: usize = 16;

/// Buffers for devices of one kind. For GPUs they lie in page-locked memory, from which a copy runs beside what the
/// device still computes.
#[derive(Debug)]
pub struct StagingPool {
    device: Device,
    free: Mutex<Vec<Tensor>>,
}

/// One buffer; it goes back to its pool when dropped.
#[derive(Debug)]
pub struct Staging {
    pool: Arc<StagingPool>,
    /// `u8`, one dimension. `None` only while it is dropped.
    bytes: Option<Tensor>,
    len: usize,
}

impl StagingPool {
    /// A pool without buffers, for `device` and others of its kind.
    pub fn new(device: Device) -> Arc<Self> {
        Arc::new(Self {
            device,
            free: Mutex::new(Vec::new()),
        })
    }

    /// A buffer of `len` bytes with anything in it.
    ///
    /// # Errors
    /// libtorch's, for want of memory.
    pub fn take(self: &Arc<Self>, len: usize) -> Result<Staging, TchError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let known = free.iter().position(|bytes| bytes.numel() == len);
        let known = known.map(|at| free.swap_remove(at));
        drop(free);
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let bytes = Tensor::f_empty([len as i64], (Kind::Uint8, Device::Cpu))?;
                match self.device.is_cuda() {
                    // The public `pin_memory` warns about its own device argument.
                    true => bytes.f_internal_pin_memory(self.device)?,
                    false => bytes,
                }
            }
        };
        Ok(Staging {
            pool: Arc::clone(self),
            bytes: Some(bytes),
            len,
        })
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

    /// A hash of the length and of each 16th group of 8 bytes.
    pub fn fingerprint(&self) -> u64 {
        const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
        let groups = self.bytes().as_chunks::<8>().0.iter().step_by(16);
        groups.fold(self.len as u64, |hash, group| {
            (hash.rotate_left(23) ^ u64::from_le_bytes(*group)).wrapping_mul(PRIME)
        })
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
        if let Some(bytes) = self.bytes.take() {
            let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() == KEPT {
                // The oldest is of a size that is wanted no more.
                drop(free.remove(0));
            }
            free.push(bytes);
        }
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
}
