//! A Slurm cluster on this machine: munged, slurmctld and two nodes. A node is a PID namespace, so that it can
//! die with all its jobs, and sees everything but the cluster's folder read-only. All of it listens on
//! loopback only and ends with the test, even if that is killed.

use crate::support::{stderr_of, stdout_of};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(150);

pub const NODES: [&str; 2] = ["n1", "n2"];

/// What a node does: makes itself unable to write elsewhere, runs slurmd, and outlives it as long as it is let.
const NODE: &str = r#"
set -e
for folder in "$1" "$1/videos"; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro "$1/videos"
mount -o remount,bind,ro /
slurmd -D -N "$2" || true
exec sleep infinity
"#;

/// Slurm binds to the address of its host's name, which may be any, or none.
const UNDER_THE_NAME_OF_LOCALHOST: &str = r#"hostname localhost && exec "$@""#;

pub struct Cluster {
    folder: tempfile::TempDir,
    controller: Daemon,
    nodes: BTreeMap<&'static str, Daemon>,
    _munged: Daemon,
}

/// A process that is killed when it goes out of sight.
struct Daemon(Child);

/// A task of an array, or a job, as `scontrol` shows it.
#[derive(Debug, Clone)]
pub struct Task {
    pub job: String,
    /// The shard; a range for tasks that have never been started.
    pub shard: String,
    pub state: String,
    pub node: String,
    pub restarts: u32,
    /// Taken back by Slurm, which lets it wait for two minutes.
    pub held_back: bool,
    /// The batch script's.
    pub exit_code: i32,
}

impl Cluster {
    /// Starts a cluster and waits until its nodes are idle.
    pub fn start() -> Self {
        let user = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
        assert_eq!(
            user, 0,
            "only root can make nodes: they are namespaces with mounts of their own"
        );
        let folder = tempfile::Builder::new()
            .prefix("abaw-cluster-")
            .tempdir()
            .unwrap();
        let at = folder.path();
        for part in ["munge", "state", "videos"] {
            fs::create_dir(at.join(part)).unwrap();
        }
        fs::write(at.join("munge/key"), random_bytes()).unwrap();
        for (file, mode) in [("munge/key", 0o600), ("munge", 0o755), ("", 0o755)] {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(at.join(file), permissions).unwrap();
        }
        fs::write(at.join("slurm.conf"), configuration(at)).unwrap();
        // Slurm only looks whether the files are there.
        let gpus = "NodeName=n[1-2] Name=gpu File=/dev/null\nNodeName=n[1-2] Name=gpu File=/dev/zero\n";
        fs::write(at.join("gres.conf"), gpus).unwrap();
        let munged = Daemon::start(at, "munged", |munged| {
            munged.args(["munged", "--foreground", "--force"]);
            for (option, file) in [
                ("socket", "sock"),
                ("key-file", "key"),
                ("pid-file", "pid"),
                ("seed-file", "seed"),
            ] {
                munged.arg(format!("--{option}={}/munge/{file}", at.display()));
            }
        });
        await_that("munge's socket", || at.join("munge/sock").exists());
        let mut cluster = Self {
            controller: start_controller(at),
            nodes: BTreeMap::new(),
            _munged: munged,
            folder,
        };
        for node in NODES {
            cluster.start_node(node);
        }
        for node in NODES {
            cluster.await_idle(node);
        }
        cluster
    }

    /// A path in the folder that the nodes can write to.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that knows the cluster and the program under test.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("SLURM_CONF", self.path("slurm.conf"))
            .env("ABAW", env!("CARGO_BIN_EXE_abaw"))
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// Submits all shards of a run by the project's own script, and gives the job's number.
    pub fn submit(&self, run: &Path, shards: u32) -> String {
        let array = format!("--array=0-{}", shards - 1);
        self.sbatch(run, &[&array, "pipelines/slurm/annotate.sbatch"])
    }

    /// Submits the merge of a run for when a job has ended, waits, and gives its exit code.
    pub fn merge(&self, run: &Path, after: &str) -> i32 {
        let dependency = format!("--dependency=afterany:{after}");
        let merge = self.sbatch(run, &[&dependency, "pipelines/slurm/merge.sbatch"]);
        self.await_end(&merge);
        self.tasks(&merge)[0].exit_code
    }

    /// Submits a script with options for a run, and gives the job's number.
    pub fn sbatch(&self, run: &Path, arguments: &[&str]) -> String {
        let mut sbatch = self.command("sbatch");
        sbatch.arg("--parsable").arg("--chdir").arg(run).args(arguments);
        text(succeed(&mut sbatch)).trim().to_owned()
    }

    /// What `scontrol` says, given that it must not fail.
    pub fn scontrol(&self, arguments: &[&str]) -> String {
        text(succeed(self.command("scontrol").args(arguments)))
    }

    /// The tasks of a job. None while the controller is away.
    pub fn tasks(&self, job: &str) -> Vec<Task> {
        let shown = self
            .command("scontrol")
            .args(["--oneliner", "show", "job", job])
            .output();
        let shown = text(shown.unwrap());
        shown.lines().filter_map(Task::parse).collect()
    }

    /// Waits until no task of a job is waiting or running.
    pub fn await_end(&self, job: &str) {
        await_that("the end of a job", || {
            self.hurry(job);
            let tasks = self.tasks(job);
            !tasks.is_empty() && tasks.iter().all(Task::has_ended)
        });
    }

    /// Lets tasks that Slurm has taken back start at once.
    pub fn hurry(&self, job: &str) {
        for task in self.tasks(job).iter().filter(|task| task.held_back) {
            // Fails while the task is still being cleared away.
            let update = ["update", &format!("jobid={}", task.job), "starttime=now"];
            let _ = self.command("scontrol").args(update).output();
        }
    }

    /// Kills a node with all that runs there, as a power cut does, and tells Slurm so.
    pub fn kill_node(&mut self, node: &'static str) {
        self.nodes.remove(node);
        self.declare_down(node);
    }

    /// Kills slurmd alone: what it had started runs on.
    pub fn kill_slurmd(&self, node: &str) {
        for (id, name) in self.processes(node) {
            if name == "slurmd" {
                signal("KILL", id);
            }
        }
        await_that("slurmd's end", || {
            self.processes(node).iter().all(|(_, name)| name != "slurmd")
        });
    }

    /// Spares waiting for `SlurmdTimeout`.
    pub fn declare_down(&self, node: &str) {
        self.scontrol(&[
            "update",
            &format!("nodename={node}"),
            "state=down",
            "reason=crash",
        ]);
    }

    /// Starts a node, or starts it anew.
    pub fn start_node(&mut self, node: &'static str) {
        self.nodes.remove(node);
        let at = self.folder.path();
        let daemon = Daemon::start(at, node, |command| {
            command.args([
                "unshare",
                "--pid",
                "--mount",
                "--fork",
                "--kill-child=KILL",
                "--mount-proc",
                "--",
            ]);
            command.args(["sh", "-c", NODE, "sh"]).arg(at).arg(node);
        });
        self.nodes.insert(node, daemon);
    }

    /// Waits until a node is ready for work.
    pub fn await_idle(&self, node: &str) {
        let state = || {
            text(
                self.command("sinfo")
                    .args(["-hN", "-n", node, "-o", "%T"])
                    .output()
                    .unwrap(),
            )
        };
        await_that("an idle node", || match state().trim() {
            "idle" => true,
            state if state.starts_with("down") => {
                let resume = ["update", &format!("nodename={node}"), "state=resume"];
                let _ = self.command("scontrol").args(resume).output();
                false
            }
            _ => false,
        });
    }

    /// Kills the controller once it has written down what it was told before `moment`. It does so within
    /// seconds; a job that it is killed with before that is lost, and `merge` names its shards.
    pub fn kill_controller(&mut self, moment: SystemTime) {
        let state = self.path("state/job_state");
        let written = || fs::metadata(&state).and_then(|file| file.modified());
        await_that("the controller's memory", || {
            written().is_ok_and(|written| written > moment)
        });
        self.controller.kill();
    }

    pub fn start_controller(&mut self) {
        self.controller = start_controller(self.folder.path());
        await_that("the controller", || {
            self.command("scontrol")
                .arg("ping")
                .output()
                .unwrap()
                .status
                .success()
        });
    }

    /// The processes of a node: number and name.
    pub fn processes(&self, node: &str) -> Vec<(u32, String)> {
        descendants(self.nodes[node].0.id())
    }

    /// The program at work on a node.
    pub fn abaw_on(&self, node: &str) -> Option<u32> {
        let processes = self.processes(node);
        processes
            .into_iter()
            .find(|(_, name)| name == "abaw")
            .map(|(id, _)| id)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["munged.log", "slurmctld.log", "n1.log", "n2.log"] {
                let written = fs::read_to_string(self.path(log)).unwrap_or_default();
                let last: Vec<&str> = written.lines().rev().take(50).collect();
                eprintln!("--- {log}, latest first\n{}", last.join("\n"));
            }
        }
    }
}

fn start_controller(at: &Path) -> Daemon {
    Daemon::start(at, "slurmctld", |command| {
        command.args(["slurmctld", "-D"]);
    })
}

impl Daemon {
    /// Starts what `name` says in a command line; what it writes goes to `<name>.log`.
    fn start(at: &Path, name: &str, arguments: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--uts", "--"]);
        command.args(["sh", "-c", UNDER_THE_NAME_OF_LOCALHOST, "sh"]);
        arguments(&mut command);
        let log = File::options()
            .create(true)
            .append(true)
            .open(at.join(format!("{name}.log")))
            .unwrap();
        let daemon = command
            .env("SLURM_CONF", at.join("slurm.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(daemon.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Task {
    fn parse(line: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = line
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .collect();
        let field = |name: &str| fields.get(name).map(|&value| value.to_owned());
        Some(Self {
            job: field("JobId")?,
            shard: field("ArrayTaskId").unwrap_or_default(),
            state: field("JobState")?,
            node: field("NodeList").unwrap_or_default(),
            restarts: field("Restarts")?.parse().ok()?,
            held_back: field("Reason")? == "BeginTime",
            exit_code: field("ExitCode")?.split(':').next()?.parse().ok()?,
        })
    }

    fn has_ended(&self) -> bool {
        ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"].contains(&self.state.as_str())
    }
}

/// The settings of the cluster; those that are not obvious are explained in `docs/cluster.md`.
fn configuration(at: &Path) -> String {
    let [controller, first, second] = free_ports();
    let at = at.display();
    format!(
        "ClusterName=test\n\
         SlurmctldHost=localhost(127.0.0.1)\n\
         SlurmctldPort={controller}\n\
         CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n\
         SlurmUser=root\n\
         SlurmdUser=root\n\
         AuthType=auth/munge\n\
         AuthInfo=socket={at}/munge/sock\n\
         CredType=cred/munge\n\
         StateSaveLocation={at}/state\n\
         SlurmdSpoolDir={at}/spool.%n\n\
         SlurmdPidFile={at}/slurmd.%n.pid\n\
         SlurmctldPidFile={at}/slurmctld.pid\n\
         ProctrackType=proctrack/linuxproc\n\
         TaskPlugin=task/none\n\
         JobAcctGatherType=jobacct_gather/none\n\
         AccountingStorageType=accounting_storage/none\n\
         JobCompType=jobcomp/none\n\
         MpiDefault=none\n\
         SwitchType=switch/none\n\
         SelectType=select/cons_tres\n\
         SelectTypeParameters=CR_Core\n\
         SlurmdParameters=config_overrides\n\
         SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2\n\
         ReturnToService=2\n\
         JobRequeue=1\n\
         RequeueExit=75\n\
         SlurmctldTimeout=10\n\
         SlurmdTimeout=10\n\
         BatchStartTimeout=10\n\
         KillWait=5\n\
         MinJobAge=3600\n\
         GresTypes=gpu\n\
         NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN\n\
         NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN\n\
         PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn random_bytes() -> Vec<u8> {
    (0..1024).map(|_| fastrand::u8(..)).collect()
}

/// All processes below one, from /proc.
fn descendants(ancestor: u32) -> Vec<(u32, String)> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `7 (name, even with spaces) S 1 ...`
        if let (Some((id, rest)), Some((_, after))) = (stat.split_once(" ("), stat.rsplit_once(") ")) {
            let name = rest.rsplit_once(") ").map_or("", |(name, _)| name).to_owned();
            let parent: u32 = after.split(' ').nth(1).unwrap().parse().unwrap();
            parents.insert(id.parse::<u32>().unwrap(), (parent, name));
        }
    }
    let is_below = |id: &u32| {
        let above = |id: &u32| parents.get(id).map(|&(parent, _)| parent);
        std::iter::successors(above(id), above).any(|id| id == ancestor)
    };
    let below = parents.iter().filter(|(id, _)| is_below(id));
    below.map(|(&id, (_, name))| (id, name.clone())).collect()
}

/// Sends a signal to a process that this test has started.
pub fn signal(name: &str, process: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Waits for something that must come.
#[track_caller]
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", stderr_of(&output));
    output
}

pub fn text(output: Output) -> String {
    stdout_of(&output)
}
