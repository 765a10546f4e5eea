"""Composes clips in which people cross, are hidden, leap and come back after a cut, and scores the persons of abaw's tables
with py-motmetrics (MOTA, IDF1, identity switches, fragmentations), as a table in Markdown.

    pip install --target /tmp/motmetrics motmetrics==1.4.0 opencv-python-headless pandas pyarrow
    PYTHONPATH=/tmp/motmetrics python3 benches/identity.py FOLDER [PIPELINE.toml...]

The people are those of the sample clips and pictures. The truth is each source's own detections, moved as the source is.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import motmetrics
import numpy
import pandas

# py-motmetrics 1.4 calls it, numpy 2 has it no more.
numpy.asfarray = lambda values: numpy.asarray(values, float)

ROOT = Path(__file__).resolve().parent.parent
ABAW = os.environ.get("ABAW", ROOT / "target/release/abaw")
WIDTH, HEIGHT, RATE = 640, 360, 25


def frames_of(path, crop, count):
    reader = cv2.VideoCapture(str(ROOT / path))
    frames = []
    while len(frames) < count:
        read, picture = reader.read()
        if not read:
            break
        x, y, width, height = crop
        frames.append(picture[y : y + height, x : x + width])
    frames += frames[-2:0:-1]
    return lambda at: frames[at % len(frames)]


def still(path, crop):
    picture = cv2.imread(str(ROOT / path))
    x, y, width, height = crop
    picture = picture[y : y + height, x : x + width]
    return lambda at: picture


# A picture of each person, and how large it is shown.
PEOPLE = {
    "astronaut": (frames_of("sample_data/astronaut.mp4", (150, 0, 230, 260), 70), (138, 156)),
    "man in the car": (frames_of("sample_data/carphone.mp4", (30, 5, 120, 120), 120), (192, 192)),
    "officer": (still("tests/golden/face/images/portrait_odd_size.png", (60, 40, 240, 260)), (150, 162)),
}


def ground(shade):
    return numpy.full((HEIGHT, WIDTH, 3), shade, numpy.uint8)


def put(picture, name, at, x, y):
    """Lays a person over a picture; gives the corner and the scale, or nothing outside."""
    source, (width, height) = PEOPLE[name]
    tile = cv2.resize(source(at), (width, height), interpolation=cv2.INTER_AREA)
    x, y = int(round(x)), int(round(y))
    left, top, right, bottom = max(0, x), max(0, y), min(WIDTH, x + width), min(HEIGHT, y + height)
    if left < right and top < bottom:
        picture[top:bottom, left:right] = tile[top - y : bottom - y, left - x : right - x]
    return x, y, width, height


def door(picture, x):
    left, right = max(0, int(x)), min(WIDTH, int(x) + 220)
    if left < right:
        picture[:, left:right] = 60
    return left, right


def scenes():
    """Name, number of frames, what draws frame `at`: the picture, {person: place}, the door's columns."""
    a, b, c = PEOPLE

    def crossing(at):
        picture = ground(128)
        places = {a: put(picture, a, at, 10 + 4.8 * at, 10), b: put(picture, b, at, 440 - 4.3 * at, 160)}
        return picture, places, (0, 0)

    def hidden(seconds):
        def draw(at):
            picture = ground(128)
            places = {a: put(picture, a, at, 20, 20), b: put(picture, b, at, 420, 150)}
            gone = 40 + seconds * RATE
            return picture, places, door(picture, max(400, 900 - 40 * (at - 25)) if at < gone else 400 + 40 * (at - gone))
        return draw

    def back_after_cut(*order):
        def draw(at):
            shot = at // 50
            picture = ground([128, 60, 200, 100][shot % 4])
            names = order[shot]
            places = {name: put(picture, name, at, 60 + 300 * nth + 20 * shot, 40 + 30 * nth) for nth, name in enumerate(names)}
            return picture, places, (0, 0)
        return draw

    def leaps(at):
        picture = ground(128)
        step = max(0, min(8, at - 30)) - max(0, min(8, at - 60))
        return picture, {a: put(picture, a, at, 40 + 38 * step, 90)}, (0, 0)

    return [
        ("two cross", 100, crossing),
        ("hidden for 1 s", 110, hidden(0.9)),
        ("hidden for 3 s", 160, hidden(3)),
        ("interview: cuts to one, the other, both", 200, back_after_cut((b,), (a,), (b,), (a, b))),
        ("others come", 150, back_after_cut((b,), (c,), (a,))),
        ("three in turn", 200, back_after_cut((a,), (b,), (c,), (a,))),
        ("leaps", 100, leaps),
    ]


def annotate(clips, run, pipeline):
    options = ["--pipeline", pipeline] if pipeline else []
    subprocess.run([ABAW, "annotate", *clips, "--out", run, "--device", "cpu", *options], check=True, capture_output=True)


def write(path, pictures):
    command = f"ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s {WIDTH}x{HEIGHT} -r {RATE} -i - -pix_fmt yuv420p -c:v libx264 -crf 18"
    subprocess.run([*command.split(), path], input=b"".join(map(bytes, pictures)), check=True)


def face_in_tile(folder):
    """Where each person's face is in the picture of the person, in shares of it: by abaw, alone on grey, frame by frame."""
    places = {}
    clips = []
    for name in PEOPLE:
        path = folder / f"alone_{name.replace(' ', '_')}.mp4"
        pictures = []
        for at in range(240):
            picture = ground(128)
            put(picture, name, at, 200, 80)
            pictures.append(picture)
        write(path, pictures)
        clips.append(path)
    annotate(clips, folder / "alone", None)
    for name, clip in zip(PEOPLE, clips):
        table = pandas.read_parquet(folder / "alone" / "frames" / f"{clip.stem}.parquet").query("detected")
        table = table.sort_values("det_score").drop_duplicates("frame", keep="last").set_index("frame")
        width, height = PEOPLE[name][1]
        boxes = table[["box_x1", "box_y1", "box_x2", "box_y2"]].to_numpy()
        shares = (boxes - [200, 80, 200, 80]) / [width, height, width, height]
        places[name] = dict(zip(table.index - 1, shares))
    return places


def truth(places, faces, columns, at):
    """The boxes of the faces that can be seen, in the order of PEOPLE."""
    found = {}
    names = list(places)
    for nth, name in enumerate(names):
        x, y, width, height = places[name]
        share = faces[name].get(at % 240)
        if share is None:
            continue
        box = numpy.array([x, y, x, y]) + share * [width, height, width, height]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        covered = columns[0] <= middle[0] < columns[1]
        for other in names[nth + 1 :]:
            ox, oy, ow, oh = places[other]
            covered |= ox <= middle[0] < ox + ow and oy <= middle[1] < oy + oh
        inside = 5 < middle[0] < WIDTH - 5 and 5 < middle[1] < HEIGHT - 5
        if inside and not covered:
            found[name] = box
    return found


def main(folder, *pipelines):
    folder.mkdir(parents=True, exist_ok=True)
    faces = face_in_tile(folder)
    made = []
    for name, count, draw in scenes():
        path = folder / f"{name.replace(' ', '_').replace(':', '').replace(',', '')}.mp4"
        drawn = [draw(at) for at in range(count)]
        write(path, [picture for picture, _, _ in drawn])
        made.append((name, path, [truth(places, faces, columns, at) for at, (_, places, columns) in enumerate(drawn)]))
    print("| clip | settings | MOTA | IDF1 | switches | fragmentations | persons |")
    print("|---|---|---|---|---|---|---|")
    for pipeline in pipelines or [None]:
        with tempfile.TemporaryDirectory() as run:
            annotate([path for _, path, _ in made], Path(run) / "run", pipeline)
            sums = []
            for name, path, true in made:
                table = pandas.read_parquet(Path(run) / "run" / "frames" / f"{path.stem}.parquet").query("detected")
                score = motmetrics.MOTAccumulator(auto_id=True)
                people = list(PEOPLE)
                for at, boxes in enumerate(true):
                    rows = table[table.frame == at + 1]
                    size = lambda box: [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                    wanted = [size(box) for box in boxes.values()]
                    found = [size(box) for box in rows[["box_x1", "box_y1", "box_x2", "box_y2"]].to_numpy()]
                    distances = motmetrics.distances.iou_matrix(wanted, found, max_iou=0.6) if wanted and found else numpy.empty((len(wanted), len(found)))
                    score.update([people.index(who) for who in boxes], list(rows.person), distances)
                metrics = motmetrics.metrics.create().compute(score, metrics=["mota", "idf1", "num_switches", "num_fragmentations"])
                mota, idf1, switches, fragmentations = metrics.iloc[0]
                sums.append((mota, idf1, switches, fragmentations))
                settings = Path(pipeline).stem if pipeline else "default"
                print(f"| {name} | {settings} | {mota:.3f} | {idf1:.3f} | {switches:.0f} | {fragmentations:.0f} | {table.person.nunique()} |")
            sums = numpy.array(sums)
            print(f"| all | {settings} | {sums[:, 0].mean():.3f} | {sums[:, 1].mean():.3f} | {sums[:, 2].sum():.0f} | {sums[:, 3].sum():.0f} | |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
