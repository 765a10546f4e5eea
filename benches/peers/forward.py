#!/usr/bin/env python3
"""A network's forward pass in another engine, timed on request: the counterpart of `stages ddamfn` and `stages detector`.

    forward.py ddamfn|detector ENGINE f32|bf16 THREADS WEIGHTS INPUT

ENGINE is torch (NCHW), torch-channels-last, onnxruntime or openvino. INPUT holds RGB bytes, pictures of 112x112 pixels for
DDAMFN and of 640x480 for the detector. Answers lines on standard input: `time BATCH REPEATS` with seconds an item,
`outputs` with the numbers for the first pictures.
"""
import json
import os
import sys
import tempfile
import time

import numpy as np
import torch
from safetensors.torch import load_file

from ddamfn import Ddamfn
from retinaface import RetinaFace

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
COMPARED = 4


def load_ddamfn(path):
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    network = Ddamfn(weights["custom_classifier.emotions.weight"].shape[0])
    missing = network.load_state_dict(weights, strict=False).missing_keys
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not missing, missing
    return Tasks(network).eval()


class Tasks(torch.nn.Module):
    """The three tasks' outputs as the table holds them: `[N, 2 + 8 + 12]`."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        (va, expression, units), _ = self.network(x)
        return torch.cat([va, expression[:, :8].softmax(1), units.sigmoid()], 1)


def read_input(network, path):
    height, width = (112, 112) if network == "ddamfn" else (480, 640)
    pixels = np.fromfile(path, np.uint8).reshape(-1, height, width, 3)
    if network == "ddamfn":
        values = (pixels.astype(np.float32) / 255 - MEAN) / DEVIATION
    else:
        values = pixels[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def of_torch(network, precision, threads, layout):
    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    network = network.to(kind).to(memory_format=layout)

    def run(values):
        # What a user does by hand once is no part of the pass.
        images = torch.from_numpy(values).to(kind).contiguous(memory_format=layout)

        def forward():
            with torch.inference_mode():
                outputs = network(images)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return [output.float().numpy() for output in outputs]

        return forward

    return run


def export(network, example, folder):
    path = os.path.join(folder, "network.onnx")
    with torch.no_grad():
        torch.onnx.export(
            network, (example[:2],), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}, opset_version=17
        )
    return path


def of_onnxruntime(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda values: lambda: session.run(None, {"x": values})


def of_openvino(path, precision, threads):
    """One stream a core, each with a batch of its own: what OpenVINO's guide says for throughput."""
    import openvino

    core = openvino.Core()
    compiled = {}

    def run(values):
        shape = values.shape
        if shape not in compiled:
            model = core.read_model(path)
            model.reshape(list(shape))
            options = {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": threads,
                "INFERENCE_PRECISION_HINT": precision,
            }
            compiled[shape] = core.compile_model(model, "CPU", options)
        requests = [compiled[shape].create_infer_request() for _ in range(threads)]
        for request in requests:
            request.set_input_tensor(openvino.Tensor(values))

        def forward():
            for request in requests:
                request.start_async()
            for request in requests:
                request.wait()
            return [output.data for output in requests[0].output_tensors]

        forward.batches = threads
        return forward

    return run


def main():
    name, engine, precision, threads, weights, input_path = sys.argv[1:]
    threads = int(threads)
    network = load_ddamfn(weights) if name == "ddamfn" else RetinaFace(load_file(weights)).eval()
    pictures = read_input(name, input_path)
    with tempfile.TemporaryDirectory() as folder:
        if engine == "torch":
            run = of_torch(network, precision, threads, torch.contiguous_format)
        elif engine == "torch-channels-last":
            run = of_torch(network, precision, threads, torch.channels_last)
        else:
            path = export(network, torch.from_numpy(pictures), folder)
            run = of_onnxruntime(path, threads) if engine == "onnxruntime" else of_openvino(path, precision, threads)
        print("ready", flush=True)
        answer(run, pictures)


def answer(run, pictures):
    passes = {}
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "outputs":
            outputs = run(pictures[:COMPARED])()
            print(json.dumps([output.reshape(COMPARED, -1).astype(float).tolist() for output in outputs]), flush=True)
            continue
        batch, repeats = map(int, numbers)
        if batch not in passes:
            passes[batch] = run(np.ascontiguousarray(pictures[np.arange(batch) % len(pictures)]))
            passes[batch]()
        forward = passes[batch]
        start = time.perf_counter()
        for _ in range(repeats):
            forward()
        seconds = time.perf_counter() - start
        print(seconds / repeats / batch / getattr(forward, "batches", 1), flush=True)


if __name__ == "__main__":
    main()
