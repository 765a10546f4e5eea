"""Makes the TorchScript networks in this folder, and what PyTorch gives for faces.

    python3 make_networks.py                         the networks, files that are refused, and faces given as crops
    python3 make_networks.py TABLE.parquet PICTURE   faces in a picture: the boxes of its table, cut out by Pillow

Needs torch 2.13, numpy, Pillow; for a table pyarrow. `tiny.pt` is a small convolution network of this file's own, seeded:
crops of 96x96 pixels, blue first, a tuple of seven logits with valence and arousal, and five probabilities of action units.
"""

import json
import pathlib
import sys

import numpy
import torch
from PIL import Image
from torch import nn

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent
PICTURES = ["face/alignment/face_at_border_float.png", "face/images/portrait_odd_size.png", "crops/enlarged_input.png"]
MEAN, STD = [0.5, 0.45, 0.4], [0.25, 0.3, 0.2]
SIDE, MARGIN = 96, 0.1
# AffectNet-7's order.
CLASSES = ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry"]
UNITS = ["AU1", "AU2", "AU5", "AU12", "AU14"]


class Tiny(nn.Module):
    """Convolution, depthwise convolution with a squeeze, pooling, two heads: the layers of an EfficientNet, few of each."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.SiLU()
        )
        self.squeeze = nn.Sequential(nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())
        self.project = nn.Sequential(nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32))
        self.drop = nn.Dropout(0.3)
        self.affect = nn.Linear(32, 9)
        self.units = nn.Linear(32, 5)

    def forward(self, x):
        x = self.depthwise(self.stem(x))
        x = x * self.squeeze(x.mean((2, 3), keepdim=True))
        x = self.drop(self.project(x).amax((2, 3)))
        affect = self.affect(x)
        return torch.cat([affect[:, :7], torch.tanh(affect[:, 7:])], 1), torch.sigmoid(self.units(x))


class Reads(nn.Module):
    """A network that reads a file."""

    def forward(self, x):
        return x.mean((2, 3)) + torch.from_file("/etc/hostname", False, 3)


def seeded(network):
    """Weights and statistics that give different outputs to different faces."""
    generator = torch.Generator().manual_seed(22)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.dtype != torch.float32:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() * 0.2 + 0.3)
            elif tensor.dim() < 2:
                tensor.copy_(noise * 0.2 + (1.0 if name.endswith("weight") else 0.0))
            else:
                fan = tensor[0].numel()
                tensor.copy_(noise * ((0.1 if fan == 32 else 2.0) / fan) ** 0.5)
    return network


def batch(pictures, size=SIDE, mean=MEAN, std=STD, bgr=True):
    pixels = numpy.stack([numpy.asarray(picture.resize((size, size), Image.BILINEAR)) for picture in pictures])
    pixels = torch.from_numpy(pixels.copy()).float() / 255
    if bgr:
        pixels = pixels.flip(3)
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2).contiguous()


def affects(network, pictures, **how):
    """Valence, arousal, probabilities of the classes and of the units, a row a picture."""
    with torch.no_grad():
        rows = [network(batch([picture], **how)) for picture in pictures]
    found = []
    for affect, units in rows:
        numbers = [affect[0, 7:], torch.softmax(affect[0, :7], 0), units[0]]
        found.append([round(value, 7) for value in torch.cat(numbers).tolist()])
    return found


def boxes_cut_out(table, picture, margin):
    """Boxes of a table's rows, and what Pillow cuts out there."""
    import pyarrow.parquet

    picture = Image.open(picture).convert("RGB")
    rows = pyarrow.parquet.read_table(table, columns=["box_x1", "box_y1", "box_x2", "box_y2"]).to_pylist()
    boxes = [[numpy.float32(row[f"box_{edge}"]) for edge in ("x1", "y1", "x2", "y2")] for row in rows]
    crops = []
    for x1, y1, x2, y2 in boxes:
        half = numpy.float32(0.5 + margin)
        cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) * half, (y2 - y1) * half
        crops.append(picture.crop([int(numpy.floor(edge + 0.5)) for edge in (cx - w, cy - h, cx + w, cy + h)]))
    return boxes, crops


def write(name, golden):
    (HERE / name).write_text(json.dumps(golden, indent=1) + "\n")


def networks():
    network = seeded(Tiny()).eval()
    example = torch.zeros(2, 3, SIDE, SIDE)
    torch.jit.trace(network, example).save(str(HERE / "tiny.pt"))
    in_training = torch.jit.trace(seeded(Tiny()).train(), example, check_trace=False)
    in_training.save(str(HERE / "refused_in_training.pt"))
    torch.jit.script(Reads()).save(str(HERE / "refused_reads_a_file.pt"))
    pictures = [Image.open(GOLDEN / name).convert("RGB") for name in PICTURES]
    write("tiny_of_crops.json", {"pictures": PICTURES, "affects": affects(network, pictures)})


def faces_in(table, picture):
    network = torch.jit.load(str(HERE / "tiny.pt"))
    boxes, crops = boxes_cut_out(table, picture, MARGIN)
    boxes = [[float(edge) for edge in box] for box in boxes]
    write("tiny_of_boxes.json", {"boxes": boxes, "affects": affects(network, crops)})


if __name__ == "__main__":
    if len(sys.argv) == 1:
        networks()
    else:
        faces_in(*sys.argv[1:])
