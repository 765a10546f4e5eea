#!/usr/bin/env python3
"""How much looks around faces change, beside looks at the whole picture: the table of docs/detection.md.

    near_looks.py ABAW CLIP...          after `make bench` or `make test-packages` (pandas, pyarrow)
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

WHOLE = ["detector.whole_every=1"]
OTHERS = {
    "whole, long side 640, again": WHOLE,
    "whole, long side 600": [*WHOLE, "detector.long_side=600"],
    "near, whole every 5th": ["detector.whole_every=5"],
    "near, whole every 10th": ["detector.whole_every=10"],
}


def annotate(program, clips, settings, out):
    """The rows of all clips, and the seconds that the detector took of a thread."""
    changes = [word for setting in settings for word in ("--set", setting)]
    command = [program, "annotate", *clips, "--device", "cpu", "--threads", "1", "--out", out, *changes]
    subprocess.run(command, check=True, capture_output=True)
    tables = [pd.read_parquet(file).assign(video=file.stem) for file in sorted(Path(out, "frames").glob("*.parquet"))]
    summary = json.loads(Path(out, "run.json").read_text())
    rows = pd.concat(tables)
    seconds = sum(video["seconds"]["detect"] for video in summary["videos"])
    return rows[rows.det_score.notna()], seconds


def landmarks(rows):
    """`[N, 5, 2]` in pixels."""
    return np.stack(rows.to_list()).astype(float).reshape(len(rows), -1, 2)


def eye_distance(points):
    return np.linalg.norm(points[:, 0] - points[:, 1], axis=-1)


def jitter(rows):
    """The mean second difference of the landmarks over consecutive frames of a person, in eye distances."""
    values = []
    for _, track in rows.sort_values("frame").groupby(["video", "person"]):
        points, frames = landmarks(track.landmarks), track.frame.to_numpy()
        if len(frames) < 3:
            continue
        bend = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1).mean(1)
        values.append((bend / eye_distance(points[1:-1]))[frames[2:] - frames[:-2] == 2])
    return np.concatenate(values).mean()


def main():
    program, *clips = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        whole, seconds = annotate(program, clips, WHOLE, folder + "/whole")
        expressions = [name for name in whole.columns if name.startswith("expr_") and name.endswith("_raw")]
        units = [name for name in whole.columns if name.startswith("au") and name.endswith("_prob_raw")]
        print(f"{len(whole)} faces; jitter of whole looks {jitter(whole):.4f}")
        print("| looks | faces found | persons agree | landmarks off: mean, p95 | valence, arousal off | expression agrees | AU agrees | jitter | detector's time |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, settings in OTHERS.items():
            other, of_other = annotate(program, clips, settings, f"{folder}/{name.replace(' ', '')}")
            pairs = whole.merge(other, on=["video", "frame", "person"], suffixes=("", "_other"))
            of_whole, of_others = landmarks(pairs.landmarks), landmarks(pairs.landmarks_other)
            off = np.linalg.norm(of_whole - of_others, axis=-1).mean(1) / eye_distance(of_whole)
            difference = [(pairs[c] - pairs[c + "_other"]).abs().mean() for c in ("valence_raw", "arousal_raw")]
            others = [name + "_other" for name in expressions]
            agree = (pairs[expressions].to_numpy().argmax(1) == pairs[others].to_numpy().argmax(1)).mean()
            units_agree = np.mean([((pairs[unit] > 0.5) == (pairs[unit + "_other"] > 0.5)).mean() for unit in units])
            print(
                f"| {name} | {len(other) / len(whole):.4f} | {len(pairs) / min(len(whole), len(other)):.4f} | {off.mean():.4f}, {np.percentile(off, 95):.4f} "
                f"| {difference[0]:.4f}, {difference[1]:.4f} | {agree:.4f} | {units_agree:.4f} | {jitter(other):.4f} | {of_other / seconds:.2f} |"
            )


main()
