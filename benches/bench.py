#!/usr/bin/env python3
"""What abaw costs beside its peers, on this machine: `make bench` runs it and writes its part of
docs/benchmarks.md.

Everything that is compared is measured in turn, five rounds, and the median counts. Workers (`benches/stages.rs` and
`benches/peers/`) stay alive between rounds, so that loading a network is no part of the measure.
"""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import chart
import report

ROUNDS = 5
# A measurement of less is noise.
SECONDS = 0.25
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target/bench"
PEERS = ROOT / "benches/peers"
ABAW = ROOT / "target/release/abaw"
DETECTOR = ROOT / "models/retinaface-mobilenet0.25.safetensors"
AFFECT = ROOT / "models/ddamfn-demo.safetensors"
CORES = sorted(os.sched_getaffinity(0))


def on_cores(count):
    """What a child does first: it keeps to as many cores."""
    return lambda: os.sched_setaffinity(0, CORES[:count])


def peer(script, *words):
    return [sys.executable, PEERS / script, *words]


class Worker:
    """A process that answers a line with a line."""

    def __init__(self, command, cores):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.command = command
        self.cores = cores

    def ready(self):
        """Waits for the start, on any core, and keeps it to as many from here on, with all its threads."""
        line = self.process.stdout.readline()
        if line != "ready\n":
            sys.exit(f"bench: {' '.join(map(str, self.command))} did not start: {line}")
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), CORES[: self.cores])

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench: {' '.join(map(str, self.command))} gave up")
        return json.loads(answer)

    def memory_mb(self):
        """The most that it held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def in_turn(workers, batch):
    """Median seconds an item of each worker by name."""
    repeats = {}
    for name, worker in workers.items():
        worker.ask(f"time {batch} 1")
        start = time.perf_counter()
        worker.ask(f"time {batch} 1")
        repeats[name] = max(1, round(SECONDS / (time.perf_counter() - start)))
    times = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            times[name].append(worker.ask(f"time {batch} {repeats[name]}"))
    return {name: statistics.median(values) for name, values in times.items()}


def started(commands, cores):
    """Workers by name, all ready."""
    workers = {name: Worker(command, cores) for name, command in commands.items()}
    for worker in workers.values():
        worker.ready()
    return workers


def closed(workers):
    for worker in workers.values():
        worker.close()


def difference(a, b):
    """The largest difference between two answers to `outputs`."""
    flat = lambda answer: [number for output in answer for row in output for number in row]
    return max(abs(x - y) for x, y in zip(flat(a), flat(b), strict=True))


ENGINES = {
    "PyTorch": "torch",
    "PyTorch, channels last": "torch-channels-last",
    "onnxruntime": "onnxruntime",
    "OpenVINO": "openvino",
}


def networks(stages):
    rows, exact = [], {}
    jobs = [
        ("ddamfn", "f32", ENGINES, AFFECT, FOLDER / "crops.rgb", (1, 16, 64)),
        ("ddamfn", "bf16", {k: ENGINES[k] for k in ("PyTorch, channels last", "OpenVINO")}, AFFECT, FOLDER / "crops.rgb", (1, 16, 64)),
        ("detector", "f32", ENGINES, DETECTOR, FOLDER / "pictures.rgb", (1, 4)),
    ]
    for network, precision, engines, weights, pictures, batches in jobs:
        for cores in sorted({1, len(CORES)}):
            commands = {"abaw": [stages, network, precision, cores, weights, pictures]}
            for name, engine in engines.items():
                commands[name] = peer("forward.py", network, engine, precision, cores, weights, pictures)
            workers = started(commands, cores)
            outputs = {name: worker.ask("outputs") for name, worker in workers.items()}
            exact.setdefault(network, outputs.get("PyTorch"))
            for batch in batches:
                seconds = in_turn(workers, batch)
                for name in commands:
                    rows.append(
                        {
                            "network": network,
                            "precision": precision,
                            "cores": cores,
                            "batch": batch,
                            "engine": name,
                            "ms": seconds[name] * 1e3,
                            "mb": workers[name].memory_mb(),
                            "difference": difference(outputs[name], exact[network]),
                        }
                    )
                say(f"{network} {precision}, batch {batch}, {cores} cores", seconds)
            closed(workers)
    return rows


def small_stages(stages, table):
    """Decoding, resizing, alignment, tables."""
    rows = []
    jobs = []
    for size in ("720p", "1080p"):
        clip = FOLDER / f"{size}_1.mp4"
        decode = {"abaw": ["decode", clip]}
        jobs.append((f"decode to RGB, {size}, a frame", decode, {"PyAV": ["decode-pyav", clip], "OpenCV": ["decode-opencv", clip]}))
        jobs.append((f"resize for the detector, {size}, a frame", {"abaw": ["resize", clip]}, {}))
    clip = FOLDER / "720p_1.mp4"
    jobs.append(("align, 720p, a face", {"abaw": ["align", clip]}, {"NumPy and OpenCV": ["align", clip]}))
    jobs.append(("write Parquet, a row", {"abaw": ["parquet", table]}, {"pandas": ["parquet", table]}))
    for cores in sorted({1, len(CORES)}):
        for what, ours, theirs in jobs:
            commands = {name: [stages, *words, cores] for name, words in ours.items()}
            commands |= {name: peer("stages.py", *words, cores) for name, words in theirs.items()}
            workers = started(commands, cores)
            seconds = in_turn(workers, 1)
            rows += [
                {"what": what, "cores": cores, "engine": name, "us": seconds[name] * 1e6, "mb": workers[name].memory_mb()}
                for name in commands
            ]
            say(f"{what}, {cores} cores", seconds)
            closed(workers)
    return rows


def run(command, cores=len(CORES)):
    """Wall and processor seconds and peak memory (MB) of a program that must succeed; `work`: wall seconds of the work alone,
    without the start, as the program itself says."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [str(word) for word in command], stdout=said, stderr=subprocess.STDOUT, preexec_fn=on_cores(cores)
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        said.seek(0)
        said = said.read().decode()
    if status != 0:
        sys.exit(f"bench: {' '.join(map(str, command))}:\n{said}")
    if "--out" in command:
        summary = json.loads((Path(command[command.index("--out") + 1]) / "run.json").read_text())
        work = summary["totals"]["wall_seconds"]
    else:
        work = float(said.split()[-2])
    return {"wall": wall, "work": work, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}


def annotate(inputs, *words, threads=len(CORES), pipeline=None):
    """A command that annotates into a fresh folder."""
    out = tempfile.mkdtemp(dir=FOLDER)
    inputs = inputs if isinstance(inputs, list) else [inputs]
    command = [ABAW, "annotate", *inputs, "--out", f"{out}/run", "--device", "cpu", "--threads", threads, "--weights", AFFECT]
    return command + (["--pipeline", pipeline] if pipeline else []) + list(words)


def runs_in_turn(commands, cores=None):
    """Medians of each command by name; a command is a function that makes it, since each run wants a folder of its own."""
    cores = cores or {}
    results = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            results[name].append(run(command(), cores.get(name, len(CORES))))
    return {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in results.items()
    }


def whole_pipeline():
    bf16 = FOLDER / "bf16.toml"
    bf16.write_text('[model]\nprecision = "bf16"\n')
    rows = []
    for clip in ("720p_1", "720p_2", "1080p_1", "1080p_2"):
        path = FOLDER / f"{clip}.mp4"
        for cores in [len(CORES)] if clip != "720p_1" else sorted({1, len(CORES)}):
            script = lambda *words: peer("pipeline.py", path, DETECTOR, AFFECT, FOLDER / "python.parquet", cores, *words)
            commands = {
                "abaw f32": lambda: annotate(path, threads=cores),
                "abaw bf16": lambda: annotate(path, threads=cores, pipeline=bf16),
                "Python f32": script,
            }
            if clip == "720p_1":
                commands["Python bf16"] = lambda: script("bf16")
            medians = runs_in_turn(commands, {name: cores for name in commands})
            rows += [{"clip": clip, "cores": cores, "program": name, **median} for name, median in medians.items()]
            say(f"{clip}, {cores} cores", {name: median["wall"] for name, median in medians.items()})
    return rows


def scaling():
    carphone = ROOT / "sample_data/carphone.mp4"
    eight = FOLDER / "eight"
    eight.mkdir(exist_ok=True)
    for i in range(8):
        (eight / f"{i}.mp4").unlink(missing_ok=True)
        os.link(FOLDER / "carphone.mp4", eight / f"{i}.mp4")
    long, short = FOLDER / "long.mp4", FOLDER / "short"
    commands = {
        "one video, 1 core": lambda: annotate(long, "--limit-frames", 240, threads=1),
        "one video, 2 cores": lambda: annotate(long, "--limit-frames", 240, threads=2),
        "eight videos, 1 core": lambda: annotate(eight, "--limit-frames", 40, threads=1),
        "eight videos, 2 cores": lambda: annotate(eight, "--limit-frames", 40, threads=2),
        "one frame": lambda: annotate(carphone, "--limit-frames", 1),
        "300 frames": lambda: annotate(long, "--limit-frames", 300),
        "1200 frames": lambda: annotate(long),
        "1200 frames in 200 clips": lambda: annotate(short),
    }
    cores = {name: 1 for name in commands if name.endswith("1 core")}
    if len(CORES) < 2:
        commands = {name: command for name, command in commands.items() if not name.endswith("2 cores")}
    medians = runs_in_turn(commands, {**cores, **{name: 2 for name in commands if name.endswith("2 cores")}})
    say("scaling", {name: median["wall"] for name, median in medians.items()})
    return medians


def shares(resize_ms):
    """Processor time a frame by stage, from two runs of different length, so that the start is no part of it."""
    rows = {}
    for clip in ("720p_1", "1080p_2"):
        frames = (20, 100)
        seen = []
        for limit in frames:
            command = annotate(FOLDER / f"{clip}.mp4", "--limit-frames", limit, threads=1)
            rounds = []
            for _ in range(ROUNDS):
                command[command.index("--out") + 1] = Path(tempfile.mkdtemp(dir=FOLDER)) / "run"
                used = run(command)
                summary = json.loads((command[command.index("--out") + 1] / "run.json").read_text())
                rounds.append({"all": used["cpu"], **summary["totals"]["seconds"]})
            seen.append({key: statistics.median(row.get(key, 0) for row in rounds) for key in rounds[0]})
        ms = {key: (seen[1][key] - seen[0][key]) / (frames[1] - frames[0]) * 1e3 for key in seen[1]}
        networks = ms["detect"] + ms["infer"] - resize_ms[clip.split("_")[0]]
        other = ms["all"] - ms["decode"] - networks
        rows[clip] = {"all": ms["all"], "decode": ms["decode"], "networks": networks, "other": other}
        say(f"shares, {clip}", {key: value / 1e3 for key, value in rows[clip].items()})
    return rows


def tables():
    """`cargo bench --bench million_rows` measures the commands on tables."""
    output = subprocess.run(
        ["cargo", "bench", "--bench", "million_rows"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = {}
    for line in output.splitlines():
        if " s, " in line and ":" in line:
            name, _, rest = line.partition(": ")
            wall, _, rest = rest.partition(" s, ")
            rows[name.split()[-1]] = {"wall": float(wall), "mb": float(rest.split(", ")[-1].split()[0])}
    say("a million rows", {name: row["wall"] for name, row in rows.items()})
    return rows


def say(what, seconds):
    print(f"{what}: " + ", ".join(f"{name} {value * 1e3:.4g} ms" for name, value in seconds.items()), flush=True)


def build():
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    output = subprocess.run(
        ["cargo", "build", "--release", "--bench", "stages", "--message-format", "json"],
        cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True,
    ).stdout  # fmt: skip
    artifacts = [json.loads(line) for line in output.splitlines()]
    return next(
        a["executable"] for a in artifacts if a.get("target", {}).get("name") == "stages" and a.get("executable")
    )


def prepare(stages):
    """Inputs for all, made once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in FOLDER.glob("tmp*"):
        subprocess.run(["rm", "-r", left], check=True)
    if not (FOLDER / "crops.rgb").exists():
        subprocess.run(peer("clips.py", ROOT / "sample_data", FOLDER), check=True)
        subprocess.run(["cp", ROOT / "sample_data/carphone.mp4", FOLDER], check=True)
        subprocess.run([stages, "pictures", ROOT / "sample_data/astronaut.mp4", FOLDER / "pictures.rgb"], check=True)
        os.truncate(FOLDER / "pictures.rgb", 16 * 640 * 480 * 3)
        subprocess.run([stages, "crops", ROOT / "sample_data/two_people.mp4", DETECTOR, FOLDER / "crops.rgb"], check=True)
    out = Path(tempfile.mkdtemp(dir=FOLDER)) / "run"
    run([ABAW, "annotate", FOLDER / "long.mp4", "--limit-frames", 1000, "--out", out, "--device", "cpu", "--weights", AFFECT])
    return next(out.glob("**/*.parquet"))


def machine():
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    versions = {name: version(name) for name in ("torch", "onnxruntime", "openvino", "av", "opencv-python-headless", "pandas", "pyarrow")}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu.split(": ")[1],
        "cores": len(CORES),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit,
    }


def main():
    start = time.time()
    stages = build()
    table = prepare(stages)
    results = {"machine": machine()}
    results["pipeline"] = whole_pipeline()
    results["scaling"] = scaling()
    results["stages"] = small_stages(stages, table)
    results["networks"] = networks(stages)
    resize = {
        row["what"].split(", ")[1]: row["us"] / 1e3
        for row in results["stages"]
        if row["what"].startswith("resize") and row["cores"] == 1
    }
    results["shares"] = shares(resize)
    results["tables"] = tables()
    results["minutes"] = (time.time() - start) / 60
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1))
    report.write(results, ROOT / "docs/benchmarks.md")
    chart.draw(results, ROOT / "docs/benchmarks.svg")
    for left in FOLDER.glob("tmp*"):
        subprocess.run(["rm", "-r", left], check=True)
    print(f"{results['minutes']:.0f} minutes; the tables are in docs/benchmarks.md")


if __name__ == "__main__":
    main()
