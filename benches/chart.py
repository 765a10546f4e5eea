"""The chart in docs/benchmarks.md."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {"abaw": "#0b6e4f", "other": "#9aa5b1"}


def draw(results, path):
    """One panel a comparison, shorter is faster."""
    networks = results["networks"]
    panels = [
        (f"{title}, ms", [(r["engine"], r["ms"]) for r in networks if (r["network"], r["precision"], r["batch"], r["cores"]) == key])
        for title, key in (
            ("DDAMFN f32, a face, one core", ("ddamfn", "f32", 16, 1)),
            ("DDAMFN bf16, a face, one core", ("ddamfn", "bf16", 16, 1)),
            ("Detector 640x480, a picture, one core", ("detector", "f32", 4, 1)),
        )
    ]
    cores = results["machine"]["cores"]
    for clip in ("720p_1", "1080p_2"):
        rows = [(r["program"], r["wall"]) for r in results["pipeline"] if (r["clip"], r["cores"]) == (clip, cores)]
        panels.append((f"Whole pipeline, {clip}, 100 frames, {cores} cores, s", rows))
    heights = [len(rows) for _, rows in panels]
    plt.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "abaw"})
    figure, axes = plt.subplots(len(panels), figsize=(7, 0.34 * sum(heights) + 0.6 * len(panels)), height_ratios=heights)
    for axis, (title, rows) in zip(axes, panels):
        names = [name for name, _ in rows][::-1]
        values = [value for _, value in rows][::-1]
        colours = [COLOURS["abaw" if name.startswith("abaw") else "other"] for name in names]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, [f"{value:.3g}" for value in values], padding=3)
        axis.set_title(title, loc="left", fontsize=9, fontweight="bold")
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.set_xticks([])
        axis.set_xlim(0, max(values) * 1.12)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
