#!/usr/bin/env python3
"""A plain PyTorch training loop of DDAMFN, to compare the Rust trainer with.

    pytorch_training.py curves GOLDEN OUT.json   total loss of 200 steps, two runs that differ in threads alone
    pytorch_training.py speed [THREADS [BATCH]]  milliseconds an image of a training step, NCHW and channels last

Written from the facts about the network (arXiv 2407.12390), not from its authors' code. Needs PyTorch 2.13.0:
`make libtorch CUDA=1` fetches it; PYTHONPATH=~/.cache/abaw/libtorch-2.13.0-cuda and what `import torch` asks for.
"""
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x))


class ConvBnPrelu(ConvBn):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0, groups=1):
        super().__init__(inputs, outputs, kernel, stride, padding, groups)
        self.prelu = nn.PReLU(outputs)

    def forward(self, x):
        return self.prelu(super().forward(x))


class Gates(nn.Module):
    """Coordinate attention's bottleneck: pools of rows and columns to gates."""

    def __init__(self, channels):
        super().__init__()
        middle = max(8, channels // 32)
        self.conv1 = nn.Conv2d(channels, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, channels, 1)
        self.conv3 = nn.Conv2d(middle, channels, 1)

    def gates(self, rows, columns):
        height = rows.shape[2]
        y = self.bn1(self.conv1(torch.cat([rows, columns.permute(0, 1, 3, 2)], 2)))
        y = y * F.relu6(y + 3) / 6
        rows, columns = torch.split(y, [height, y.shape[2] - height], 2)
        return torch.sigmoid(self.conv2(rows)), torch.sigmoid(self.conv3(columns.permute(0, 1, 3, 2)))


class CoordinateAttention(Gates):
    def forward(self, x):
        rows, columns = self.gates(x.mean(3, keepdim=True), x.mean(2, keepdim=True))
        return x * columns * rows


class DirectionAttention(Gates):
    def __init__(self, channels, side):
        super().__init__(channels)
        self.Linear_h = ConvBn(channels, channels, (1, side), groups=channels)
        self.Linear_w = ConvBn(channels, channels, (side, 1), groups=channels)

    def forward(self, x):
        rows, columns = self.gates(self.Linear_h(x), self.Linear_w(x))
        return columns * rows


class Head(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.CoordAtt = DirectionAttention(channels, side)

    def forward(self, x):
        return self.CoordAtt(x)


class Mixed(nn.Module):
    def __init__(self, kernels, stride):
        super().__init__()
        self.shares = [channels for _, channels in kernels]
        self.mixed_depthwise_conv = nn.ModuleList(
            nn.Conv2d(c, c, k, stride, k // 2, groups=c, bias=False) for k, c in kernels
        )

    def forward(self, x):
        parts = torch.split(x, self.shares, 1)
        return torch.cat([conv(part) for conv, part in zip(self.mixed_depthwise_conv, parts)], 1)


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, kernels, stride=1, residual=False):
        super().__init__()
        expanded = sum(channels for _, channels in kernels)
        self.conv = ConvBnPrelu(inputs, expanded, 1)
        self.conv_dw = Mixed(kernels, stride)
        self.CA = CoordinateAttention(expanded)
        self.project = ConvBn(expanded, outputs, 1)
        self.residual = residual

    def forward(self, x):
        y = self.project(self.CA(self.conv_dw(self.conv(x))))
        return x + y if self.residual else y


class Residuals(nn.Module):
    def __init__(self, count, channels, kernels):
        super().__init__()
        self.model = nn.Sequential(*(Bottleneck(channels, channels, kernels, residual=True) for _ in range(count)))

    def forward(self, x):
        return self.model(x)


class Classifier(nn.Module):
    def __init__(self, emotions):
        super().__init__()
        self.dense = nn.Linear(512, 512)
        self.val_arousal = nn.Linear(512, 2)
        self.emotions = nn.Linear(512, emotions)
        self.actions = nn.Linear(512, 12)

    def forward(self, x):
        x = F.relu(self.dense(x))
        return torch.tanh(self.val_arousal(x)), self.emotions(x), self.actions(x)


class Ddamfn(nn.Module):
    def __init__(self, emotions=9):
        super().__init__()
        self.features = nn.Sequential(
            ConvBnPrelu(3, 64, 3, 2, 1),
            ConvBnPrelu(64, 64, 3, 1, 1, groups=64),
            Bottleneck(64, 64, [(3, 64), (5, 32), (7, 32)], 2),
            Residuals(9, 64, [(3, 96), (5, 32)]),
            Bottleneck(64, 128, [(3, 128), (5, 64), (7, 64)], 2),
            Residuals(16, 128, [(3, 192), (5, 64)]),
            Bottleneck(128, 256, [(3, 256), (5, 256), (7, 256), (9, 256)], 2),
            Residuals(6, 256, [(3, 172), (5, 170), (7, 170)]),
            ConvBnPrelu(256, 512, 1),
        )
        self.cat_head0 = Head(512, 7)
        self.cat_head1 = Head(512, 7)
        self.Linear = ConvBn(512, 512, 7, groups=512)
        self.custom_classifier = Classifier(emotions)

    def forward(self, x):
        x = self.features(x)
        heads = self.cat_head0(x), self.cat_head1(x)
        y = self.Linear(x * torch.maximum(*heads)).flatten(1)
        return self.custom_classifier(y), heads


def ccc(x, y):
    x0, y0 = x - x.mean(), y - y.mean()
    spread = (x0 * x0).mean() + (y0 * y0).mean() + (x.mean() - y.mean()) ** 2 + 1e-8
    return 2 * (x0 * y0).mean() / spread


def total_loss(outputs, va, expression, units):
    (found_va, logits, actions), (a, b) = outputs
    va_loss = 1 - (ccc(found_va[:, 0], va[:, 0]) + ccc(found_va[:, 1], va[:, 1])) / 2
    attention = 1 / (F.mse_loss(a, b) + torch.finfo(torch.float64).eps)
    return (
        va_loss
        + F.cross_entropy(logits, expression)
        + F.binary_cross_entropy_with_logits(actions, units)
        + 0.1 * attention
    )


def batch_of_step(crops, step):
    """Eight of the crops, every other one mirrored, with labels that follow from their numbers."""
    images, va, expression, units = [], [], [], []
    for place in range(8):
        number = (step * 5 + place * 7) % len(crops)
        mirrored = (step + place) % 2 == 1
        images.append(crops[number].flip(2) if mirrored else crops[number])
        va.append([number / 6 - 1, 0.5 - number / 12])
        expression.append(number % 8)
        units.append([float((number >> (unit % 4)) & 1) for unit in range(12)])
    return torch.stack(images), torch.tensor(va), torch.tensor(expression), torch.tensor(units)


def curves(golden, out):
    from safetensors.torch import load_file

    cases = load_file(f"{golden}/ddamfn_cases.safetensors")
    weights = load_file(f"{golden}/ddamfn_multitask.safetensors")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    crops = torch.cat([cases["train.crops_rgb_u8"], cases["eval.crops_rgb_u8"]])
    crops = ((crops.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    runs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        network = Ddamfn()
        missing = network.load_state_dict(weights, strict=False).missing_keys
        assert not missing, missing
        network.train()
        adam = torch.optim.Adam(network.parameters(), lr=1e-4)
        curve = []
        for step in range(200):
            images, va, expression, units = batch_of_step(crops, step)
            loss = total_loss(network(images), va, expression, units)
            adam.zero_grad()
            loss.backward()
            adam.step()
            curve.append(loss.item())
        runs.append({"threads": threads, "total": curve})
        print(threads, "threads:", curve[0], "->", curve[-1], file=sys.stderr)
    with open(out, "w") as file:
        json.dump({"torch": torch.__version__, "batch": 8, "learning_rate": 1e-4, "runs": runs}, file)


def speed(threads=1, batch=32):
    torch.set_num_threads(threads)
    for name, layout in (("NCHW", torch.contiguous_format), ("channels last", torch.channels_last)):
        torch.manual_seed(1)
        network = Ddamfn(8).train().to(memory_format=layout)
        adam = torch.optim.Adam(network.parameters(), lr=1e-4)
        images = torch.randn(batch, 3, 112, 112).contiguous(memory_format=layout)
        va, expression = torch.rand(batch, 2), torch.randint(8, (batch,))
        units = torch.randint(2, (batch, 12)).float()
        times = []
        for _ in range(6):
            wall, cpu = time.perf_counter(), time.process_time()
            loss = total_loss(network(images), va, expression, units)
            adam.zero_grad()
            loss.backward()
            adam.step()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = (sorted(column)[2] / batch * 1000 for column in zip(*times[1:]))
        print(f"PyTorch eager, {name}, {threads} threads, batch {batch}: {wall:.1f} ms an image, {cpu:.1f} ms of processor")


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "curves":
        curves(*rest)
    else:
        speed(*map(int, rest))
