#!/usr/bin/env python3
"""Makes `astronaut.mp4` and `astronaut.frames.json`: a camera moving over a public-domain NASA portrait.

    pip install --target /tmp/recipe --no-deps scikit-image==0.26.0 pillow==13.0.0
    PYTHONPATH=/tmp/recipe python3 sample_data/make_astronaut.py /tmp/recipe/skimage/data/astronaut.png

Both files are committed; this is for whoever wants another clip. Needs the `ffmpeg` tool. With Debian 12's
ffmpeg 5.1 the result is the committed file, bit for bit.
"""

import hashlib
import json
import math
import pathlib
import subprocess
import sys

from PIL import Image

PORTRAIT_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
WIDTH, HEIGHT, FPS = 640, 480, 25

# Frames are counted from 1, both ends included. The face is whole and in view in every shot but the second,
# which looks at the space suit for one second; the third goes on where the first would have been by then.
FRAMES = 250
WITHOUT_FACE = (121, 145)
CUT = 181


def camera(frame: int) -> tuple:
    """Centre of the view (pixels of the portrait), zoom (output pixels per portrait pixel), roll (degrees)."""
    if WITHOUT_FACE[0] <= frame <= WITHOUT_FACE[1]:
        along = (frame - WITHOUT_FACE[0]) / 24
        return 330 + 20 * along, 400, 2.9, 4 * along
    if frame < CUT:
        along = (frame - 1) / (CUT - 2)
        return 258 - 44 * along, 190 - 48 * along, 1.6 + 0.75 * along, 9 * math.sin(3.5 * math.pi * along)
    along = (frame - CUT) / (FRAMES - CUT)
    return 222 + 24 * along, 128 + 34 * along, 2.75 - 0.75 * along, -14 + 22 * along


def view(portrait: Image.Image, frame: int) -> Image.Image:
    x, y, zoom, roll = camera(frame)
    cos, sin = math.cos(math.radians(roll)) / zoom, math.sin(math.radians(roll)) / zoom
    left, top = WIDTH / 2, HEIGHT / 2
    to_portrait = (cos, -sin, x - cos * left + sin * top, sin, cos, y - sin * left - cos * top)
    for corner_x, corner_y in [(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT)]:
        a, b, c, d, e, f = to_portrait
        inside = 0 <= a * corner_x + b * corner_y + c <= 512 and 0 <= d * corner_x + e * corner_y + f <= 512
        assert inside, f"frame {frame} looks over the portrait's edge"
    return portrait.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, to_portrait, Image.Resampling.BICUBIC)


def main(path: str) -> None:
    source = pathlib.Path(path).read_bytes()
    if hashlib.sha256(source).hexdigest() != PORTRAIT_SHA256:
        sys.exit(f"{path} is not astronaut.png of scikit-image 0.26.0")
    portrait = Image.open(path).convert("RGB")
    here = pathlib.Path(__file__).parent

    encoder = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y"]
        + ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
        # Tagged BT.601, which is what swscale's conversion to yuv420p writes.
        + ["-pix_fmt", "yuv420p", "-colorspace", "smpte170m", "-color_range", "tv"]
        + ["-c:v", "libx264", "-preset", "veryslow", "-crf", "26", "-threads", "1", "-bitexact"]
        + [str(here / "astronaut.mp4")],
        stdin=subprocess.PIPE,
    )
    for frame in range(1, FRAMES + 1):
        encoder.stdin.write(view(portrait, frame).tobytes())
    encoder.stdin.close()
    if encoder.wait() != 0:
        sys.exit("ffmpeg failed")

    facts = {
        "frames": FRAMES,
        "fps": FPS,
        "width": WIDTH,
        "height": HEIGHT,
        "with_face": [[1, WITHOUT_FACE[0] - 1], [WITHOUT_FACE[1] + 1, FRAMES]],
        "without_face": [list(WITHOUT_FACE)],
        "first_frame_of_each_shot": [1, WITHOUT_FACE[0], WITHOUT_FACE[1] + 1, CUT],
    }
    lines = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in facts.items())
    (here / "astronaut.frames.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
