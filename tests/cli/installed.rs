//! The Python package as pip lays it out, and what Snakemake makes of the Snakefile.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abaw::table;

use crate::support::{abaw, expect_exit, root, sample, stderr_of, stdout_of};

/// A folder of Python packages with this one in it, as in the wheel.
fn packages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("abaw");
    std::fs::create_dir_all(package.join("bin")).unwrap();
    for file in ["__init__.py", "__main__.py", "py.typed"] {
        std::fs::copy(root().join("python/abaw").join(file), package.join(file)).unwrap();
    }
    symlink(abaw().get_program(), package.join("bin/abaw")).unwrap();
    folder
}

fn python(packages: &Path) -> Command {
    let mut command = Command::new("python3");
    let paths = [packages.to_owned(), root().join(".deps/python")];
    command.env("PYTHONPATH", std::env::join_paths(paths).unwrap());
    command
}

fn started(packages: &Path) -> Output {
    python(packages).args(["-m", "abaw", "doctor"]).output().unwrap()
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_module_annotates_and_reads_a_run() {
    let folder = packages();
    symlink(root().join(".deps/libtorch/torch"), folder.path().join("torch")).unwrap();
    symlink(root().join(".deps/libtorch/nvidia"), folder.path().join("nvidia")).unwrap();
    let output = started(folder.path());
    assert!(output.status.success(), "{}", stderr_of(&output));

    let mut script = python(folder.path());
    script.arg(root().join("tests/python/use_module.py"));
    let output = expect_exit(0, script.arg(sample("carphone.mp4")).arg(folder.path()));
    // The progress and messages of the program are passed on.
    assert!(
        stderr_of(&output).contains("device: cpu"),
        "{}",
        stderr_of(&output)
    );
    assert!(stdout_of(&output).contains("all hold"));
}

#[test]
fn a_torch_that_is_missing_wrong_or_incomplete_is_one_sentence() {
    let refused = |folder: &Path, words: &[&str]| {
        let output = started(folder);
        let message = stderr_of(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    };
    let folder = packages();
    refused(
        folder.path(),
        &["PyTorch is missing", "pip install torch==2.13.0"],
    );

    let torch = folder.path().join("torch");
    write(torch.join("__init__.py"), "raise SystemExit('imported')\n");
    let version = |text: &str| write(torch.join("version.py"), text);
    version("__version__ = '2.12.1+cu130'\ncuda: Optional[str] = '13.0'\n");
    refused(
        folder.path(),
        &["PyTorch is 2.12.1+cu130", "built for 2.13.0", "pip install"],
    );
    version("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n");
    refused(
        folder.path(),
        &["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"],
    );
}

#[test]
fn snakemake_runs_the_snakefile_and_has_nothing_to_do_afterwards() {
    let snakemake = root().join(".deps/snakemake");
    if !snakemake.exists() {
        eprintln!("skipped: no Snakemake for this Python (make setup)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (videos, run) = (folder.path().join("videos"), folder.path().join("run"));
    std::fs::create_dir_all(&videos).unwrap();
    for clip in ["carphone.mp4", "astronaut.mp4"] {
        std::fs::copy(sample(clip), videos.join(clip)).unwrap();
    }
    let snakemake = || {
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", &snakemake)
            .env("HOME", folder.path())
            .args(["-m", "snakemake", "--cores", "2", "--snakefile"])
            .arg(root().join("pipelines/slurm/Snakefile"))
            .arg("--directory")
            .arg(&run)
            .arg("--config")
            .arg(format!("videos={}", videos.display()))
            .arg(format!("abaw={}", abaw().get_program().to_str().unwrap()))
            .args(["shards=2", "threads=1", "options=--device cpu --limit-frames 5"]);
        expect_exit(0, &mut command)
    };
    snakemake();
    for clip in ["carphone", "astronaut"] {
        let (rows, _) = table::read(&run.join(format!("frames/{clip}.parquet"))).unwrap();
        assert_eq!(rows.iter().filter(|row| row.subject).count(), 5, "{clip}");
    }
    assert!(run.join("run.json").exists());
    let again = snakemake();
    assert!(
        stderr_of(&again).contains("Nothing to be done"),
        "{}",
        stderr_of(&again)
    );
}
