//! Where networks run: the choice of a device, libtorch's CUDA half, and what this machine offers.
//!
//! The linker drops `libtorch_cuda.so` from the executable, since no symbol of it is used by
//! name; it is loaded here, from beside `libtorch_cpu.so`. libtorch looks for CUDA once, so
//! [`DeviceChoice::resolve`] or [`Probe::run`] must come before any other use of libtorch.

use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, Kind, TchError, Tensor};
use thiserror::Error;

use crate::cuda;

/// The library that holds libtorch's CUDA operators.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// A wish for a device: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device, or else the CPU.
    #[default]
    Auto,
    Cpu,
    /// A CUDA device by number, 0-based.
    Cuda(usize),
}

/// Why a device cannot be used. Each prints as one line that says what to do.
#[derive(Debug, Error)]
pub enum DeviceError {
    #[error("unknown device `{0}`: use auto, cpu, cuda or cuda:N")]
    Unknown(String),
    #[error(
        "libtorch is {found}, this program needs {}: build it against that one",
        LibtorchVersion::NEEDED
    )]
    WrongLibtorch { found: String },
    #[error("{problem}: {}, or use --device cpu", .problem.remedy())]
    Cuda {
        #[from]
        problem: CudaProblem,
    },
}

/// Why CUDA cannot be used.
#[derive(Debug, Error)]
pub enum CudaProblem {
    /// With the dynamic linker's reason.
    #[error("libtorch's CUDA half does not load ({0})")]
    NoLibrary(String),
    #[error("libtorch finds no CUDA device")]
    NoDevice,
    #[error("there is no cuda:{asked}, the last CUDA device is cuda:{last}")]
    NoSuchDevice { asked: usize, last: usize },
    /// With libtorch's reason.
    #[error("cuda:{number} does not compute ({reason})")]
    Broken { number: usize, reason: String },
}

impl CudaProblem {
    fn remedy(&self) -> &'static str {
        match self {
            CudaProblem::NoLibrary(_) => "install the CUDA set of libtorch",
            CudaProblem::NoDevice => "check the NVIDIA driver with nvidia-smi",
            CudaProblem::NoSuchDevice { .. } => "choose a device that there is",
            CudaProblem::Broken { .. } => "choose another device",
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The device, and a line for the user that names it and says why `auto` took it.
    ///
    /// # Errors
    /// A wrong libtorch, or an explicit CUDA device that cannot be used.
    pub fn resolve(self) -> Result<(Device, String), DeviceError> {
        LibtorchVersion::check()?;
        match self {
            Self::Cpu => Ok((Device::Cpu, "cpu".to_owned())),
            Self::Cuda(number) => {
                use_cuda(number)?;
                Ok((Device::Cuda(number), self.to_string()))
            }
            Self::Auto => Ok(match use_cuda(0) {
                Ok(()) => (Device::Cuda(0), "cuda:0".to_owned()),
                Err(problem) => (Device::Cpu, format!("cpu ({problem})")),
            }),
        }
    }
}

/// `cpu` or `cuda`: devices of one kind compute the same numbers.
pub fn kind(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

/// Bytes of memory of a CUDA device; `None` for a CPU, and where this machine does not have the device.
pub fn memory(device: Device) -> Option<usize> {
    let Device::Cuda(number) = device else { return None };
    count_cuda_devices().ok().filter(|&count| number < count)?;
    cuda::set_current_device(number).ok()?;
    let memory = cuda::memory();
    // The main thread's own device is the first, as in every program.
    let _ = cuda::set_current_device(0);
    memory.ok().map(|memory| memory.total)
}

/// Makes sure that a CUDA device computes.
fn use_cuda(number: usize) -> Result<(), CudaProblem> {
    let count = count_cuda_devices()?;
    if number >= count {
        let last = count - 1;
        return Err(CudaProblem::NoSuchDevice { asked: number, last });
    }
    let broken = |error: TchError| CudaProblem::Broken {
        number,
        reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    Tensor::f_ones([1], (Kind::Float, Device::Cuda(number)))
        .and_then(|one| one.f_to_device(Device::Cpu))
        .map(drop)
        .map_err(broken)
}

/// Number of CUDA devices, at least 1.
fn count_cuda_devices() -> Result<usize, CudaProblem> {
    load_cuda_library()?;
    match Cuda::device_count() {
        count if count > 0 => Ok(count as usize),
        _ => Err(CudaProblem::NoDevice),
    }
}

/// Loads libtorch's CUDA half for the rest of the program's life. Loading it again does nothing.
fn load_cuda_library() -> Result<(), CudaProblem> {
    let path = libtorch_folder().map(|folder| folder.join(CUDA_LIBRARY));
    let path = path.unwrap_or_else(|| PathBuf::from(CUDA_LIBRARY));
    // SAFETY: the library's initialisers only register operators with libtorch, which is loaded.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| {
        let reason = error
            .source()
            .map_or_else(|| error.to_string(), |reason| reason.to_string());
        CudaProblem::NoLibrary(reason)
    })?;
    // libtorch keeps pointers into it.
    std::mem::forget(library);
    Ok(())
}

/// The version of a libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LibtorchVersion {
    pub major: u8,
    pub minor: u8,
    pub patch: u8,
}

impl LibtorchVersion {
    /// The version whose C++ interface tch was written for; any other may crash.
    pub const NEEDED: LibtorchVersion = LibtorchVersion {
        major: 2,
        minor: 13,
        patch: 0,
    };

    /// The version of the libtorch that this program runs with, by its own word; `None` if it is
    /// too old to say (before 2.9).
    pub fn linked() -> Option<LibtorchVersion> {
        let program = Library::this();
        // SAFETY: the signature is that of torch/csrc/inductor/aoti_torch/c/shim.h.
        let version = unsafe { program.get::<unsafe extern "C" fn() -> u64>(ABI_VERSION) }.ok()?;
        // SAFETY: the function returns a constant.
        let [major, minor, patch, ..] = unsafe { version() }.to_be_bytes();
        Some(LibtorchVersion { major, minor, patch })
    }

    fn check() -> Result<(), DeviceError> {
        match Self::linked() {
            Some(Self::NEEDED) => Ok(()),
            found => Err(DeviceError::WrongLibtorch {
                found: found.map_or_else(|| "an old one".to_owned(), |version| version.to_string()),
            }),
        }
    }
}

impl fmt::Display for LibtorchVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A C function of libtorch_cpu.so: one byte each of major, minor and patch version from the top.
const ABI_VERSION: &[u8] = b"aoti_torch_abi_version\0";

/// The folder that libtorch_cpu.so was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    let program = Library::this();
    // SAFETY: only the symbol's address is used.
    let symbol = unsafe { program.get::<*const c_void>(ABI_VERSION) }.ok()?;
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: `found` outlives the call, which fills it.
    let known = unsafe { libc::dladdr(symbol.into_raw(), &mut found) } != 0;
    if !known || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gave a C string that lives as long as the library is loaded.
    let file = unsafe { CStr::from_ptr(found.dli_fname) };
    let file = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
    file.parent().map(PathBuf::from)
}

/// What this machine offers, for `abaw doctor`.
#[derive(Debug)]
pub struct Probe {
    /// The libtorch in use; `None` if it cannot say. Compare with [`LibtorchVersion::NEEDED`].
    pub libtorch: Option<LibtorchVersion>,
    /// Number of CUDA devices, or why there are none.
    pub cuda: Result<usize, DeviceError>,
    /// CPU cores that this process may use.
    pub cores: usize,
    /// Whether the CPU has bf16 instructions; without them bf16 is slower than f32.
    pub cpu_bf16: bool,
}

impl Probe {
    /// Looks.
    pub fn run() -> Self {
        Self {
            libtorch: LibtorchVersion::linked(),
            cuda: LibtorchVersion::check().and_then(|()| Ok(count_cuda_devices()?)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_bf16: cpu_bf16(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_bf16() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_parsed() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert!(matches!(error, DeviceError::Unknown(_)), "{text}: {error}");
        }
    }

    #[test]
    fn libtorch_says_its_version_and_its_folder() {
        assert_eq!(LibtorchVersion::linked(), Some(LibtorchVersion::NEEDED));
        assert!(libtorch_folder().unwrap().join("libtorch_cpu.so").exists());
    }

    /// True on any machine: with a device it works, without one the error is a line that helps.
    #[test]
    fn cuda_works_or_says_what_to_do() {
        let (auto, note) = DeviceChoice::Auto.resolve().unwrap();
        match DeviceChoice::Cuda(0).resolve() {
            Ok((device, _)) => {
                assert_eq!((device, auto), (Device::Cuda(0), Device::Cuda(0)));
                let beyond = DeviceChoice::Cuda(999).resolve().unwrap_err();
                let problem = CudaProblem::NoSuchDevice {
                    asked: 999,
                    last: Cuda::device_count() as usize - 1,
                };
                assert_eq!(beyond.to_string(), DeviceError::from(problem).to_string());
            }
            Err(error) => {
                let line = error.to_string();
                assert!(
                    line.ends_with(", or use --device cpu") && !line.contains('\n'),
                    "{line}"
                );
                assert_eq!(auto, Device::Cpu);
                assert!(
                    note.starts_with("cpu (") && line.starts_with(&note[5..note.len() - 1]),
                    "{note}"
                );
                assert!(Probe::run().cuda.is_err());
            }
        }
    }
}
