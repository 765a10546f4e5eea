//! What tch does not offer of CUDA: events, the current device, memory, TF32.
//!
//! The functions are looked up by name in libraries that are loaded already: libtorch, and the CUDA runtime that came
//! with its CUDA half ([`crate::device`]).

use std::ffi::{c_int, c_void};

use libloading::os::unix::{Library, Symbol};

/// A function of CUDA's runtime failed or is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// A function is not in the loaded libraries.
    #[error("{0} is in none of the loaded libraries")]
    NoFunction(&'static str),
    /// A function reports an error.
    #[error("{function} failed with CUDA error {code}")]
    Failed {
        /// Its name.
        function: &'static str,
        /// CUDA's number of the error.
        code: i32,
    },
}

/// Looks a function up.
///
/// # Safety
/// `F` must be the function's type.
unsafe fn function<F>(name: &'static str) -> Result<Symbol<F>, CudaError> {
    // SAFETY: the caller vouches for the type.
    unsafe { Library::this().get::<F>(name.as_bytes()) }.map_err(|_| CudaError::NoFunction(name))
}

fn checked(function: &'static str, code: c_int) -> Result<(), CudaError> {
    match code {
        0 => Ok(()),
        code => Err(CudaError::Failed { function, code }),
    }
}

/// Returns the number of devices.
///
/// # Errors
/// [`CudaError::Failed`] with code 35 if the driver is missing or too old, with 100 without a device.
pub fn device_count() -> Result<usize, CudaError> {
    Ok(number("cudaGetDeviceCount")?.try_into().unwrap_or(0))
}

/// Returns the newest version of CUDA that the driver supports, for example 13000 for 13.0; 0 without a driver.
///
/// # Errors
/// [`CudaError::NoFunction`] without libtorch's CUDA library.
pub fn driver_version() -> Result<i32, CudaError> {
    number("cudaDriverGetVersion")
}

/// Calls a function that only writes a number.
fn number(name: &'static str) -> Result<c_int, CudaError> {
    // SAFETY: both callers name functions of this signature.
    let ask = unsafe { function::<unsafe extern "C" fn(*mut c_int) -> c_int>(name) }?;
    let mut number = 0;
    // SAFETY: the number outlives the call.
    checked(name, unsafe { ask(&mut number) })?;
    Ok(number)
}

/// Makes a device, 0-based, the calling thread's current one.
///
/// # Errors
/// [`CudaError`] without such a device.
pub fn set_current_device(number: usize) -> Result<(), CudaError> {
    const NAME: &str = "cudaSetDevice";
    // SAFETY: the signature is the CUDA runtime's.
    let set = unsafe { function::<unsafe extern "C" fn(c_int) -> c_int>(NAME) }?;
    // SAFETY: any number is allowed; an unknown device is an error code.
    checked(NAME, unsafe { set(number as c_int) })
}

/// Bytes of memory of the current device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Not in use.
    pub free: usize,
    /// All of it.
    pub total: usize,
}

/// Free and total memory of the current device.
///
/// # Errors
/// [`CudaError`] without a device that works.
pub fn memory() -> Result<DeviceMemory, CudaError> {
    const NAME: &str = "cudaMemGetInfo";
    // SAFETY: the signature is the CUDA runtime's.
    let ask = unsafe { function::<unsafe extern "C" fn(*mut usize, *mut usize) -> c_int>(NAME) }?;
    let mut memory = DeviceMemory { free: 0, total: 0 };
    // SAFETY: both places outlive the call.
    checked(NAME, unsafe { ask(&mut memory.free, &mut memory.total) })?;
    Ok(memory)
}

/// A point in the work that was given to a device: all that was given before it.
#[derive(Debug)]
pub struct Event(*mut c_void);

// SAFETY: CUDA's events may be used from any thread.
unsafe impl Send for Event {}

impl Event {
    /// The point behind everything that was given to the default stream of a device, 0-based, which becomes this
    /// thread's current one.
    ///
    /// # Errors
    /// [`CudaError`] without a device that works.
    pub fn record(device: usize) -> Result<Self, CudaError> {
        const CREATE: &str = "cudaEventCreateWithFlags";
        const RECORD: &str = "cudaEventRecord";
        /// The waiting thread sleeps; no times are taken.
        const BLOCKING_WITHOUT_TIMING: u32 = 1 | 2;
        // SAFETY: the signatures are the CUDA runtime's.
        let (create, record) = unsafe {
            (
                function::<unsafe extern "C" fn(*mut *mut c_void, u32) -> c_int>(CREATE)?,
                function::<unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int>(RECORD)?,
            )
        };
        // An event is of the device that is current when it is made.
        set_current_device(device)?;
        let mut event = Self(std::ptr::null_mut());
        // SAFETY: the place outlives the call.
        checked(CREATE, unsafe { create(&mut event.0, BLOCKING_WITHOUT_TIMING) })?;
        // SAFETY: the event was made just now; a null stream is the default one, which libtorch uses.
        checked(RECORD, unsafe { record(event.0, std::ptr::null_mut()) })?;
        Ok(event)
    }

    /// Waits until the device has come to it.
    ///
    /// # Errors
    /// [`CudaError`] if the work before it failed.
    pub fn wait(&self) -> Result<(), CudaError> {
        const NAME: &str = "cudaEventSynchronize";
        // SAFETY: the signature is the CUDA runtime's.
        let wait = unsafe { function::<unsafe extern "C" fn(*mut c_void) -> c_int>(NAME) }?;
        // SAFETY: the event lives.
        checked(NAME, unsafe { wait(self.0) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.0.is_null() {
            return;
        }
        // SAFETY: the signature is the CUDA runtime's.
        if let Ok(destroy) =
            unsafe { function::<unsafe extern "C" fn(*mut c_void) -> c_int>("cudaEventDestroy") }
        {
            // SAFETY: the event was made and is destroyed once.
            unsafe { destroy(self.0) };
        }
    }
}

/// Whether convolutions and matrix products of `f32` may use TF32 on a GPU: 10 bits of mantissa in place of 23, for
/// the whole process. libtorch allows it to convolutions unless told otherwise.
///
/// # Errors
/// [`CudaError::NoFunction`] if this libtorch has no such switch.
pub fn allow_tf32(allowed: bool) -> Result<(), CudaError> {
    // C++ names of at::globalContext() and two methods of at::Context.
    const CONTEXT: &str = "_ZN2at13globalContextEv";
    type Context = unsafe extern "C" fn() -> *mut c_void;
    type Switch = unsafe extern "C" fn(*mut c_void, bool);
    // SAFETY: under the Itanium C++ ABI a function that returns a reference returns a pointer, and a method takes its
    // object as the first argument.
    let context = unsafe { function::<Context>(CONTEXT) }?;
    for name in [
        "_ZN2at7Context17setAllowTF32CuDNNEb",
        "_ZN2at7Context18setAllowTF32CuBLASEb",
    ] {
        // SAFETY: as above.
        let switch = unsafe { function::<Switch>(name) }?;
        // SAFETY: the context lives as long as the process.
        unsafe { switch(context(), allowed) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_has_the_switch_for_tf32() {
        allow_tf32(true).unwrap();
        allow_tf32(false).unwrap();
    }

    #[test]
    fn without_a_gpu_each_call_is_an_error() {
        if !tch::Cuda::is_available() {
            assert!(
                Event::record(0).is_err()
                    && memory().is_err()
                    && set_current_device(0).is_err()
                    && device_count().is_err()
            );
        }
    }
}
