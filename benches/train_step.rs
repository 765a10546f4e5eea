//! Milliseconds an image of a training step, to lay beside `benches/peers/training.py speed`:
//! `cargo bench --bench train_step -- [REPLICAS [BATCH]] [bf16]`.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use abaw::model::{Architecture, Precision, initial_weights};
use abaw::training::{
    Adam, Batch, Labels, Layers, Learner, LossSettings, OptimizerSettings, Phase, Schedule,
};
use tch::{Device, Kind, Tensor};

fn main() {
    abaw::allocator::keep_freed_memory();
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let replicas = numbers.first().copied().unwrap_or(1);
    let batch = numbers.get(1).copied().unwrap_or(32) as i64;
    let precision = match std::env::args().any(|argument| argument == "bf16") {
        true => Precision::Bf16,
        false => Precision::F32,
    };
    tch::set_num_threads(1);

    let architecture = Architecture::MULTITASK;
    let weights = initial_weights(&architecture, 1).unwrap();
    let mut learner = Learner::new(&architecture, &weights, replicas, precision, Device::Cpu).unwrap();
    let phase = Phase {
        layers: Layers::All,
        epochs: 1,
        optimizer: OptimizerSettings::Adam { learning_rate: 1e-4 },
        schedule: Schedule::default(),
    };
    let mut adam = Adam::new(&learner.set_trained_layers(phase.layers), &phase.optimizer).unwrap();
    let on_cpu = |kind| (kind, Device::Cpu);
    let batch_of_noise = Batch {
        step: 0,
        crops: Tensor::randint(256, [batch, 112, 112, 3], on_cpu(Kind::Uint8)),
        labels: Labels {
            valence_arousal: Tensor::rand([batch, 2], on_cpu(Kind::Float)),
            expression: Tensor::randint(8, [batch], on_cpu(Kind::Int64)),
            action_units: Tensor::randint(2, [batch, 12], on_cpu(Kind::Float)),
        },
        names: vec![String::new(); batch as usize],
        unreadable: Vec::new(),
    };
    let mut times: Vec<(f64, f64)> = (0..6)
        .map(|_| {
            let (start, before) = (Instant::now(), processor_seconds());
            learner
                .step(
                    &batch_of_noise,
                    &phase,
                    &LossSettings::default(),
                    None,
                    &mut adam,
                    1e-4,
                )
                .unwrap();
            (start.elapsed().as_secs_f64(), processor_seconds() - before)
        })
        .collect();
    times.remove(0);
    let median = |time: fn(&(f64, f64)) -> f64| {
        let mut times: Vec<f64> = times.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] / batch as f64 * 1e3
    };
    println!(
        "abaw, {precision}, {replicas} replicas of one thread, batch {batch}: {:.1} ms an image, {:.1} ms of processor",
        median(|time| time.0),
        median(|time| time.1)
    );
}

/// User and system time of this process.
fn processor_seconds() -> f64 {
    // SAFETY: all zeros is a valid rusage, and getrusage fills the one it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
