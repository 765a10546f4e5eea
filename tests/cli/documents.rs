//! What the documents tell people to type is run here: the commands of README.md, the snippets of docs/analysis.md, and those
//! of a section of docs/challenge.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use abaw::run::Plan;

use crate::crops::face;
use crate::support::workspace::Workspace;
use crate::support::{expect_exit, root, sample};

/// A fenced block of a document: the word after its fence, and its lines.
struct Block {
    kind: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    blocks_of(&std::fs::read_to_string(root().join(document)).unwrap())
}

fn blocks_of(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), is_inside) {
            (Some(kind), false) => blocks.push(Block {
                kind: kind.to_owned(),
                text: String::new(),
            }),
            (None, true) => {
                let block = blocks.last_mut().unwrap();
                block.text += line;
                block.text.push('\n');
            }
            _ => {}
        }
        is_inside ^= line.starts_with("```");
    }
    blocks
}

/// Runs a line with a shell, `abaw` being the program.
#[track_caller]
fn shell(line: &str, folder: &Path, exit: i32) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_abaw"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut shell = Command::new("bash");
    shell
        .args(["-e", "-o", "pipefail", "-c", line])
        .current_dir(folder)
        .env("PATH", path);
    let output = expect_exit(exit, &mut shell);
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A film in which two people are seen for two seconds.
fn interview(workspace: &Workspace) {
    let two = format!("-i {} -vf scale=480:270", sample("two_people.mp4").display());
    workspace.ffmpeg(&two, 60, Path::new("videos/interview.mkv"));
}

fn has_program(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok()
}

#[test]
fn every_snippet_of_the_analysis_guide_runs() {
    let workspace = Workspace::new();
    interview(&workspace);
    let folder = workspace.path("");
    shell(
        "abaw annotate videos --out runs/mine --set detector.long_side=320",
        &folder,
        0,
    );
    let has_arrow = has_program("Rscript")
        && Command::new("Rscript")
            .args(["-e", "library(arrow)"])
            .output()
            .unwrap()
            .status
            .success();
    let mut r = String::new();
    let mut ran = 0;
    for Block { kind, text } in blocks("docs/analysis.md") {
        let mut python = Command::new("python3");
        python
            .current_dir(&folder)
            .env("PYTHONPATH", root().join(".deps/python"));
        match kind.as_str() {
            "python" => drop(expect_exit(0, python.arg("-c").arg(&text))),
            "sql" => {
                let script = "import sys, duckdb; r = duckdb.sql(sys.argv[1]); print(r)";
                let output = expect_exit(0, python.arg("-c").arg(script).arg(&text));
                let is_query = text.contains("SELECT") && !text.contains("COPY");
                assert!(!is_query || output.stdout.len() > 100, "no rows: {text}");
            }
            "sh" => drop(shell(&text, &folder, 0)),
            "r-arrow" if has_arrow => r = text,
            "r-csv" if !has_arrow => r = text,
            "r-arrow" | "r-csv" => continue,
            "r" if has_program("Rscript") => {
                let mut script = Command::new("Rscript");
                expect_exit(0, script.current_dir(&folder).arg("-e").arg(r.clone() + &text));
            }
            "spss" if has_program("pspp") => {
                std::fs::write(workspace.path("syntax.sps"), &text).unwrap();
                shell("pspp syntax.sps", &folder, 0);
            }
            "r" | "spss" => {
                println!("skipped: the snippets of {kind}, whose program is not here");
                continue;
            }
            other => panic!("a snippet of {other}"),
        }
        ran += 1;
    }
    assert!(ran >= 9, "{ran}");
    for picture in ["valence.png", "valence_polars.png", "valence_duckdb.csv"] {
        assert!(
            workspace.path(picture).metadata().unwrap().len() > 100,
            "{picture}"
        );
    }
}

/// What the commands of README.md are about: videos, labels, crops, a checkpoint, a template, a cluster's folder.
fn readers_folder() -> Workspace {
    let workspace = Workspace::new();
    interview(&workspace);
    workspace.face_clip("video.mp4", 4);
    for name in ["a", "b", "c"] {
        workspace.face_clip(format!("videos/{name}.mkv"), 8);
        let labels = format!("valence,arousal\n{}", "0.1,0.2\n0.3,0.1\n".repeat(4));
        write(
            &workspace.path(format!("6th_ABAW_Annotations/VA_Set/{name}.txt")),
            labels,
        );
    }
    write(
        &workspace.path("MTL.txt"),
        "image,valence,arousal,expression,aus\na/00001.jpg,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n".to_owned(),
    );
    for frame in 1..4 {
        let crop = workspace.path(format!("cropped_aligned/341/{frame:05}.png"));
        std::fs::create_dir_all(crop.parent().unwrap()).unwrap();
        face(frame).save(crop).unwrap();
    }
    // Weights of any form are imported, whatever their name.
    let weights = root().join("models/ddamfn-demo.safetensors");
    std::fs::copy(weights, workspace.path("affecnet8_epoch25_acc0.6469.pth")).unwrap();
    std::os::unix::fs::symlink(root().join("pipelines"), workspace.path("pipelines")).unwrap();
    workspace
}

fn write(path: &PathBuf, text: String) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn every_command_of_the_readme_runs() {
    let workspace = readers_folder();
    let folder = workspace.path("");
    let mut ran = 0;
    for block in blocks("README.md") {
        if block.kind == "python" && block.text.contains("import abaw") {
            // The module of the wheel has tests of its own.
            continue;
        }
        if block.kind == "python" {
            let mut python = Command::new("python3");
            python
                .current_dir(&folder)
                .env("PYTHONPATH", root().join(".deps/python"));
            let text = block
                .text
                .replace("runs/sample/frames/astronaut", "runs/mine/frames/a");
            expect_exit(0, python.arg("-c").arg(text.replace("runs/sample", "runs/mine")));
            ran += 1;
            continue;
        }
        for line in block.text.lines() {
            let line = line.split(" # ").next().unwrap_or(line).trim();
            if line.starts_with("make ") {
                // Whether the targets are there; what they do is for a fresh machine.
                let mut make = Command::new("make");
                expect_exit(
                    0,
                    make.arg("-n")
                        .args(line.split_whitespace().skip(1))
                        .current_dir(root()),
                );
                ran += 1;
            }
            if !line.starts_with("abaw ") {
                // Installations are tried in fresh systems (`make test-install`).
                continue;
            }
            let line = line
                .replace("target/release/abaw ", "abaw ")
                .replace("/shared/run", "shared/run");
            if line.starts_with("abaw merge") {
                let plan = Plan::read(&workspace.path("shared/run/plan.json")).unwrap();
                for input in &plan.inputs {
                    let shard = format!(
                        "abaw annotate --plan shared/run/plan.json --shard {}",
                        input.shard
                    );
                    shell(&shard, &folder, 0);
                }
            }
            // The data of a training are not here; anything else is wrong.
            let is_training = line.contains("abaw train");
            let printed = shell(&line, &folder, if is_training { 2 } else { 0 });
            assert!(
                !is_training
                    || printed.contains("s-Aff-Wild2")
                    || printed.contains("no checkpoint")
                    || printed.contains("weights/affecnet8"),
                "{line}: {printed}"
            );
            if line.contains("for_annotators") {
                std::fs::rename(workspace.path("for_annotators"), workspace.path("corrected")).unwrap();
                let _ = std::fs::remove_file(workspace.path("corrected/config.xml"));
            }
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran} commands");
}

/// What a team has before it begins: videos, labels of a track, the organisers' list, weights, the recipes. The labels are
/// made up.
fn teams_folder() -> Workspace {
    const FRAMES: u32 = 16;
    let workspace = Workspace::new();
    let sets = [
        ("Train_Set", ["a", "b", "c"]),
        ("Validation_Set", ["d", "e", "f"]),
    ];
    for (set, names) in sets {
        for (nth, name) in names.into_iter().enumerate() {
            workspace.face_clip(format!("Aff-Wild2/videos/{name}.mkv"), FRAMES);
            let line = |frame: u32| format!("0.{},-0.{}\n", (frame + nth as u32) % 7, frame % 5);
            let labels = format!("valence,arousal\n{}", (0..FRAMES).map(line).collect::<String>());
            let folder = format!("6th_ABAW_Annotations/VA_Estimation_Challenge/{set}");
            write(&workspace.path(format!("{folder}/{name}.txt")), labels);
        }
    }
    workspace.face_clip("Aff-Wild2/videos/g.mkv", FRAMES);
    let list = (1..=FRAMES)
        .map(|frame| format!("g/{frame:05}.jpg,0,0\n"))
        .collect::<String>();
    let list = format!("image_location,valence,arousal\n{list}");
    write(&workspace.path("CVPR_6th_ABAW_VA_test_set_sample.txt"), list);
    let weights = root().join("models/ddamfn-demo.safetensors");
    std::fs::copy(weights, workspace.path("mine.safetensors")).unwrap();
    // Not a link: the recipes' paths count from their folder.
    for recipe in ["abaw6-video.toml", "train-temporal.toml"] {
        let text = std::fs::read_to_string(root().join("pipelines").join(recipe)).unwrap();
        write(&workspace.path(format!("pipelines/{recipe}")), text);
    }
    workspace
}

#[test]
fn a_team_comes_from_videos_to_a_temporal_submission() {
    let workspace = teams_folder();
    let folder = workspace.path("");
    let guide = std::fs::read_to_string(root().join("docs/challenge.md")).unwrap();
    let (_, section) = guide
        .split_once("## 6. From videos to a temporal submission")
        .unwrap();
    let mut printed = String::new();
    for Block { kind, text } in blocks_of(section) {
        match kind.as_str() {
            "toml" => write(&workspace.path("temporal.toml"), text),
            "" => {
                printed += &text
                    .lines()
                    .map(|line| shell(line, &folder, 0))
                    .collect::<String>()
            }
            other => panic!("a snippet of {other}"),
        }
    }
    for words in ["epoch 30/30", "3 videos in 3 folds", "7 tables rewritten"] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    let submitted = std::fs::read_to_string(workspace.path("va_temporal.txt")).unwrap();
    assert_eq!(submitted.lines().count(), 17);

    // The numbers are the network's: those without it differ.
    let raw = shell(
        "abaw postprocess runs/temporal --pipeline pipelines/abaw6-video.toml",
        &folder,
        0,
    );
    assert!(raw.contains("7 tables rewritten"), "{raw}");
    let submit = "abaw submit runs/temporal --challenge va --template CVPR_6th_ABAW_VA_test_set_sample.txt --out raw.txt";
    shell(submit, &folder, 0);
    assert_ne!(
        std::fs::read_to_string(workspace.path("raw.txt")).unwrap(),
        submitted
    );

    // A network in the pipeline file from the start gives the same table as one that comes later.
    let annotate = "abaw annotate Aff-Wild2/videos/g.mkv --out runs/at_once --weights mine.safetensors --features --pipeline";
    shell(&format!("{annotate} temporal.toml"), &folder, 0);
    shell(
        "abaw annotate Aff-Wild2/videos/g.mkv --out runs/later --weights mine.safetensors --features",
        &folder,
        0,
    );
    shell("abaw postprocess runs/later --pipeline temporal.toml", &folder, 0);
    let rows = |run: &str| crate::support::table(&workspace.path(run), "g").0;
    assert_eq!(rows("runs/at_once"), rows("runs/later"));
}
