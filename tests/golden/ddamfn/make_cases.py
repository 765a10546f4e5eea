"""Makes `cases.safetensors`: crops of 112x112 and what PyTorch computes from them with the weights that come with the program
(`models/ddamfn-demo.safetensors`), by an implementation that shares no code with it (`benches/peers/ddamfn.py`).

    python3 make_cases.py

Needs PyTorch, safetensors, NumPy and Pillow, and the reference data in ../shared/golden: the implementation must first
give the original network's outputs with the original's weights, to 1e-5 of the largest.
"""

import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "benches" / "peers"))

from ddamfn import Ddamfn  # noqa: E402

CROPS = [
    "face/alignment/face_at_border_int.png",
    "face/alignment/face_at_border_float.png",
    "crops/enlarged.png",
    "crops/shrunk.png",
    "crops/shrunk_far.png",
    "crops/colour_at_half_size.png",
]
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def outputs(weights: pathlib.Path, crops: torch.Tensor) -> dict[str, torch.Tensor]:
    """Raw outputs of a multitask network for `[N, 112, 112, 3]` bytes of RGB."""
    tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
    network = Ddamfn(tensors["custom_classifier.emotions.weight"].shape[0])
    missing = network.load_state_dict(tensors, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    pixels = ((crops.float() / 255 - MEAN) / DEVIATION).permute(0, 3, 1, 2)
    with torch.inference_mode():
        (valence_arousal, emotions, actions), _ = network.eval()(pixels)
    return {"val_arousal": valence_arousal, "emotions_logits": emotions, "actions_logits": actions}


def check(golden: pathlib.Path) -> None:
    cases = load_file(golden / "ddamfn_cases.safetensors")
    found = outputs(golden / "ddamfn_multitask.safetensors", cases["eval.crops_rgb_u8"])
    for name, values in found.items():
        expected = cases[f"eval.{name}"]
        furthest = ((values - expected).abs().max() / expected.abs().max()).item()
        print(f"{name}: {furthest:.1e} of the largest from the original")
        assert furthest < 1e-5, name


def main() -> None:
    torch.set_num_threads(1)
    check(ROOT.parent / "shared" / "golden")
    pictures = [Image.open(HERE.parent / name).convert("RGB") for name in CROPS]
    crops = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    cases = outputs(ROOT / "models" / "ddamfn-demo.safetensors", crops)
    save_file({"crops": crops, **{name: values.contiguous() for name, values in cases.items()}}, HERE / "cases.safetensors")


main()
