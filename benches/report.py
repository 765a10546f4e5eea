"""The measured part of docs/benchmarks.md, between two marks; the rest of the page is written by hand."""
import json
import sys
from pathlib import Path

BEGIN, END = "<!-- make bench -->\n", "<!-- end of make bench -->\n"


def write(results, page):
    """Replaces what stands between the marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [heading, targets, networks, stages, pipeline, scaling, shares]
    page.write_text(before + BEGIN + "\n" + "\n".join(part(results) for part in parts) + "\n" + END + after)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def heading(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"`make bench` on {machine['date']} at {machine['commit']}: {machine['cores']} cores of {machine['cpu']}, load "
        f"{machine['load before']:.1f} before; Python {machine['python']}, {versions}. It took {results['minutes']:.0f} minutes. "
        "Medians of five rounds in which all that is compared takes its turn; one core means that the process was kept to one.\n\n"
        "![Time beside that of others](benchmarks.svg)\n"
    )


class Measured:
    """Look-up of single numbers."""

    def __init__(self, results):
        self.results = results

    def network(self, name, precision, engine, batch=16, cores=1):
        return next(
            row["ms"]
            for row in self.results["networks"]
            if (row["network"], row["precision"], row["engine"], row["batch"], row["cores"])
            == (name, precision, engine, batch, cores)
        )

    def program(self, clip, program, cores):
        return next(
            row
            for row in self.results["pipeline"]
            if (row["clip"], row["program"], row["cores"]) == (clip, program, cores)
        )


def targets(results):
    """Each target with what was measured."""
    see, rows = Measured(results), []
    cores = results["machine"]["cores"]

    def at_most(what, limit, *values):
        rows.append([what, f"at most {limit}", join(values), "yes" if max(values) <= limit else "**no**"])

    def at_least(what, limit, *values):
        rows.append([what, f"at least {limit}", join(values), "yes" if min(values) >= limit else "**no**"])

    ours, ours_bf16 = see.network("ddamfn", "f32", "abaw"), see.network("ddamfn", "bf16", "abaw")
    at_most("DDAMFN f32 / OpenVINO f32, batch 16, one core", 1.15, ours / see.network("ddamfn", "f32", "OpenVINO"))
    at_most("DDAMFN f32 / PyTorch eager", 0.65, ours / see.network("ddamfn", "f32", "PyTorch"))
    at_most("DDAMFN bf16 / OpenVINO bf16", 1.0, ours_bf16 / see.network("ddamfn", "bf16", "OpenVINO"))
    detector = [see.network("detector", "f32", "abaw", b) / see.network("detector", "f32", "onnxruntime", b) for b in (1, 4)]
    at_most("detector 640x480 / onnxruntime, batch 1 and 4, one core", 1.0, *detector)
    other = [row["other"] / row["all"] for row in results["shares"].values()]
    at_most("neither decoding nor a network, of processor time (" + ", ".join(results["shares"]) + ")", 0.12, *other)
    clips = sorted({row["clip"] for row in results["pipeline"]})
    ratio = lambda program, of, key: [
        see.program(clip, of, cores)[key] / see.program(clip, program, cores)[key] for clip in clips
    ]
    named = "(" + ", ".join(clips) + "; all cores)"
    at_least(f"whole pipeline, Python f32 / abaw f32 {named}", 2.5, *ratio("abaw f32", "Python f32", "wall"))
    at_least(f"the same without the programs' start {named}", 2.5, *ratio("abaw f32", "Python f32", "work"))
    at_least(f"whole pipeline, Python f32 / abaw bf16 {named}", 4.0, *ratio("abaw bf16", "Python f32", "wall"))
    at_least(f"the same without the programs' start {named}", 4.0, *ratio("abaw bf16", "Python f32", "work"))
    at_most(f"memory, abaw f32 / Python f32 {named}", 0.5, *[1 / value for value in ratio("abaw f32", "Python f32", "mb")])
    wall = {name: row["wall"] for name, row in results["scaling"].items()}
    if "eight videos, 2 cores" in wall:
        at_least("eight videos, 1 core / 2 cores", 1.85, wall["eight videos, 1 core"] / wall["eight videos, 2 cores"])
        at_least("one video, 1 core / 2 cores", 1.7, wall["one video, 1 core"] / wall["one video, 2 cores"])
    at_most("seconds from start to end of a run of one frame", 1.0, wall["one frame"])
    at_most("200 one-second clips / the same frames in one", 1.3, wall["1200 frames in 200 clips"] / wall["1200 frames"])
    million = [results["tables"][name]["wall"] for name in ("postprocess", "evaluate", "submit")]
    at_most("seconds for a million rows: postprocess, evaluate, submit", 5.0, *million)
    at_most("MB for them", 1000, *[results["tables"][name]["mb"] for name in ("postprocess", "evaluate", "submit")])
    return "### Targets\n\n" + table(["what", "target", "measured", "met"], rows)


def join(values):
    return ", ".join(f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in values)


def networks(results):
    text = (
        "### Networks\n\nMilliseconds an item. Several cores: abaw and OpenVINO let each core work on a batch of its own, PyTorch and "
        "onnxruntime share one batch among their threads. abaw's times for DDAMFN begin at bytes and end at probabilities, those of the "
        "others begin at the normalised tensor. The difference is the largest of all outputs against PyTorch in f32, on four "
        "pictures; memory is that of the whole process, PyTorch's library included for all but abaw.\n\n"
    )
    for network, precision in (("ddamfn", "f32"), ("ddamfn", "bf16"), ("detector", "f32")):
        rows = [r for r in results["networks"] if (r["network"], r["precision"]) == (network, precision)]
        engines = list(dict.fromkeys(row["engine"] for row in rows))
        columns = list(dict.fromkeys((row["cores"], row["batch"]) for row in rows))
        cell = {(r["engine"], r["cores"], r["batch"]): r for r in rows}
        head = [f"{network} {precision}"] + [f"{c} {'core' if c == 1 else 'cores'}, batch {b}" for c, b in columns]
        body = []
        for engine in engines:
            last = cell[(engine, *columns[-1])]
            times = [f"{cell[(engine, *column)]['ms']:.1f}" for column in columns]
            body.append([engine, *times, f"{last['difference']:.0e}", f"{last['mb']:.0f}"])
        text += table(head + ["difference", "MB"], body) + "\n"
    return text


def stages(results):
    rows = results["stages"]
    whats = list(dict.fromkeys(row["what"] for row in rows))
    cores = sorted({row["cores"] for row in rows})
    body = []
    for what in whats:
        for engine in dict.fromkeys(row["engine"] for row in rows if row["what"] == what):
            mine = {row["cores"]: row for row in rows if (row["what"], row["engine"]) == (what, engine)}
            body.append([what, engine, *[f"{mine[c]['us']:.4g}" for c in cores], f"{mine[cores[-1]]['mb']:.0f}"])
    head = ["stage", "by"] + [f"µs, {c} {'core' if c == 1 else 'cores'}" for c in cores] + ["MB"]
    return (
        "### Other stages\n\nSeveral cores: each of abaw's threads does the whole work, which is how the engine uses them (a reader a "
        "video); the others share it among theirs.\n\n" + table(head, body)
    )


def pipeline(results):
    body = [
        [row["clip"], row["cores"], row["program"], *[f"{row[key]:.2f}" for key in ("wall", "work", "cpu")], f"{row['mb']:.0f}"]
        for row in results["pipeline"]
    ]
    return (
        "### The whole pipeline\n\n`abaw annotate` against `benches/peers/pipeline.py` (PyAV, the same RetinaFace and DDAMFN in PyTorch "
        "with channels last, batches of 16, OpenCV's warp, pandas), 100 frames with one or two faces. "
        "abaw also tracks, smooths and fills; the script does not.\n\n"
        + table(["clip", "cores", "program", "seconds", "without the start", "of processor", "MB"], body)
    )


def scaling(results):
    body = [
        [name, f"{row['wall']:.2f}", f"{row['cpu']:.2f}", f"{row['mb']:.0f}"] for name, row in results["scaling"].items()
    ]
    return (
        "### Length, number and cores\n\n`abaw annotate`, 176x144, a face in each frame; one video: 240 frames, eight videos: 40 frames "
        "of each.\n\n" + table(["run", "seconds", "of processor", "MB"], body)
    )


def shares(results):
    body = [
        [clip, *[f"{row[key]:.1f}" for key in ("all", "decode", "networks", "other")], f"{row['other'] / row['all']:.0%}"]
        for clip, row in results["shares"].items()
    ]
    return (
        "### Where a frame's time goes\n\nMilliseconds of processor time a frame, from runs of 20 and 100 frames, so without the start. "
        "Other: resizing, tracking, warping, copies, tables.\n\n"
        + table(["clip", "all", "decoding", "networks", "other", "share"], body)
    )


if __name__ == "__main__":
    # Writes the page anew from the numbers of the last run.
    root = Path(__file__).resolve().parent.parent
    write(json.loads((root / "target/bench/results.json").read_text()), Path(sys.argv[1]) if sys.argv[1:] else root / "docs/benchmarks.md")
