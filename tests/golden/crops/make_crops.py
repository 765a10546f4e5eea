"""Makes the expected pictures here: what Pillow, with which PyTorch's users read pictures, makes of crops that are
not 112x112 or are stored as JPEG. Made with Pillow; nothing else is needed.

    python3 make_crops.py
"""

import hashlib
import pathlib
import random

from PIL import Image

HERE = pathlib.Path(__file__).parent
IMAGES = HERE.parent / "face" / "images"


def main() -> None:
    small = Image.open(IMAGES / "upscaled.png").convert("RGB")
    large = Image.open(IMAGES / "several_faces.png").convert("RGB")
    small.crop((60, 30, 120, 110)).save(HERE / "enlarged_input.png")
    for name, picture in [
        ("enlarged", Image.open(HERE / "enlarged_input.png")),
        ("shrunk", small),
        ("shrunk_far", large),
    ]:
        picture.resize((112, 112), Image.Resampling.BILINEAR).save(HERE / f"{name}.png", optimize=True)
    aligned = Image.open(HERE.parent / "face" / "alignment" / "face_at_border_float.png").convert("RGB")
    aligned.save(HERE / "colour_at_half_size.jpg", quality=90, subsampling="4:2:0")
    Image.open(HERE / "colour_at_half_size.jpg").save(HERE / "colour_at_half_size.png", optimize=True)
    for name, quality, subsampling in [("444", 95, "4:4:4"), ("422", 90, "4:2:2"), ("420", 75, "4:2:0")]:
        aligned.save(HERE / f"jpeg_{name}.jpg", quality=quality, subsampling=subsampling)
        Image.open(HERE / f"jpeg_{name}.jpg").save(HERE / f"jpeg_{name}.png", optimize=True)
    aligned.convert("L").save(HERE / "jpeg_grey.jpg", quality=90)
    Image.open(HERE / "jpeg_grey.jpg").convert("RGB").save(HERE / "jpeg_grey.png", optimize=True)
    (HERE / "resized.csv").write_text("".join(f"{line}\n" for line in resized()))


def resized():
    """Width, height and the sha256 of noise of that size resized to 112x112, for more than 200 sizes."""
    sizes = [(1, 1), (1, 112), (112, 1), (2, 3), (111, 113), (113, 111), (112, 224), (224, 112), (224, 224), (56, 56)]
    sizes += [(96, 96), (160, 160), (256, 256), (600, 2), (2, 600), (112, 50), (50, 112), (640, 480)]
    chance = random.Random(112)
    sizes += [(chance.randint(1, 260), chance.randint(1, 260)) for _ in range(200)]
    for width, height in sizes:
        picture = Image.frombytes("RGB", (width, height), noise(width, height))
        picture = picture.resize((112, 112), Image.Resampling.BILINEAR)
        yield f"{width},{height},{hashlib.sha256(picture.tobytes()).hexdigest()}"


def noise(width: int, height: int) -> bytes:
    shift = width * 40_503 + height * 48_271
    mixed = ((at * 2_654_435_761 + shift) & 0xFFFFFFFF for at in range(3 * width * height))
    return bytes(((value ^ (value >> 15)) * 2_246_822_519 & 0xFFFFFFFF) >> 24 for value in mixed)


main()
