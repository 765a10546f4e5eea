#!/usr/bin/env python3
"""How far the default weights can be trusted: the tables of docs/weights.md, from the program's own runs.

    models/weights_table.py --abaw target/release/abaw --data DATA --list CLEAN/test_set.txt [--every 1] [CLIP...]

DATA has `test.tar` (images below `cropped_aligned/`); the list is that of near_duplicates.py. Every image of the list is annotated as it is and mirrored,
every n-th also blurred, small, dark, occluded. The raw columns count: before smoothing, thresholds of the action units at 0.5. Needs numpy, pandas, pyarrow,
Pillow, and ffmpeg for the clips.
"""
import argparse
import io
import pathlib
import subprocess
import tarfile
import tempfile

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter

EXPRESSIONS = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other"]
UNITS = [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26]
SIDE = 112


def small(side):
    return lambda image: image.resize((side, side), Image.BOX).resize((SIDE, SIDE), Image.BICUBIC)


def blurred(radius):
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def dark(factor):
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def covered(left, top, right, bottom):
    """A grey patch, in shares of the picture; the eyes of an aligned crop lie at 0.36 of its height, the mouth at 0.81."""

    def cover(image):
        image = image.copy()
        image.paste((110, 110, 110), tuple(int(SIDE * share) for share in (left, top, right, bottom)))
        return image

    return cover


def jpeg(quality):
    def compress(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return compress


def third(image):
    return jpeg(20)(small(SIDE // 3)(image))


CHANGES = {
    "32 pixels wide": small(32),
    "24 pixels wide": small(24),
    "16 pixels wide": small(16),
    "12 pixels wide": small(12),
    "blurred, 2 pixels": blurred(2),
    "blurred, 4 pixels": blurred(4),
    "a quarter of the light": dark(0.25),
    "a tenth of the light": dark(0.1),
    "a quarter of the light, and blurred by 3": lambda image: dark(0.25)(blurred(3)(image)),
    "a third of the size, JPEG 20": third,
    "eyes covered": covered(0.1, 0.25, 0.9, 0.47),
    "mouth covered": covered(0.2, 0.68, 0.8, 1.0),
    "left half covered": covered(0.0, 0.0, 0.5, 1.0),
}


def annotate(program, images, folder, settings=()):
    """The raw rows of images, by their names' order."""
    crops = folder / "crops"
    crops.mkdir()
    for number, image in enumerate(images, 1):
        image.save(crops / f"{number:05}.png", compress_level=1)
    command = [program, "annotate", "--crops", crops, "--device", "cpu", "--out", folder / "run", *settings]
    subprocess.run(command, check=True, capture_output=True)
    rows = pd.read_parquet(folder / "run/frames/crops.parquet").sort_values("frame")
    assert len(rows) == len(images)
    return rows


def probabilities(rows):
    return rows[[f"expr_{name}_raw" for name in EXPRESSIONS]].to_numpy(float)


def f1(truth, answer, kind):
    hit = ((answer == kind) & (truth == kind)).sum()
    wrong = (answer == kind).sum() + (truth == kind).sum()
    return 2 * hit / wrong if wrong else 0.0


def scores(truth, answer):
    """Accuracy and the mean F1 of the expressions that occur."""
    kinds = [kind for kind in range(8) if (truth == kind).any()]
    return (truth == answer).mean(), np.mean([f1(truth, answer, kind) for kind in kinds])


def calibration(confidence, right):
    """Rows of a reliability diagram (from, to, share of images, mean probability, share right), and the ECE of ten bins."""
    rows, error = [], 0.0
    for low in np.arange(0, 1, 0.1):
        within = (confidence > low) & (confidence <= low + 0.1)
        if within.any():
            mean, share = confidence[within].mean(), right[within].mean()
            rows.append((low, low + 0.1, within.mean(), mean, share))
            error += within.mean() * abs(mean - share)
    return rows, error


def table(header, rows):
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


def of_images(program, names, labels, archive, every):
    with tarfile.open(archive) as tar:
        images = [Image.open(io.BytesIO(tar.extractfile(f"cropped_aligned/{name}").read())).convert("RGB") for name in names]

    def rows_of(change, chosen):
        with tempfile.TemporaryDirectory() as folder:
            return annotate(program, [change(image) for image in chosen], pathlib.Path(folder))

    rows = rows_of(lambda image: image, images)
    p = probabilities(rows)
    answer, truth = p.argmax(1), labels.expression.to_numpy()
    known = truth >= 0
    accuracy, mean_f1 = scores(truth[known], answer[known])
    print(f"{known.sum()} of {len(names)} images have an expression: accuracy {accuracy:.4f}, mean F1 {mean_f1:.4f}\n")

    def right_of(kind):
        return np.bincount(answer[known & (truth == kind)], minlength=8)

    table(
        ["", "images", "F1", "found", "right where it is answered", "most often taken for"],
        [
            (
                name,
                int((truth == kind).sum()),
                f1(truth[known], answer[known], kind),
                right_of(kind)[kind] / max(1, (truth == kind).sum()),
                (truth[known & (answer == kind)] == kind).mean() if (known & (answer == kind)).any() else 0.0,
                EXPRESSIONS[np.where(np.arange(8) == kind, -1, right_of(kind)).argmax()],
            )
            for kind, name in enumerate(EXPRESSIONS)
        ],
    )
    bins, error = calibration(p.max(1)[known], (answer == truth)[known])
    print(f"Expressions: ECE {error:.4f}\n")
    table(["probability of the answer", "share of the images", "mean probability", "right"], [(f"{a:.1f} to {b:.1f}", c, d, e) for a, b, c, d, e in bins])
    units = np.stack([np.fromstring(line, sep=",", dtype=int) for line in labels.aus])
    prob = rows[[f"au{unit}_prob_raw" for unit in UNITS]].to_numpy(float)
    has = (units >= 0).all(1)
    errors = [calibration(prob[has, i], units[has, i] == 1)[1] for i in range(12)]
    print("ECE of action units: " + ", ".join(f"AU{unit} {error:.3f}" for unit, error in zip(UNITS, errors)) + "\n")
    bins, error = calibration(prob[has].ravel(), (units[has] == 1).ravel())
    table(["probability of a unit", "share", "mean probability", "present"], [(f"{a:.1f} to {b:.1f}", c, d, e) for a, b, c, d, e in bins])

    mirrored = probabilities(rows_of(lambda image: image.transpose(Image.FLIP_LEFT_RIGHT), images)).argmax(1)
    print(f"Mirrored images: {(mirrored == answer).mean():.4f} get the same expression\n")
    sharp = rows.sharpness.to_numpy(float)
    edges = np.quantile(sharp, [0, 0.25, 0.5, 0.75, 1])
    table(
        ["sharpness (`sharpness`)", "images", "accuracy", "mean F1"],
        [
            (f"{low:.3g} to {high:.3g}", int(chosen.sum()), *map(float, scores(truth[chosen], answer[chosen])))
            for low, high in zip(edges, edges[1:])
            for chosen in [known & (sharp >= low) & (sharp <= high)]
        ],
    )
    part = np.arange(0, len(images), every)
    chosen = known[part]
    lines = [("as they are", *map(float, scores(truth[part][chosen], answer[part][chosen])), 1.0, p.max(1)[part].mean())]
    for name, change in CHANGES.items():
        other = probabilities(rows_of(change, [images[i] for i in part]))
        found = other.argmax(1)
        lines.append(
            (name, *map(float, scores(truth[part][chosen], found[chosen])), float((found == answer[part]).mean()), float(other.max(1).mean()))
        )
    print(f"Every {every}. image, {len(part)} of them:\n")
    table(["images", "accuracy", "mean F1", "same answer as before", "mean probability of the answer"], lines)


def of_clips(program, clips):
    def rows_of(clip, filters, folder, name):
        film = clip
        if filters:
            film = folder / f"{name}.mp4"
            command = ["ffmpeg", "-v", "error", "-y", "-i", clip, *filters, "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", film]
            subprocess.run(command, check=True)
        run = folder / f"run-{name}"
        subprocess.run([program, "annotate", film, "--device", "cpu", "--out", run], check=True, capture_output=True)
        rows = pd.read_parquet(next((run / "frames").glob("*.parquet")))
        rows = rows[rows.det_score.notna()]
        # Persons in the order of the places that they have: mirrored, from the other side.
        return rows.assign(x=(rows.box_x1 + rows.box_x2) / 2)

    lines = []
    for clip in map(pathlib.Path, clips):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            rows = rows_of(clip, [], folder, "whole")
            order = lambda rows, way: rows.sort_values(["frame", "x"], ascending=[True, way]).assign(
                place=lambda rows: rows.groupby("frame").cumcount()
            )
            rows = order(rows, True)
            answers = lambda rows: rows.assign(answer=probabilities(rows).argmax(1))
            rows = answers(rows)
            tracks = [track.sort_values("frame").answer.to_numpy() for _, track in rows.groupby("person")]
            finals = [track.sort_values("frame").expression.to_numpy() for _, track in rows.groupby("person")]
            seconds = rows.groupby("person").time_s.agg(lambda t: t.max() - t.min()).sum()
            changes = sum((track[1:] != track[:-1]).sum() for track in tracks) / seconds
            of_finals = sum((track[1:] != track[:-1]).sum() for track in finals) / seconds
            line = [clip.stem, len(rows), float(changes), float(of_finals)]
            for name, filters, way in (
                ("mirrored", ["-vf", "hflip", "-crf", "10"], False),
                ("degraded", ["-vf", "scale=trunc(iw/6)*2:-2", "-crf", "33"], True),
            ):
                other = answers(order(rows_of(clip, filters, folder, name), way))
                pairs = rows.merge(other, on=["frame", "place"], suffixes=("", "_other"))
                line += [float((pairs.answer == pairs.answer_other).mean())]
            lines.append(line)
    table(["clip", "faces", "changes a second, raw", "final", "mirrored agree", "degraded agree"], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abaw", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--list", type=pathlib.Path, required=True)
    parser.add_argument("--every", type=int, default=3, help="of the changed images each n-th")
    parser.add_argument("clips", nargs="*")
    arguments = parser.parse_args()
    lines = arguments.list.read_text().splitlines()[1:]
    parts = [line.split(",", 4) for line in lines]
    labels = pd.DataFrame({"expression": [int(part[3]) for part in parts], "aus": [part[4] for part in parts]})
    of_images(arguments.abaw, [part[0] for part in parts], labels, arguments.data / "test.tar", arguments.every)
    if arguments.clips:
        of_clips(arguments.abaw, arguments.clips)


if __name__ == "__main__":
    main()
