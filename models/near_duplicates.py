#!/usr/bin/env python3
"""Find images of one labelled set that are nearly the same picture as an image of another, and write lists without them.

    python3 models/near_duplicates.py --of test --in train --in validation --data DATA --out OUT [--correlation 0.95]

DATA holds `NAME.tar` (images below `cropped_aligned/`) and `NAME_set.txt` (labels, one line an image), as `docs/training.md` describes.
Two images are compared by the correlation of their grey values at 32x32, of which the central 24x24 count: the face without its
background. Written: `OUT/NAME_set.txt`, the label list without images that have a near duplicate, and `OUT/pairs.csv`.
Needs numpy and Pillow.
"""
import argparse, csv, io, pathlib, tarfile
import numpy as np
from PIL import Image


def patches(tar):
    """Names and unit vectors `[N, 576]` of all images of a tar."""
    names, rows = [], []
    with tarfile.open(tar) as archive:
        for member in archive:
            if not member.isfile():
                continue
            image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("L").resize((32, 32), Image.BILINEAR)
            patch = np.asarray(image, np.float32)[4:28, 4:28].ravel()
            patch -= patch.mean()
            norm = np.linalg.norm(patch)
            names.append(member.name.removeprefix("cropped_aligned/"))
            rows.append(patch / norm if norm > 0 else patch)
    return names, np.stack(rows)


def best(of, among, block=512):
    """For each row of `of` the largest correlation with a row of `among`, and which."""
    value, index = [], []
    for start in range(0, len(of), block):
        scores = of[start:start + block] @ among.T
        index.append(scores.argmax(1)); value.append(scores.max(1))
    return np.concatenate(value), np.concatenate(index)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", required=True, help="the list to be cleaned: test, validation or train")
    parser.add_argument("--in", dest="among", action="append", required=True, help="a set that has the other images; may be repeated")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--correlation", type=float, default=0.95)
    arguments = parser.parse_args()

    names, own = patches(arguments.data / f"{arguments.of}.tar")
    others = [patches(arguments.data / f"{name}.tar") for name in arguments.among]
    other_names = [name for found, _ in others for name in found]
    value, index = best(own, np.concatenate([rows for _, rows in others]))
    twins = {name: (other_names[at], score) for name, at, score in zip(names, index, value) if score >= arguments.correlation}

    arguments.out.mkdir(parents=True, exist_ok=True)
    header, *lines = (arguments.data / f"{arguments.of}_set.txt").read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.split(",")[0] not in twins]
    (arguments.out / f"{arguments.of}_set.txt").write_text(header + "".join(kept))
    with open(arguments.out / "pairs.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "near_duplicate", "correlation"])
        table.writerows([name, twin, f"{score:.4f}"] for name, (twin, score) in sorted(twins.items()))
    print(f"{len(twins)} of {len(names)} images have a near duplicate; {len(kept)} of {len(lines)} lines are left")


if __name__ == "__main__":
    main()
