//! Data sets and recipes that do not fit.

use std::path::Path;
use std::process::Command;

use super::small_data_set::SmallDataSet;

use crate::support::stderr_of;

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(text)).unwrap();
}

#[test]
fn a_few_bad_images_are_listed_and_training_goes_on() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1", "most_unreadable = 0.2"]);
    edit(&set.path("recipe.toml"), |text| {
        text.replace("most_unreadable = 0.2\n", "")
            .replace("[data]", "[data]\nmost_unreadable = 0.2")
    });
    std::fs::write(set.path("crops/v/00003.png"), b"no image").unwrap();
    std::fs::remove_file(set.path("crops/v/00004.png")).unwrap();
    edit(&set.path("labels.txt"), |text| {
        text.replace("v/00005", "unknown/00005")
    });
    let output = set.train("run", &[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    let list = std::fs::read_to_string(set.path("run/unreadable.txt")).unwrap();
    for bad in [
        "v/00003.jpg: ",
        "v/00004.jpg: no such image",
        "unknown/00005.jpg: no such image",
    ] {
        assert!(list.contains(bad), "{list}");
    }
    assert!(
        stderr_of(&output)
            .contains("2 labelled training images are missing and left out (first: v/00004.jpg)")
    );
    assert!(stderr_of(&output).contains("1 validation images cannot be read"));
}

#[test]
fn too_many_bad_images_end_it() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1"]);
    std::fs::write(set.path("crops/v/00003.png"), b"no image").unwrap();
    let output = set.train("run", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr_of(&output).contains("1 of 24 images are missing or unreadable"),
        "{}",
        stderr_of(&output)
    );
    assert!(stderr_of(&output).contains("unreadable.txt"));
}

#[test]
fn an_empty_class_is_a_warning_and_an_unlabelled_task_an_error() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1"]);
    // No image shows disgust.
    edit(&set.path("labels.txt"), |text| {
        let relabel = |line: &str| {
            let mut fields: Vec<&str> = line.split(',').collect();
            if fields[3] == "2" {
                fields[3] = "0";
            }
            fields.join(",")
        };
        text.lines().map(relabel).collect::<Vec<_>>().join("\n")
    });
    let output = set.train("run", &[]);
    assert!(output.status.success(), "{}", stderr_of(&output));
    assert!(stderr_of(&output).contains("no training image shows Disgust"));

    edit(&set.path("labels.txt"), |text| {
        let unlabel = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            match fields[0] {
                "image" => line.to_owned(),
                image => format!("{image},-5,-5,{}", fields[3..].join(",")),
            }
        };
        text.lines().map(unlabel).collect::<Vec<_>>().join("\n")
    });
    let output = set.train("other", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr_of(&output).contains("no image is labelled for valence and arousal"),
        "{}",
        stderr_of(&output)
    );
}

#[test]
fn archives_that_cannot_be_read_in_place_are_named() {
    let set = SmallDataSet::new();
    let tar = |arguments: &[&str]| {
        let made = Command::new("tar")
            .current_dir(set.path(""))
            .args(arguments)
            .status()
            .unwrap();
        assert!(made.success());
    };
    tar(&["-cf", "whole.tar", "-C", "crops", "v"]);
    tar(&["-czf", "packed.tar.gz", "-C", "crops", "v"]);
    std::fs::copy(set.path("packed.tar.gz"), set.path("named_wrongly.tar")).unwrap();
    let whole = std::fs::read(set.path("whole.tar")).unwrap();
    for (name, length) in [
        ("in_a_member.tar", whole.len() / 2 + 100),
        ("between_blocks.tar", whole.len() / 2 / 512 * 512),
    ] {
        std::fs::write(set.path(name), &whole[..length]).unwrap();
    }
    std::fs::write(set.path("text.tar"), "\u{1}not an archive ".repeat(200)).unwrap();
    for (name, reason) in [
        (
            "packed.tar.gz",
            "packed.tar.gz: compressed by gzip; unpack it to a plain .tar",
        ),
        ("named_wrongly.tar", "compressed by gzip"),
        ("in_a_member.tar", "cut off before its end; copy it again"),
        ("between_blocks.tar", "cut off before its end; copy it again"),
        ("text.tar", "text.tar: not a .tar file, or damaged"),
    ] {
        set.recipe(&[
            "epochs = 1",
            &format!("train = {{ labels = \"labels.txt\", images = \"{name}\" }}"),
        ]);
        let output = set.train("run", &[]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let error = stderr_of(&output);
        assert!(error.contains(reason), "{name}: {error}");
        assert!(
            error
                .chars()
                .all(|character| !character.is_control() || character == '\n'),
            "{error:?}"
        );
    }
}

#[test]
fn strict_that_leaves_nothing_is_the_reason_given() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1", "tasks = [\"va\"]"]);
    edit(&set.path("recipe.toml"), |text| {
        text.replace("[data]", "[data]\nstrict = true")
    });
    edit(&set.path("labels.txt"), |text| {
        let lines = text
            .lines()
            .map(|line| match line.split(',').collect::<Vec<_>>()[..] {
                ["image", ..] => line.to_owned(),
                [image, valence, arousal, ..] => {
                    format!("{image},{valence},{arousal},-1{}", ",-1".repeat(12))
                }
                _ => unreachable!(),
            });
        lines.collect::<Vec<_>>().join("\n")
    });
    let output = set.train("run", &[]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr_of(&output);
    assert!(
        error.contains("it leaves out all 24 labelled images; set strict = false"),
        "{error}"
    );
}

#[test]
fn a_learning_rate_that_explodes_is_named_with_its_images() {
    let set = SmallDataSet::new();
    set.recipe(&[
        "epochs = 1",
        "optimizer = { name = \"adam\", learning_rate = 1e30 }",
        "schedule = { name = \"constant\" }",
    ]);
    let output = set.train("run", &[]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr_of(&output);
    assert!(
        error.contains("is not a number at step 2 of epoch 1") && error.contains("v/000"),
        "{error}"
    );
}

#[test]
fn recipes_that_mean_nothing_are_refused() {
    let set = SmallDataSet::new();
    for (change, reason) in [
        ("batch = 2", "batch must be at least 2 images a replica"),
        ("bacth = 8", "unknown field"),
        ("tasks = []", "tasks must name at least one"),
        ("layers = \"some\"", "unknown variant"),
        ("precision = \"f16\"", "gradients underflow in f16"),
        (
            "train = { labels = \"absent.txt\", images = \"crops\" }",
            "absent.txt",
        ),
        (
            "train = { labels = \"labels.txt\", images = \"absent\" }",
            "absent",
        ),
    ] {
        set.recipe(&[change]);
        let output = set.train("run", &[]);
        assert_eq!(output.status.code(), Some(2), "{change}");
        assert!(
            stderr_of(&output).contains(reason),
            "{change}: {}",
            stderr_of(&output)
        );
    }
}

/// On a disk too small for a second checkpoint, the first stays whole.
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let set = SmallDataSet::new();
    let disk = set.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=130m", "tmpfs"])
        .arg(&disk)
        .status()
        .unwrap();
    if !mounted.success() {
        eprintln!("skipped: a small disk cannot be mounted here");
        return;
    }
    set.recipe(&["epochs = 3"]);
    let output = set.train("disk/run", &[]);
    let checkpoint = disk.join("run/checkpoint.safetensors");
    let whole =
        std::fs::read(&checkpoint).map(|bytes| safetensors::SafeTensors::deserialize(&bytes).map(|_| ()));
    let left: Vec<String> = std::fs::read_dir(disk.join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(output.status.code(), Some(2), "{}", stderr_of(&output));
    assert!(
        stderr_of(&output).contains("No space left on device"),
        "{}",
        stderr_of(&output)
    );
    assert!(whole.unwrap().is_ok());
    assert!(
        !left.iter().any(|name| name.starts_with(".unfinished")),
        "{left:?}"
    );
}
