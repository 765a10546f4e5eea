//! The device that networks run on: its choice, libtorch's CUDA library, and what this machine offers.
//!
//! The linker drops `libtorch_cuda.so` from the executable, since no symbol of it is used by name. It is loaded here,
//! from the folder of `libtorch_cpu.so`. libtorch looks for CUDA only once, so [`DeviceChoice::resolve`] or
//! [`Probe::run`] must come before any other use of libtorch.

use std::error::Error as _;
use std::ffi::c_void;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, Kind, Tensor};
use thiserror::Error;

use crate::cuda::{self, CudaError};
use crate::loaded_library;

/// The library with libtorch's CUDA operators.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";
/// What NVIDIA's driver shows of itself while it runs.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// The device that a user asks for: `auto`, `cpu`, `cuda`, `cuda:N` or `cuda:all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device, or else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by number, 0-based.
    Cuda(usize),
    /// All CUDA devices of this machine.
    AllCuda,
}

/// Why a device cannot be used. Each prints as one line that tells what to do.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// A text that is no [`DeviceChoice`].
    #[error("unknown device `{0}`: use auto, cpu, cuda, cuda:N or cuda:all")]
    Unknown(String),
    /// Another version of libtorch than [`LibtorchVersion::NEEDED`].
    #[error(
        "libtorch is {found}, this program needs {}: build it against that one",
        LibtorchVersion::NEEDED
    )]
    WrongLibtorch {
        /// The version found, in words.
        found: String,
    },
    /// All devices, where one computes.
    #[error("one device is needed here: use cuda:N in place of cuda:all")]
    OneOnly,
    /// A CUDA device that cannot be used.
    #[error("{problem}: {}, or use --device cpu", .problem.remedy())]
    Cuda {
        /// Why.
        #[from]
        problem: CudaProblem,
    },
}

/// Why CUDA cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CudaProblem {
    /// A CPU-only install, which is a normal one.
    #[error("libtorch is installed without its CUDA libraries")]
    CpuOnly,
    /// With the dynamic linker's reason.
    #[error("libtorch's CUDA library does not load ({0})")]
    NoLibrary(String),
    /// No driver is installed.
    #[error("this machine has no NVIDIA driver")]
    NoDriver,
    /// The driver is older than libtorch's CUDA.
    #[error("the NVIDIA driver is too old for this libtorch")]
    OldDriver,
    /// A driver without a device, or without one that this process may see.
    #[error("libtorch finds no CUDA device")]
    NoDevice,
    /// A number above that of the last device.
    #[error("there is no cuda:{asked}, the last CUDA device is cuda:{last}")]
    NoSuchDevice {
        /// The device asked for, 0-based.
        asked: usize,
        /// The last device, 0-based.
        last: usize,
    },
    /// Another process has exclusive use of the device, or the device is out of order.
    #[error("cuda:{number} is busy or unavailable")]
    Busy {
        /// The device, 0-based.
        number: usize,
    },
    /// Other processes use all of the device's memory.
    #[error("cuda:{number} is out of memory")]
    OutOfMemory {
        /// The device, 0-based.
        number: usize,
    },
    /// libtorch was built without kernels for the architecture of the device.
    #[error("this libtorch has no kernels for the architecture of cuda:{number}")]
    WrongArchitecture {
        /// The device, 0-based.
        number: usize,
    },
    /// With libtorch's reason.
    #[error("cuda:{number} does not compute ({reason})")]
    Broken {
        /// The device, 0-based.
        number: usize,
        /// The first line of libtorch's message.
        reason: String,
    },
}

impl CudaProblem {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            CudaProblem::CpuOnly | CudaProblem::NoLibrary(_) => {
                "install the CUDA set of libtorch (from pip: torch with all that it requires; in a checkout: make libtorch CUDA=1)"
            }
            CudaProblem::NoDriver => "install the driver, or use a machine with a GPU",
            CudaProblem::OldDriver => "update the driver",
            CudaProblem::NoDevice => "check nvidia-smi and CUDA_VISIBLE_DEVICES",
            CudaProblem::NoSuchDevice { .. } => "choose a device that there is",
            CudaProblem::Busy { .. } => {
                "wait for the process that uses it (see nvidia-smi), choose another device"
            }
            CudaProblem::OutOfMemory { .. } => {
                "end other processes on it (see nvidia-smi), choose another device"
            }
            CudaProblem::WrongArchitecture { .. } => {
                "install a libtorch that supports it, choose another device"
            }
            CudaProblem::Broken { .. } => "choose another device",
        }
    }

    /// Whether a machine with this problem has no GPU to use, as far as can be seen: nothing is out of order.
    pub fn is_normal(&self) -> bool {
        matches!(self, CudaProblem::CpuOnly | CudaProblem::NoDriver) && !Path::new(DRIVER).exists()
    }

    /// Returns the problem that a message of libtorch or of the CUDA runtime on device `number` reports.
    fn of_message(number: usize, message: &str) -> Self {
        // The texts of cudaGetErrorString, and of libtorch's check of the driver.
        type Problem = fn(usize) -> CudaProblem;
        const KNOWN: [(&str, Problem); 9] = [
            ("driver version is insufficient", |_| CudaProblem::OldDriver),
            ("driver on your system is too old", |_| CudaProblem::OldDriver),
            ("unsupported toolchain", |_| CudaProblem::OldDriver),
            ("no NVIDIA driver", |_| CudaProblem::NoDriver),
            ("no CUDA-capable device is detected", |_| CudaProblem::NoDevice),
            ("busy or unavailable", |number| CudaProblem::Busy { number }),
            ("out of memory", |number| CudaProblem::OutOfMemory { number }),
            ("no kernel image is available", |number| {
                CudaProblem::WrongArchitecture { number }
            }),
            ("device kernel image is invalid", |number| {
                CudaProblem::WrongArchitecture { number }
            }),
        ];
        let known = KNOWN.iter().find(|(text, _)| message.contains(text));
        known.map_or_else(
            || CudaProblem::Broken {
                number,
                reason: message.lines().next().unwrap_or_default().to_owned(),
            },
            |(_, problem)| problem(number),
        )
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
            "cuda:all" => Ok(Self::AllCuda),
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
            Self::AllCuda => f.write_str("cuda:all"),
        }
    }
}

impl DeviceChoice {
    /// Returns the one device, and a line for the user that names it and tells why `auto` chose it.
    ///
    /// # Errors
    /// A wrong libtorch, an explicit CUDA device that cannot be used, or `cuda:all`.
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
                Err(CudaProblem::CpuOnly) if CudaProblem::CpuOnly.is_normal() => {
                    (Device::Cpu, "cpu".to_owned())
                }
                Err(CudaProblem::CpuOnly) => (
                    Device::Cpu,
                    format!(
                        "cpu (this machine has an NVIDIA driver, but {}: {})",
                        CudaProblem::CpuOnly,
                        CudaProblem::CpuOnly.remedy()
                    ),
                ),
                Err(problem) => (Device::Cpu, format!("cpu ({problem})")),
            }),
            Self::AllCuda => Err(DeviceError::OneOnly),
        }
    }

    /// Returns the devices, at least one and all of one kind, and a line for the user that names them.
    ///
    /// # Errors
    /// As [`DeviceChoice::resolve`]; with `cuda:all`, if any device cannot be used.
    pub fn resolve_all(self) -> Result<(Vec<Device>, String), DeviceError> {
        if self != Self::AllCuda {
            let (device, note) = self.resolve()?;
            return Ok((vec![device], note));
        }
        LibtorchVersion::check()?;
        let count = count_cuda_devices()?;
        for number in 0..count {
            use_cuda(number)?;
        }
        let devices = (0..count).map(Device::Cuda).collect();
        Ok((devices, format!("cuda:0 to cuda:{}", count - 1)))
    }
}

/// Lets libtorch compute in the calling thread alone, for a program whose own threads are the parallelism. Beside other work the
/// threads of its pool wait for each other longer than they compute: with two busy processes on two cores the start of
/// `annotate` took up to five times as long (`docs/benchmarks.md`).
pub fn compute_in_one_thread() {
    tch::set_num_threads(1);
}

/// Returns `cpu` or `cuda`. Devices of one kind compute the same numbers.
pub fn kind(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

/// Returns the bytes of memory of a CUDA device; `None` for a CPU, or if this machine does not have the device.
pub fn memory(device: Device) -> Option<usize> {
    let Device::Cuda(number) = device else { return None };
    count_cuda_devices().ok().filter(|&count| number < count)?;
    cuda::set_current_device(number).ok()?;
    let memory = cuda::memory();
    // The first device is the main thread's own, as in every program.
    let _ = cuda::set_current_device(0);
    memory.ok().map(|memory| memory.total)
}

/// Checks that a CUDA device computes.
fn use_cuda(number: usize) -> Result<(), CudaProblem> {
    let count = count_cuda_devices()?;
    if number >= count {
        let last = count - 1;
        return Err(CudaProblem::NoSuchDevice { asked: number, last });
    }
    Tensor::f_ones([1], (Kind::Float, Device::Cuda(number)))
        .and_then(|one| one.f_to_device(Device::Cpu))
        .map(drop)
        .map_err(|error| CudaProblem::of_message(number, &error.to_string()))
}

/// Returns the number of CUDA devices, at least 1.
fn count_cuda_devices() -> Result<usize, CudaProblem> {
    load_cuda_library()?;
    // libtorch prints a warning in place of an error if the driver is missing or too old, so CUDA is asked first.
    match cuda::device_count() {
        Err(CudaError::Failed { code, .. }) => Err(of_count(code, cuda::driver_version().ok())),
        _ => match Cuda::device_count() {
            count if count > 0 => Ok(count as usize),
            _ => Err(CudaProblem::NoDevice),
        },
    }
}

/// Returns the problem behind a failed count of devices. `driver`: the version of CUDA that the driver supports, 0
/// without a driver.
fn of_count(code: i32, driver: Option<i32>) -> CudaProblem {
    const INSUFFICIENT_DRIVER: i32 = 35;
    const NO_DEVICE: i32 = 100;
    match (code, driver) {
        (INSUFFICIENT_DRIVER, Some(0)) => CudaProblem::NoDriver,
        (INSUFFICIENT_DRIVER, _) => CudaProblem::OldDriver,
        (NO_DEVICE, _) => CudaProblem::NoDevice,
        _ => CudaProblem::Broken {
            number: 0,
            reason: format!("CUDA error {code}"),
        },
    }
}

/// Returns the problem behind the dynamic linker's words. The CPU set is the CUDA set without NVIDIA's libraries, so that
/// libtorch's own CUDA library may be there and what it links is not.
fn of_linker(reason: String) -> CudaProblem {
    if reason.contains("cannot open shared object file: No such file") {
        CudaProblem::CpuOnly
    } else {
        CudaProblem::NoLibrary(reason)
    }
}

/// Loads libtorch's CUDA library until the program ends. Loading it again does nothing.
fn load_cuda_library() -> Result<(), CudaProblem> {
    let path = libtorch_folder().map(|folder| folder.join(CUDA_LIBRARY));
    let path = path.unwrap_or_else(|| PathBuf::from(CUDA_LIBRARY));
    // SAFETY: the library's initialisers only register operators with libtorch, which is loaded.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| {
        let reason = error
            .source()
            .map_or_else(|| error.to_string(), |reason| reason.to_string());
        of_linker(reason)
    })?;
    // libtorch keeps pointers into it.
    std::mem::forget(library);
    Ok(())
}

/// The version of a libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LibtorchVersion {
    /// The first number.
    pub major: u8,
    /// The second number.
    pub minor: u8,
    /// The third number.
    pub patch: u8,
}

impl LibtorchVersion {
    /// The version whose C++ interface tch was written for; any other may crash.
    pub const NEEDED: LibtorchVersion = LibtorchVersion {
        major: 2,
        minor: 13,
        patch: 0,
    };

    /// Returns the version that the libtorch of this process reports; `None` before 2.9, which reports none.
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

/// Returns the folder that libtorch_cpu.so was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    let program = Library::this();
    // SAFETY: only the symbol's address is used.
    let symbol = unsafe { program.get::<*const c_void>(ABI_VERSION) }.ok()?;
    loaded_library::folder(symbol.into_raw().addr())
}

/// What this machine offers, for `abaw doctor`.
#[derive(Debug)]
pub struct Probe {
    /// The libtorch in use; `None` if it does not report its version. Compare with [`LibtorchVersion::NEEDED`].
    pub libtorch: Option<LibtorchVersion>,
    /// The folder that it was loaded from.
    pub libtorch_folder: Option<PathBuf>,
    /// Number of CUDA devices, or why there are none.
    pub cuda: Result<usize, DeviceError>,
    /// CPU cores that this process may use.
    pub cores: usize,
}

impl Probe {
    /// Examines this machine.
    pub fn run() -> Self {
        Self {
            libtorch: LibtorchVersion::linked(),
            libtorch_folder: libtorch_folder(),
            cuda: LibtorchVersion::check().and_then(|()| Ok(count_cuda_devices()?)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
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
            ("cuda:all", DeviceChoice::AllCuda),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert!(matches!(error, DeviceError::Unknown(_)), "{text}: {error}");
        }
    }

    #[test]
    fn libtorch_reports_its_version_and_its_folder() {
        assert_eq!(LibtorchVersion::linked(), Some(LibtorchVersion::NEEDED));
        assert!(libtorch_folder().unwrap().join("libtorch_cpu.so").exists());
    }

    #[test]
    fn a_library_that_is_not_there_is_a_cpu_only_install_and_one_that_does_not_fit_is_not() {
        let absent = "libcusparse.so.12: cannot open shared object file: No such file or directory";
        assert_eq!(of_linker(absent.to_owned()), CudaProblem::CpuOnly);
        let unfit = "/x/libtorch_cuda.so: undefined symbol: ncclCommWindowRegister";
        assert_eq!(
            of_linker(unfit.to_owned()),
            CudaProblem::NoLibrary(unfit.to_owned())
        );
        // The sentence names what to install, and no library.
        let line = DeviceError::from(CudaProblem::CpuOnly).to_string();
        assert!(
            line.contains("make libtorch CUDA=1") && !line.contains(".so"),
            "{line}"
        );
    }

    #[test]
    fn messages_of_cuda_are_told_apart() {
        let busy = CudaProblem::Busy { number: 1 };
        let memory = CudaProblem::OutOfMemory { number: 1 };
        let architecture = CudaProblem::WrongArchitecture { number: 1 };
        let broken = CudaProblem::Broken {
            number: 1,
            reason: "CUDA error: unspecified launch failure".to_owned(),
        };
        for (message, problem) in [
            (
                "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
                CudaProblem::OldDriver,
            ),
            (
                "The NVIDIA driver on your system is too old (found version 11040).",
                CudaProblem::OldDriver,
            ),
            (
                "CUDA error: the provided PTX was compiled with an unsupported toolchain.",
                CudaProblem::OldDriver,
            ),
            ("Found no NVIDIA driver on your system.", CudaProblem::NoDriver),
            (
                "CUDA error: no CUDA-capable device is detected",
                CudaProblem::NoDevice,
            ),
            (
                "CUDA error: all CUDA-capable devices are busy or unavailable",
                busy,
            ),
            (
                "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
                CudaProblem::Busy { number: 1 },
            ),
            ("CUDA out of memory. Tried to allocate 2.00 MiB.", memory),
            (
                "CUDA error: out of memory",
                CudaProblem::OutOfMemory { number: 1 },
            ),
            (
                "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might ...",
                architecture,
            ),
            ("CUDA error: unspecified launch failure\nCompile with ...", broken),
        ] {
            assert_eq!(CudaProblem::of_message(1, message), problem, "{message}");
            let line = DeviceError::from(problem).to_string();
            assert!(
                line.ends_with(", or use --device cpu") && !line.contains('\n'),
                "{line}"
            );
        }
    }

    #[test]
    fn a_missing_driver_and_an_old_one_are_told_apart() {
        assert_eq!(of_count(35, Some(0)), CudaProblem::NoDriver);
        assert_eq!(of_count(35, Some(11040)), CudaProblem::OldDriver);
        assert_eq!(of_count(100, Some(13000)), CudaProblem::NoDevice);
        assert!(matches!(of_count(3, None), CudaProblem::Broken { .. }));
    }

    /// Holds on any machine: with a device it works, without one the error is one line that tells what to do.
    #[test]
    fn cuda_works_or_the_error_tells_what_to_do() {
        let (auto, note) = DeviceChoice::Auto.resolve().unwrap();
        let all = DeviceChoice::AllCuda.resolve_all();
        let one = DeviceChoice::AllCuda.resolve();
        assert!(matches!(one, Err(DeviceError::OneOnly)));
        match DeviceChoice::Cuda(0).resolve() {
            Ok((device, _)) => {
                assert_eq!(all.unwrap().0.len(), Cuda::device_count() as usize);
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
                let reason = note.strip_prefix("cpu (").and_then(|rest| rest.strip_suffix(')'));
                match reason {
                    // A CPU-only install is nothing to explain.
                    None => assert_eq!(note, "cpu"),
                    Some(reason) => assert!(line.contains(reason.split(": ").next().unwrap()), "{note}"),
                }
                assert_eq!(all.unwrap_err().to_string(), line);
                assert!(Probe::run().cuda.is_err());
            }
        }
    }
}
