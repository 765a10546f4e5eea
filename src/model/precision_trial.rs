//! Which number format is the faster one on this CPU, f32 or bf16: measured once a machine, and remembered.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::Device;

use super::architecture::Architecture;
use super::crop::AlignedFace;
use super::error::ModelError;
use super::inference_form::InferenceForm;
use super::initial_weights::initial_weights;
use super::precision::Precision;
use super::predictor::Predictor;
use crate::device::LibtorchVersion;
use crate::frame::Picture;
use crate::hash::hexadecimal;
use crate::path_error::PathError;
use crate::publish::publish_json;
use sha2::{Digest, Sha256};

/// Passes begin until this has gone by.
const MEASURED: Duration = Duration::from_secs(1);
/// Faces in a pass.
const FACES: usize = 8;
/// bf16 rounds, so it must be worth it: the share of the time of f32 that it may take at most.
const WORTH_ROUNDING: f64 = 0.9;

/// How long DDAMFN takes for a face on a CPU, in milliseconds of one core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionTrial {
    machine: Machine,
    /// In f32.
    pub f32_ms: f64,
    /// In bf16.
    pub bf16_ms: f64,
}

/// What the times depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    /// The CPU's name.
    cpu: String,
    /// Of what the kernel says of its model and instructions: CPUs of one name may lack some, virtual ones do.
    cpu_sha256: String,
    libtorch: String,
}

impl PrecisionTrial {
    /// Measures this machine, which takes one to two seconds. Processor time counts, so that other work does not.
    ///
    /// # Errors
    /// libtorch's.
    pub fn run() -> Result<Self, ModelError> {
        let architecture = Architecture::MULTITASK;
        let weights = initial_weights(&architecture, 0)?;
        let predictor = |precision| {
            Predictor::new(
                &weights,
                &architecture,
                InferenceForm::fast(Device::Cpu, precision),
            )
        };
        let predictors = [predictor(Precision::F32)?, predictor(Precision::Bf16)?];
        let black = Picture::black(AlignedFace::SIDE, AlignedFace::SIDE);
        let face = AlignedFace::new(black)?;
        let faces = [&face; FACES];
        let began = Instant::now();
        for predictor in &predictors {
            // The first pass also makes plans and takes memory.
            predictor.predict(&faces)?;
        }
        let mut least = [f64::INFINITY; 2];
        while least[0].is_infinite() || began.elapsed() < MEASURED {
            for (predictor, least) in predictors.iter().zip(&mut least) {
                let before = processor_ms();
                predictor.predict(&faces)?;
                *least = least.min((processor_ms() - before) / FACES as f64);
            }
        }
        let [f32_ms, bf16_ms] = least;
        Ok(Self {
            machine: Machine::this(),
            f32_ms,
            bf16_ms,
        })
    }

    /// What was measured on this machine before; `None` also if that cannot be read.
    pub fn remembered() -> Option<Self> {
        Self::read(&cache()?, &Machine::this())
    }

    /// Remembers it for this machine, in the folder that `ABAW_CACHE` names or else in `abaw` below the user's folder for caches.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn remember(&self) -> Result<(), PathError> {
        cache().map_or(Ok(()), |folder| self.write(&folder))
    }

    /// The faster one: bf16 only if it saves a tenth.
    pub fn fastest(&self) -> Precision {
        match self.bf16_ms <= WORTH_ROUNDING * self.f32_ms {
            true => Precision::Bf16,
            false => Precision::F32,
        }
    }

    fn read(folder: &Path, machine: &Machine) -> Option<Self> {
        let bytes = std::fs::read(folder.join(machine.file())).ok()?;
        let trial: Self = serde_json::from_slice(&bytes).ok()?;
        (trial.machine == *machine).then_some(trial)
    }

    fn write(&self, folder: &Path) -> Result<(), PathError> {
        let file = folder.join(self.machine.file());
        let written = std::fs::create_dir_all(folder).and_then(|()| publish_json(&file, self));
        written.map_err(PathError::at(&file))
    }
}

impl fmt::Display for PrecisionTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} ms a face in f32, {:.1} in bf16 (one core of {})",
            self.f32_ms, self.bf16_ms, self.machine.cpu
        )
    }
}

impl Machine {
    fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let libtorch =
            LibtorchVersion::linked().map_or_else(|| "unknown".to_owned(), |version| version.to_string());
        Self::of(&cpuinfo, libtorch)
    }

    /// By the first core in `/proc/cpuinfo`, without what differs between cores or from moment to moment.
    fn of(cpuinfo: &str, libtorch: String) -> Self {
        const LASTING: [&str; 7] = [
            "vendor_id",
            "cpu family",
            "model",
            "model name",
            "stepping",
            "flags",
            "Features",
        ];
        let first = cpuinfo.split("\n\n").next().unwrap_or_default();
        let values = first.lines().filter_map(|line| line.split_once(':'));
        let values = values.map(|(key, value)| (key.trim(), value.trim()));
        let lasting: Vec<_> = values
            .filter(|(key, _)| LASTING.contains(key) || key.starts_with("CPU "))
            .collect();
        let name = lasting.iter().find(|(key, _)| *key == "model name");
        Self {
            cpu: name.map_or("this CPU", |(_, name)| name).to_owned(),
            cpu_sha256: hexadecimal(&Sha256::digest(format!("{lasting:?}"))),
            libtorch,
        }
    }

    /// The name of the file of what was measured on it.
    fn file(&self) -> String {
        format!("precision-{:.16}-{}.json", self.cpu_sha256, self.libtorch)
    }
}

/// The folder for caches; `None` for a user without a home.
fn cache() -> Option<PathBuf> {
    let named = |name: &str| {
        std::env::var_os(name)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
    };
    let users = || named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    named("ABAW_CACHE").or_else(|| Some(users()?.join("abaw")))
}

/// Milliseconds that the calling thread has computed.
fn processor_ms() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call only fills `time`; Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: A\nflags\t\t: avx512f avx512_bf16\ncpu MHz\t\t: 2000.1\n\nprocessor\t: 1\n";

    fn trial(cpuinfo: &str, f32_ms: f64, bf16_ms: f64) -> PrecisionTrial {
        let machine = Machine::of(cpuinfo, "2.13.0".to_owned());
        PrecisionTrial {
            machine,
            f32_ms,
            bf16_ms,
        }
    }

    #[test]
    fn bf16_has_to_save_a_tenth() {
        assert_eq!(trial(CPUINFO, 10.0, 9.1).fastest(), Precision::F32);
        assert_eq!(trial(CPUINFO, 10.0, 8.9).fastest(), Precision::Bf16);
    }

    #[test]
    fn a_machine_is_told_by_what_lasts_and_remembers_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let ours = trial(CPUINFO, 10.0, 5.0);
        let later = Machine::of(&CPUINFO.replace("2000.1", "3500.0"), "2.13.0".to_owned());
        let others = [
            Machine::of(&CPUINFO.replace(" avx512_bf16", ""), "2.13.0".to_owned()),
            Machine::of(&CPUINFO.replace(": A", ": B"), "2.13.0".to_owned()),
            Machine::of(CPUINFO, "2.14.0".to_owned()),
        ];
        ours.write(&folder.path().join("new")).unwrap();
        let read = |machine: &Machine| PrecisionTrial::read(&folder.path().join("new"), machine);
        assert_eq!(read(&later), Some(ours.clone()));
        for other in &others {
            assert_eq!(read(other), None);
            // Not even under its own name.
            let [from, to] = [&later, other].map(|machine| folder.path().join("new").join(machine.file()));
            std::fs::copy(from, to).unwrap();
            assert_eq!(read(other), None);
        }
        std::fs::write(folder.path().join("new").join(later.file()), "{\"f32_ms\":").unwrap();
        assert_eq!(read(&later), None);
    }
}
