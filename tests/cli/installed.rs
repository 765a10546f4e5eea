//! The Python package as pip lays it out, and the workflows that find the installed program.

use std::os::unix::fs::{MetadataExt, symlink};
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

/// Runs a shard by `annotate.sbatch` as Slurm does, from a folder that is no checkout, with `abaw` on the PATH.
fn shard_by_script(workplace: &Path, run: &Path, variables: &[(&str, &str)]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let mut script = Command::new("bash");
    script
        .arg(root().join("pipelines/slurm/annotate.sbatch"))
        .current_dir(run)
        .env("PATH", format!("{}:{path}", workplace.join("bin").display()))
        .env("SLURM_SUBMIT_DIR", workplace)
        .envs([
            ("SLURM_ARRAY_TASK_ID", "0"),
            ("SLURM_ARRAY_JOB_ID", "7"),
            ("SLURMD_NODENAME", "n1"),
        ])
        .env_remove("ABAW")
        .env_remove("ABAW_IMAGE")
        .env_remove("CUDA_VISIBLE_DEVICES")
        .envs(variables.iter().copied());
    expect_exit(0, &mut script)
}

#[test]
fn job_scripts_find_the_installed_program_and_run_it_in_an_image() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(abaw().get_program(), bin.join("abaw")).unwrap();
    // Apptainer is not here: this runs the command that it is given, and prints how it was called.
    let apptainer = bin.join("apptainer");
    let text = "#!/bin/sh\necho \"apptainer $*\"\n[ \"$2\" = --nv ] && shift\nshift 2\nexec \"$@\"\n";
    write(apptainer.clone(), text);
    std::fs::set_permissions(&apptainer, std::fs::Permissions::from_mode(0o755)).unwrap();

    let run = folder.path().join("run");
    let mut plan = abaw();
    plan.arg("plan")
        .arg(sample("carphone.mp4"))
        .arg("--out")
        .arg(&run);
    plan.args(["--shards", "1", "--device", "cpu", "--limit-frames", "3"]);
    expect_exit(0, &mut plan);

    let output = stdout_of(&shard_by_script(folder.path(), &run, &[]));
    assert!(
        output.contains("shard 0: 1 done") && !output.contains("apptainer"),
        "{output}"
    );
    let image = ("ABAW_IMAGE", "/data/abaw.sif");
    let output = stdout_of(&shard_by_script(folder.path(), &run, &[image]));
    assert!(
        output.contains("apptainer exec /data/abaw.sif abaw annotate --plan plan.json --shard 0"),
        "{output}"
    );
    let gpu = ("CUDA_VISIBLE_DEVICES", "0");
    let output = stdout_of(&shard_by_script(folder.path(), &run, &[image, gpu]));
    assert!(output.contains("apptainer exec --nv /data/abaw.sif"), "{output}");
}

/// What a step of the set-up prints where `mount` stands below the cache and no network is reached.
fn step_without_network(cache: &Path, mount: &str) -> Option<String> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        // Whoever is not root is it in a namespace of users.
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        command.args(if is_root {
            &[][..]
        } else {
            &["--user", "--map-root-user"]
        });
        command.args(["--mount", "--net", "sh", "-c", script]);
        command
    };
    // Some systems refuse namespaces: nothing can be tried there.
    if !unshare("true")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("not tried: this system refuses `unshare --mount --net`");
        return None;
    }
    let mut step = unshare(&format!("{mount} && exec setup/cargo-deny.sh"));
    let step = step.env("ABAW_CACHE", cache).current_dir(root());
    Some(stderr_of(&expect_exit(1, step)))
}

#[test]
fn a_cache_that_is_full_or_read_only_or_no_network_is_one_sentence_each() {
    let cache = tempfile::tempdir().unwrap();
    let place = cache.path().to_str().unwrap();
    let full = format!("mount -t tmpfs -o nr_inodes=1 full {place}");
    let read_only = format!("mount -t tmpfs -o ro read-only {place}");
    for (mount, wanted) in [
        (
            full.as_str(),
            "is full: make room, or name a folder elsewhere as ABAW_CACHE",
        ),
        (
            read_only.as_str(),
            "cannot be written: name a folder that can as ABAW_CACHE",
        ),
        ("true", "no network?"),
    ] {
        let Some(message) = step_without_network(cache.path(), mount) else {
            return;
        };
        assert_eq!(message.lines().count(), 1, "{mount}: {message}");
        assert!(
            message.contains(wanted) && message.contains(place),
            "{mount}: {message}"
        );
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_one_sentence_that_names_the_variable() {
    let mut setup = Command::new(root().join("setup/cargo-deny.sh"));
    let output = expect_exit(1, setup.env("ABAW_CACHE", "/proc/abaw"));
    let message = stderr_of(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("/proc/abaw cannot be written") && message.contains("ABAW_CACHE"),
        "{message}"
    );
}
