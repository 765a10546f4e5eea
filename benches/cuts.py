"""Makes clips with known cuts and compares abaw's shot detector with PySceneDetect's, as a table in Markdown.

    pip install --target /tmp/scenedetect scenedetect==0.6.7.1 opencv-python-headless numpy
    cargo build --release --example cuts
    PYTHONPATH=/tmp/scenedetect python3 benches/cuts.py [FOLDER for the clips]

A cut is found if one is reported within two frames of it; for a gradual change, from its first frame to eight frames
after its last. Each cut can be found once; all other reports are false.
"""

import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, RATE = 320, 180, 25
DETECTORS = ["abaw", "content", "adaptive"]


def fitted(picture):
    """A picture cut to the shape of a frame."""
    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y, x = (picture.shape[0] - HEIGHT) // 2, (picture.shape[1] - WIDTH) // 2
    return picture[y : y + HEIGHT, x : x + WIDTH]


def film(name, start=0):
    """Frames of a sample clip, forwards and backwards without end."""
    reader = cv2.VideoCapture(str(ROOT / "sample_data" / name))
    frames = []
    while True:
        read, picture = reader.read()
        if not read:
            break
        frames.append(fitted(picture))
    # The astronaut's clip has cuts of its own: its first shot.
    frames = frames[:75] if name.startswith("astronaut") else frames
    frames += frames[-2:0:-1]
    return lambda at: frames[(start + at) % len(frames)]


def view(picture, x=0.5, y=0.5, zoom=1.0, turn=0.0):
    """What a camera sees of a larger picture: the middle of its view in shares of the picture."""
    height, width = picture.shape[:2]
    scale = zoom * max(WIDTH / width, HEIGHT / height)
    matrix = cv2.getRotationMatrix2D((x * width, y * height), turn, scale)
    matrix[:, 2] += [WIDTH / 2 - x * width, HEIGHT / 2 - y * height]
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)


def still(path, **where):
    picture = cv2.imread(str(ROOT / path))
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7)
    return lambda at: view(picture, **where)


def generated(source, seconds=8):
    """Frames of one of ffmpeg's sources."""
    command = f"ffmpeg -v error -f lavfi -i {source}=size={WIDTH}x{HEIGHT}:rate={RATE} -t {seconds} -f rawvideo -pix_fmt bgr24 -"
    raw = subprocess.run(command.split(), check=True, capture_output=True).stdout
    frames = numpy.frombuffer(raw, numpy.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    return lambda at: frames[at % len(frames)]


def scenes():
    images = "tests/golden/face/images"
    return {
        "astronaut": film("astronaut.mp4"),
        "car": film("carphone.mp4"),
        "two": film("two_people.mp4"),
        "rocket": still(f"{images}/no_face_half.png", zoom=1.2),
        "officer": still(f"{images}/portrait_odd_size.png", y=0.35),
        "coffee": still(f"{images}/several_faces.png", x=0.2, y=0.25, zoom=2.2),
        "montage": still(f"{images}/several_faces.png", x=0.7, y=0.75, zoom=2.0),
        "fractal": generated("mandelbrot"),
        "card": generated("testsrc2"),
        "colours": generated("gradients"),
    }


def shots(*parts):
    """Frames of scenes one after the other, and the first frames (from 1) of all but the first."""
    frames, cuts = [], []
    for scene, count in parts:
        if frames:
            cuts.append((len(frames) + 1, len(frames) + 1))
        frames += [scene(at) for at in range(count)]
    return frames, cuts


def blended(a, b, share):
    return cv2.addWeighted(a, 1 - share, b, share, 0)


def lit(picture, gain, offset=0):
    return cv2.convertScaleAbs(picture, alpha=gain, beta=offset)


def gradual(first, second, length, mix, before=30, after=30):
    """One scene into another over some frames."""
    frames = [first(at) for at in range(before)]
    for step in range(length):
        frames.append(mix(first(before + step), second(step), (step + 1) / (length + 1)))
    frames += [second(length + at) for at in range(after)]
    return frames, [(before + 1, before + length)]


def each(frames, change):
    return [change(picture, at) for at, picture in enumerate(frames)]


def barred(picture, top, side):
    picture = picture.copy()
    rows, columns = int(HEIGHT * top), int(WIDTH * side)
    picture[:rows] = picture[HEIGHT - rows :] = 0
    picture[:, :columns] = picture[:, WIDTH - columns :] = 0
    return picture


def inset(picture, small, share=0.33, x=0.62, y=0.05):
    picture = picture.copy()
    small = cv2.resize(small, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    row, column = int(HEIGHT * y), int(WIDTH * x)
    picture[row : row + small.shape[0], column : column + small.shape[1]] = small
    return picture


def on_black(picture, share):
    return inset(numpy.zeros_like(picture), picture, share, 0.5 - share / 2, 0.5 - share / 2)


def noisy(picture, strength, seed):
    noise = numpy.random.default_rng(seed).normal(0, strength, picture.shape)
    return numpy.clip(picture + noise, 0, 255).astype(numpy.uint8)


def clips():
    """Kind, name, frames, cuts as pairs of the first and the last frame of the change."""
    s = scenes()
    names = list(s)
    pick = random.Random(7)
    pairs = [tuple(pick.sample(names, 2)) for _ in range(40)]
    pair = iter((s[a], s[b]) for a, b in pairs)
    made = []

    def add(kind, frames_and_cuts, change=None):
        frames, cuts = frames_and_cuts
        made.append((kind, f"{len(made) + 1:02d}_{kind.replace(' ', '_')}", each(frames, change) if change else frames, cuts))

    # Hard cuts.
    for a, b in [("astronaut", "car"), ("car", "two"), ("two", "astronaut"), ("rocket", "officer"), ("coffee", "montage"), ("card", "fractal")]:
        add("hard cut", shots((s[a], 40), (s[b], 40), (s[a], 30)))
    for length in (8, 15):
        add("quick cuts", shots(*((s[name], length) for name in names)))
    for gain in (0.25, 0.12):
        add("cuts in the dark", shots(*((s[name], 25) for name in ("two", "car", "officer", "astronaut"))), lambda p, at, gain=gain: lit(p, gain))
    add("cuts in fog", shots((s["astronaut"], 30), (s["two"], 30), (s["car"], 30)), lambda p, at: lit(p, 0.3, 150))
    add("cuts in grey", shots((s["astronaut"], 30), (s["rocket"], 30), (s["car"], 30)), lambda p, at: cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))
    add("cuts in noise", shots((s["two"], 30), (s["car"], 30), (s["coffee"], 30)), lambda p, at: noisy(p, 25, at))
    for top, side in ((0.13, 0), (0, 0.34), (0.2, 0.2)):
        add("letterbox", shots((s["astronaut"], 30), (s["car"], 30), (s["two"], 30)), lambda p, at, top=top, side=side: barred(p, top, side))
    add("bars come", shots((s["astronaut"], 60)), lambda p, at: barred(p, 0.13, 0) if at >= 30 else p)
    # Mostly black.
    for share in (0.28, 0.4):
        add("tile on black", shots((s["astronaut"], 60)), lambda p, at, share=share: on_black(p, share))
        add("tile on black, cut", shots((s["astronaut"], 40), (s["car"], 40)), lambda p, at, share=share: on_black(p, share))
    add("dark room", shots((s["officer"], 60)), lambda p, at: noisy(lit(p, 0.05), 2, at))
    add("speaker before black", shots((still("tests/golden/face/images/portrait_odd_size.png", y=0.4, zoom=0.5), 50)), lambda p, at: numpy.where(numpy.abs(numpy.arange(WIDTH) - 160)[None, :, None] < 40, p, 0).astype(numpy.uint8))
    # Light.
    for frames_of_flash in (1, 2):
        add("flash", shots((s["two"], 60)), lambda p, at, n=frames_of_flash: lit(p, 0.2, 200) if 30 <= at < 30 + n else p)
        add("white flash", shots((s["car"], 60)), lambda p, at, n=frames_of_flash: lit(p, 0, 255) if 30 <= at < 30 + n else p)
    add("photographers", shots((s["astronaut"], 90)), lambda p, at: lit(p, 0.5, 120) if at % 17 in (3, 8) else p)
    for period, on in ((2, 1), (5, 2), (8, 4)):
        add("strobe", shots((s["two"], 80)), lambda p, at, period=period, on=on: p if at % period < on else lit(p, 0.1))
    add("strobe in colours", shots((s["car"], 80)), lambda p, at: (p * [(1, 0.2, 0.2), (0.2, 1, 0.2), (0.2, 0.2, 1)][at // 3 % 3]).astype(numpy.uint8))
    add("light switched", shots((s["officer"], 60)), lambda p, at: lit(p, 0.35) if at >= 30 else p)
    add("exposure", shots((s["astronaut"], 80)), lambda p, at: lit(p, 0.4 + abs(at - 40) / 40))
    add("fade out, fade in", shots((s["astronaut"], 90)), lambda p, at: lit(p, min(1, abs(at - 45) / 15)))
    for length in (8, 20):
        for name, colour in (("black", 0), ("white", 255)):
            def through(a, b, share, colour=colour):
                ground = numpy.full_like(a, colour)
                return blended(a, ground, 2 * share) if share < 0.5 else blended(ground, b, 2 * share - 1)
            add(f"fade through {name}", gradual(*next(pair), 2 * length, through))
    for length in (6, 10, 15, 25, 25, 40, 50):
        add("dissolve", gradual(*next(pair), length, blended))
    add("dissolve of faces", gradual(s["astronaut"], s["two"], 20, blended))
    add("dissolve of faces", gradual(s["two"], s["car"], 30, blended))
    # The camera.
    large = cv2.imread(str(ROOT / "tests/golden/face/images/several_faces.png"))
    rocket = cv2.imread(str(ROOT / "tests/golden/face/images/no_face_half.png"))
    for speed in (0.002, 0.006, 0.012):
        add("pan", ([view(large, x=0.25 + min(speed * at, 0.5), y=0.4, zoom=2) for at in range(70)], []))
    add("tilt", ([view(large, x=0.4, y=0.25 + 0.007 * at, zoom=2) for at in range(70)], []))
    for speed in (1.01, 1.04):
        add("zoom", ([view(large, zoom=min(1.2 * speed**at, 6)) for at in range(60)], []))
    add("zoom out", ([view(large, zoom=max(5 / 1.03**at, 1)) for at in range(60)], []))
    add("turn", ([view(rocket, zoom=2, turn=3 * at) for at in range(60)], []))
    shake = numpy.random.default_rng(3)
    add("shaking camera", ([view(large, x=0.5 + shake.normal(0, 0.02), y=0.5 + shake.normal(0, 0.02), zoom=2) for at in range(60)], []))
    add("handheld, cut", (lambda f: f)(([view(large if at < 35 else rocket, x=0.5 + shake.normal(0, 0.008), y=0.5 + shake.normal(0, 0.008), zoom=2) for at in range(70)], [(36, 36)])))
    # What lies over the picture.
    add("picture in picture", shots((s["two"], 60)), lambda p, at: inset(p, s["car"](at)) if at >= 30 else p)
    add("cuts in an inset", shots((s["astronaut"], 80)), lambda p, at: inset(p, s[names[at // 20 + 1]](at)))
    add("cut behind an inset", shots((s["two"], 40), (s["rocket"], 40)), lambda p, at: inset(p, s["astronaut"](at)))
    add("subtitles", shots((s["astronaut"], 80)), lambda p, at: cv2.putText(p.copy(), ["WELL, HELLO THERE", "I AM NOT SURE", "", "GOODBYE"][at // 20], (20, 165), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 3))
    add("title", shots((s["car"], 60)), lambda p, at: cv2.rectangle(p.copy(), (0, 125), (WIDTH, 165), (160, 40, 20), -1) if 20 <= at < 45 else p)
    # What moves.
    add("one walks by", shots((s["rocket"], 70)), lambda p, at: cv2.rectangle(p.copy(), (12 * at - 250, 0), (12 * at - 130, HEIGHT), (40, 60, 90), -1))
    add("face comes near", ([inset(s["rocket"](0), s["astronaut"](at), 0.2 + 0.012 * at, 0.02, 0.02) for at in range(60)], []))
    add("frozen", shots((lambda at: s["two"](0), 40), (s["car"], 40)))
    add("every third frame", shots((lambda at: s["astronaut"](at // 3 * 3), 60), (lambda at: s["car"](at // 3 * 3), 60)))
    add("fast motion", shots((lambda at: s["car"](4 * at), 50), (lambda at: s["two"](4 * at), 50)))
    add("blurred", shots((s["astronaut"], 40), (s["officer"], 40)), lambda p, at: cv2.GaussianBlur(p, (0, 0), 6))
    add("interview", shots((s["two"], 25), (s["car"], 25), (s["two"], 25), (s["astronaut"], 25), (s["two"], 25)))
    return made


def write(path, frames):
    command = f"ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s {WIDTH}x{HEIGHT} -r {RATE} -i - -pix_fmt yuv420p -c:v libx264 -preset veryfast -crf 23"
    subprocess.run([*command.split(), path], input=b"".join(map(bytes, frames)), check=True)


def by_abaw(paths):
    program = ROOT / "target/release/examples/cuts"
    lines = subprocess.run([program, *paths], check=True, capture_output=True, text=True).stdout.splitlines()
    return {Path(path): [int(cut) for cut in cuts.split()] for path, _, cuts in (line.partition("\t") for line in lines)}


def by_pyscenedetect(path, detector):
    from scenedetect import detect
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

    found = detect(str(path), {"content": ContentDetector, "adaptive": AdaptiveDetector}[detector]())
    return [start.get_frames() + 1 for start, _ in found[1:]]


def score(found, cuts):
    """True positives, false positives, false negatives."""
    left = list(found)
    hits = 0
    for first, last in cuts:
        late = 8 if last > first else 2
        near = [cut for cut in left if first - 2 <= cut <= last + late]
        if near:
            hits += 1
            left.remove(near[0])
    return numpy.array([hits, len(left), len(cuts) - hits])


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    made = clips()
    paths = [folder / f"{name}.mp4" for _, name, _, _ in made]
    for path, (_, _, frames, _) in zip(paths, made):
        if not path.exists():
            write(path, frames)
    abaw = by_abaw(paths)
    counts = {detector: defaultdict(lambda: numpy.zeros(3, int)) for detector in DETECTORS}
    number = defaultdict(int)
    for path, (kind, name, _, cuts) in zip(paths, made):
        number[kind] += 1
        for detector in DETECTORS:
            found = abaw[path] if detector == "abaw" else by_pyscenedetect(path, detector)
            counts[detector][kind] += (scored := score(found, cuts))
            if detector == "abaw" and (scored[1] or scored[2]):
                print(f"{name}: {cuts}, found {found}", file=sys.stderr)
    print("| clips | | cuts | " + " | ".join(f"{detector}: missed, false" for detector in DETECTORS) + " |")
    print("|---|---|---|" + "---|" * len(DETECTORS))
    for kind, clips_of_kind in number.items():
        cuts = counts["abaw"][kind][0] + counts["abaw"][kind][2]
        cells = [f"{missed}, {false}" for _, false, missed in (counts[detector][kind] for detector in DETECTORS)]
        print(f"| {kind} | {clips_of_kind} | {cuts} | " + " | ".join(cells) + " |")
    whole = {detector: sum(counts[detector].values()) for detector in DETECTORS}
    cells = []
    for detector in DETECTORS:
        hits, false, missed = whole[detector]
        cells.append(f"precision {hits / (hits + false):.3f}, recall {hits / (hits + missed):.3f}")
    print(f"| all | {len(made)} | {whole['abaw'][0] + whole['abaw'][2]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "target/cuts"))
