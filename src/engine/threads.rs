//! Which threads a run has, and which steps each serves.

use std::sync::Arc;

use tch::Device;

use super::networks::Networks;
use super::queue::Role;
use crate::config::Pipeline;
use crate::face::CropForm;
use crate::model::{Feed, IdentityNetwork};

/// A thread that computes.
pub enum Worker {
    /// Runs networks and nothing else.
    Network(Networks),
    /// Does everything but that.
    Cpu,
    /// Does everything, with networks of its own.
    Both(Networks),
}

impl Worker {
    /// The steps that it serves.
    pub fn role(&self) -> Role {
        match self {
            Worker::Network(_) => Role::Network,
            Worker::Cpu => Role::Cpu,
            Worker::Both(_) => Role::Both,
        }
    }

    /// The name of its thread.
    pub fn name(&self) -> &'static str {
        match self {
            Worker::Network(_) => "network",
            Worker::Cpu => "cpu",
            Worker::Both(_) => "worker",
        }
    }

    /// The number of the CUDA device that its networks are on.
    pub fn cuda_device(&self) -> Option<usize> {
        match self.networks()?.detector.device() {
            Device::Cuda(number) => Some(number),
            _ => None,
        }
    }

    /// Its networks.
    pub fn networks(&self) -> Option<&Networks> {
        match self {
            Worker::Network(networks) | Worker::Both(networks) => Some(networks),
            Worker::Cpu => None,
        }
    }
}

/// The threads of a run.
pub struct Threads {
    /// How many read, each one video at a time.
    pub readers: usize,
    /// The threads that compute.
    pub workers: Vec<Worker>,
}

impl Threads {
    /// The threads for networks on one device or several. On the CPU `count` workers that do everything, each with its
    /// clone of the networks, and as many readers on the same cores. On GPUs one thread a device that runs its networks,
    /// since cuDNN's plans are cached a thread, and `count` CPU workers and readers around them. By default `count` is
    /// the number of cores.
    pub fn new(networks: &[Networks], count: Option<usize>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = count.unwrap_or(cores).max(1);
        let (gpus, cpu): (Vec<_>, Vec<_>) = networks
            .iter()
            .cloned()
            .partition(|networks| networks.detector.device().is_cuda());
        let workers = if gpus.is_empty() {
            let workers = cpu.iter().cycle().take(if cpu.is_empty() { 0 } else { count });
            workers.cloned().map(Worker::Both).collect()
        } else {
            let around = (0..count).map(|_| Worker::Cpu);
            gpus.into_iter().map(Worker::Network).chain(around).collect()
        };
        Self {
            readers: count,
            workers,
        }
    }

    /// In which forms faces are cut out for the networks beside DDAMFN's.
    pub fn crop_forms(&self) -> Arc<[CropForm]> {
        let networks = self.workers.iter().find_map(Worker::networks);
        networks
            .map_or(&[][..], |networks| networks.affect.crop_forms())
            .into()
    }

    /// What tells people apart, if tracks of one person are to be joined.
    pub fn identity(&self) -> Option<Arc<IdentityNetwork>> {
        let networks = self.workers.iter().find_map(Worker::networks)?;
        networks.identity.clone()
    }

    /// Makes the batches of these threads' networks: of whole frames where a thread does nothing but run networks, whose
    /// device has time to resize.
    pub fn feed(&self, pipeline: &Pipeline) -> Arc<Feed> {
        let networks = self.workers.iter().find_map(Worker::networks);
        let device = networks.map_or(Device::Cpu, |networks| networks.detector.device());
        let whole = self
            .workers
            .iter()
            .any(|worker| matches!(worker, Worker::Network(_)));
        Feed::new(device, &pipeline.detector, pipeline.model.batch, whole)
    }
}
