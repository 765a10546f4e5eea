#!/usr/bin/env python3
"""A plain PyTorch training loop of DDAMFN, to compare the Rust trainer with.

    training.py curves GOLDEN OUT.json   total loss of 200 steps, two runs that differ in threads alone
    training.py speed [THREADS [BATCH]]  milliseconds an image of a training step, NCHW, channels last, bf16

Written from the facts about the network (arXiv 2407.12390), not from its authors' code. Needs PyTorch 2.13.0:
`make libtorch CUDA=1` fetches it; PYTHONPATH=~/.cache/abaw/libtorch-2.13.0-cuda and what `import torch` asks for.
"""
import json
import sys
import time

import torch
from torch.nn import functional as F

from ddamfn import Ddamfn


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
    kinds = (
        ("NCHW", torch.contiguous_format, False),
        ("channels last", torch.channels_last, False),
        ("channels last, bf16", torch.channels_last, True),
    )
    for name, layout, bf16 in kinds:
        torch.manual_seed(1)
        network = Ddamfn(8).train().to(memory_format=layout)
        adam = torch.optim.Adam(network.parameters(), lr=1e-4)
        images = torch.randn(batch, 3, 112, 112).contiguous(memory_format=layout)
        va, expression = torch.rand(batch, 2), torch.randint(8, (batch,))
        units = torch.randint(2, (batch, 12)).float()
        times = []
        for _ in range(6):
            wall, cpu = time.perf_counter(), time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs, maps = network(images)
            wide = [output.float() for output in outputs], [attention.float() for attention in maps]
            loss = total_loss(wide, va, expression, units)
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
