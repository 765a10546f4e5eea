"""An EfficientNet-B0 of random weights with HSEmotion's ten outputs, by timm, and what PyTorch gives for faces.

    python3 tests/python/efficientnet.py export OUT.pt PICTURE
    python3 tests/python/efficientnet.py run MODEL.pt TABLE.parquet PICTURE    JSON: boxes, ten numbers for each

Needs torch 2.13, timm, numpy, Pillow, pyarrow (PYTHONPATH).
"""

import json
import pathlib
import sys

import torch
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "golden" / "networks"))
from make_networks import batch, boxes_cut_out  # noqa: E402

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def export(out, picture):
    import timm

    torch.manual_seed(22)
    network = timm.create_model("efficientnet_b0", pretrained=False, num_classes=10)
    # Statistics of parts of a picture, and outputs of the size of a trained network's: else all faces give nearly the same.
    picture = Image.open(picture).convert("RGB")
    places = torch.rand(8, 2).mul(torch.tensor([picture.width - 160, picture.height - 160])).int().tolist()
    parts = batch([picture.crop((x, y, x + 160, y + 160)) for x, y in places], size=224, bgr=False, **IMAGENET)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(parts)
        network.eval()
        outputs = network(parts)
        scale = 1.5 / (outputs - outputs.mean(0)).std()
        network.classifier.weight.mul_(scale)
        network.classifier.bias.sub_(outputs.mean(0)).mul_(scale)
    torch.jit.trace(network, torch.zeros(2, 3, 224, 224)).save(out)


def run(model, table, picture):
    network = torch.jit.load(model)
    boxes, crops = boxes_cut_out(table, picture, 0.0)
    with torch.no_grad():
        rows = [network(batch([crop], size=224, bgr=False, **IMAGENET))[0] for crop in crops]
    affects = [torch.cat([row[8:], torch.softmax(row[:8], 0)]).tolist() for row in rows]
    print(json.dumps({"boxes": [[float(edge) for edge in box] for box in boxes], "affects": affects}))


if __name__ == "__main__":
    {"export": export, "run": run}[sys.argv[1]](*sys.argv[2:])
