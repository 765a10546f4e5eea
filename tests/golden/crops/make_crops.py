"""Makes the expected pictures here: what Pillow, with which PyTorch's users read pictures, makes of crops that are
not 112x112 or are stored as JPEG. Made with Pillow; nothing else is needed.

    python3 make_crops.py
"""

import pathlib

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


main()
