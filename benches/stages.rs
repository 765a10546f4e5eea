//! Stages of the pipeline, each timed on request; `make bench` lays them beside those of `benches/peers/`.
//!
//! ```text
//! stages ddamfn f32|bf16 THREADS WEIGHTS INPUT   seconds a face; INPUT holds crops of 112x112 pixels, RGB
//! stages detector f32 THREADS WEIGHTS INPUT      seconds a picture of 640x480
//! stages decode CLIP THREADS                     seconds a frame, to RGB
//! stages resize CLIP THREADS                     seconds a frame, to the detector's input
//! stages align CLIP THREADS                      seconds a face
//! stages parquet TABLE THREADS                   seconds a row
//! stages crops CLIP DETECTOR OUT                 writes the aligned faces of a clip as INPUT
//! stages pictures CLIP OUT                       writes the pictures of a clip as INPUT
//! ```
//!
//! Answers lines on standard input: `time BATCH REPEATS` with seconds an item, `outputs` with a network's
//! numbers for the first pictures. Several threads work each on batches of its own, as in the engine.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

use abaw::face::alignment::AlignmentSettings;
use abaw::face::resize::Resize;
use abaw::face::template::Template;
use abaw::face::{BoundingBox, Detection, DetectorSettings, Landmarks, Point, align};
use abaw::frame::Picture;
use abaw::labels::Affect;
use abaw::model::retinaface::RetinaFace;
use abaw::model::weights::Weights;
use abaw::model::{AlignedFace, Detector, InferenceForm, Precision, Predictor};
use abaw::table;
use abaw::video::{VideoReader, VideoSettings};
use clap::ValueEnum;
use tch::{Device, Tensor};

type Anything<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Pictures whose outputs are compared.
const COMPARED: usize = 4;

fn main() -> Anything<()> {
    abaw::allocator::keep_freed_memory();
    tch::set_num_threads(1);
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["ddamfn", precision, threads, weights, input] => ddamfn(
            Precision::from_str(precision, true)?,
            threads.parse()?,
            Path::new(weights),
            Path::new(input),
        ),
        ["detector", "f32", threads, weights, input] => {
            detector(threads.parse()?, Path::new(weights), Path::new(input))
        }
        ["decode", clip, threads] => answer(threads.parse()?, || {
            let clip = clip.to_owned();
            Ok(move |_| each_frame(Path::new(&clip), |_| Ok(())))
        }),
        ["resize", clip, threads] => {
            let picture = &first_picture(clip)?;
            answer(threads.parse()?, || {
                let resize = Resize::to_long_side(picture.width(), picture.height(), 640);
                let mut values = vec![0.0; 3 * (resize.width() * resize.height()) as usize];
                Ok(move |_| {
                    resize.write(picture, &mut values);
                    Ok(1)
                })
            })
        }
        ["align", clip, threads] => {
            let picture = &first_picture(clip)?;
            answer(threads.parse()?, || {
                Ok(move |_| {
                    align(picture, &a_face(), &AlignmentSettings::default());
                    Ok(1)
                })
            })
        }
        ["parquet", path, threads] => {
            let (rows, footer) = table::read(Path::new(path))?;
            let seconds = table::StageSeconds::default();
            answer(threads.parse()?, || {
                let out = tempfile::Builder::new()
                    .suffix(".parquet")
                    .tempfile_in("/dev/shm")?;
                let (footer, rows, seconds) = (&footer, &rows, &seconds);
                Ok(move |_| {
                    table::write(out.path(), "video", rows, footer, seconds)?;
                    Ok(rows.len())
                })
            })
        }
        ["crops", clip, detector, out] => write_crops(Path::new(clip), Path::new(detector), Path::new(out)),
        ["pictures", clip, out] => {
            let mut bytes = Vec::new();
            each_frame(Path::new(clip), |picture| {
                bytes.extend_from_slice(picture.rgb());
                Ok(())
            })?;
            Ok(fs::write(out, bytes)?)
        }
        // Cargo runs every benchmark, without words.
        _ => {
            println!("stages: see `make bench`");
            Ok(())
        }
    }
}

fn ddamfn(precision: Precision, threads: usize, weights: &Path, input: &Path) -> Anything<()> {
    let weights = Weights::load(weights)?;
    let form = InferenceForm::fast(Device::Cpu, precision);
    let predictor = Predictor::new(weights.tensors(), weights.architecture(), form)?;
    let faces = pictures(input, AlignedFace::SIDE, AlignedFace::SIDE)?;
    let faces: Vec<AlignedFace> = faces
        .into_iter()
        .map(AlignedFace::new)
        .collect::<Result<_, _>>()?;
    let compared: Vec<&AlignedFace> = faces.iter().take(COMPARED).collect();
    let outputs: Vec<Vec<f32>> = predictor.predict(&compared)?.iter().map(numbers).collect();
    let faces = &faces;
    answer_with(Some(serde_json::json!([outputs])), threads, || {
        let predictor = predictor.clone();
        Ok(move |batch: usize| {
            let batch: Vec<&AlignedFace> = faces.iter().cycle().take(batch).collect();
            predictor.predict(&batch)?;
            Ok(batch.len())
        })
    })
}

/// An affect's 22 numbers in the order of the table.
fn numbers(affect: &Affect) -> Vec<f32> {
    let mut numbers = Vec::new();
    numbers.extend(
        affect
            .valence_arousal
            .iter()
            .flat_map(|va| [va.valence, va.arousal]),
    );
    numbers.extend(affect.expression.iter().flatten());
    numbers.extend(affect.action_units.iter().flatten());
    numbers
}

fn detector(threads: usize, weights: &Path, input: &Path) -> Anything<()> {
    let (width, height) = (640, 480);
    let network = RetinaFace::load(weights, Device::Cpu)?;
    let pictures = pictures(input, width, height)?;
    let resize = Resize::to_long_side(width, height, width);
    let inputs = |batch: usize| -> Anything<Tensor> {
        let size = 3 * (width * height) as usize;
        let mut values = vec![0.0; batch * size];
        for (picture, values) in pictures.iter().cycle().zip(values.chunks_exact_mut(size)) {
            resize.write(picture, values);
        }
        let shape = [batch as i64, height.into(), width.into(), 3];
        Ok(Tensor::f_from_slice(&values)?
            .f_view(shape)?
            .f_permute([0, 3, 1, 2])?)
    };
    let predictions = network.forward(&inputs(COMPARED)?)?;
    let outputs: Vec<Vec<Vec<f32>>> = [predictions.scores, predictions.boxes, predictions.landmarks]
        .iter()
        .map(|output| Ok(Vec::try_from(&output.f_reshape([COMPARED as i64, -1])?)?))
        .collect::<Anything<_>>()?;
    let inputs = &inputs;
    answer_with(Some(serde_json::json!(outputs)), threads, || {
        let network = network.clone();
        let mut input: Option<(usize, Tensor)> = None;
        Ok(move |batch: usize| {
            let (_, input) = match &mut input {
                Some(known) if known.0 == batch => known,
                other => other.insert((batch, inputs(batch)?)),
            };
            network.forward(input)?;
            Ok(batch)
        })
    })
}

fn answer<W>(threads: usize, worker: impl Fn() -> Anything<W>) -> Anything<()>
where
    W: FnMut(usize) -> Anything<usize> + Send,
{
    answer_with(None, threads, worker)
}

/// Answers requests until there are no more. Each thread has a worker, which does its work for a batch and
/// says how many items that were.
fn answer_with<W>(
    outputs: Option<serde_json::Value>,
    threads: usize,
    worker: impl Fn() -> Anything<W>,
) -> Anything<()>
where
    W: FnMut(usize) -> Anything<usize> + Send,
{
    let mut workers: Vec<W> = (0..threads).map(|_| worker()).collect::<Anything<_>>()?;
    for worker in &mut workers {
        worker(1)?;
    }
    let say = |line: String| writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
    say("ready".to_owned())?;
    let mut warm = 1;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Some(numbers) = line.strip_prefix("time ") else {
            say(serde_json::to_string(&outputs)?)?;
            continue;
        };
        let (batch, repeats) = numbers.split_once(' ').ok_or("time BATCH REPEATS")?;
        let (batch, repeats): (usize, usize) = (batch.parse()?, repeats.parse()?);
        if batch != warm {
            run(&mut workers, batch, 1)?;
            warm = batch;
        }
        say(run(&mut workers, batch, repeats)?.to_string())?;
    }
    Ok(())
}

/// Seconds an item, all workers at once.
fn run<W>(workers: &mut [W], batch: usize, repeats: usize) -> Anything<f64>
where
    W: FnMut(usize) -> Anything<usize> + Send,
{
    let start_together = Barrier::new(workers.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(|| -> Anything<usize> {
                    tch::set_num_threads(1);
                    start_together.wait();
                    (0..repeats).map(|_| worker(batch)).sum()
                })
            })
            .collect();
        start_together.wait();
        let start = Instant::now();
        let mut items = 0;
        for thread in threads {
            items += thread.join().map_err(|_| "a worker panicked")??;
        }
        Ok(start.elapsed().as_secs_f64() / items as f64)
    })
}

/// Shows each frame of a clip; how many there were.
fn each_frame(clip: &Path, mut show: impl FnMut(&Picture) -> Anything<()>) -> Anything<usize> {
    let mut reader = VideoReader::open(clip, &VideoSettings::default())?;
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        show(&frame.picture)?;
        frames += 1;
    }
    Ok(frames)
}

fn first_picture(clip: &str) -> Anything<Picture> {
    let mut reader = VideoReader::open(Path::new(clip), &VideoSettings::default())?;
    Ok(reader.next_frame()?.ok_or("no frames")?.picture)
}

/// A face of 280 pixels across.
fn a_face() -> Detection {
    let Landmarks(points) = Template::Frontal.landmarks();
    let place = |Point { x, y }| Point {
        x: 2.5 * x + 300.0,
        y: 2.5 * y + 200.0,
    };
    Detection {
        score: 1.0,
        bounding_box: BoundingBox::default(),
        landmarks: Landmarks(points.map(place)),
    }
}

fn pictures(input: &Path, width: u32, height: u32) -> Anything<Vec<Picture>> {
    fs::read(input)?
        .chunks(width as usize * height as usize * 3)
        .map(|rgb| {
            Picture::from_rgb(width, height, rgb.to_vec()).ok_or_else(|| "half a picture in the input".into())
        })
        .collect()
}

fn write_crops(clip: &Path, detector: &Path, out: &Path) -> Anything<()> {
    let detector = Detector::load(detector, Device::Cpu, &DetectorSettings::default())?;
    let mut crops = Vec::new();
    each_frame(clip, |picture| {
        for face in detector.detect(&[picture])?.concat() {
            let (crop, _) = align(picture, &face, &AlignmentSettings::default());
            crops.extend_from_slice(crop.rgb());
        }
        Ok(())
    })?;
    Ok(fs::write(out, crops)?)
}
