#!/usr/bin/env python3
"""The whole pipeline as a researcher writes it with care: PyAV, RetinaFace and DDAMFN in PyTorch in batches of 16,
OpenCV's warp, pandas to Parquet.

    pipeline.py CLIP DETECTOR WEIGHTS OUT THREADS [f32|bf16]
"""
import sys
import time as clock

import av
import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from faces import align, detector_input, faces, priors
from forward import DEVIATION, MEAN, load_ddamfn
from retinaface import RetinaFace

BATCH = 16
EXPRESSIONS = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other"]
UNITS = [1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26]


def batches(clip, threads):
    """Frames in batches: number, time in seconds, RGB."""
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        batch = []
        for number, frame in enumerate(container.decode(stream), 1):
            batch.append((number, frame.time, frame.to_ndarray(format="rgb24")))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def main():
    clip, detector, weights, out, threads, *precision = sys.argv[1:]
    kind = torch.bfloat16 if precision == ["bf16"] else torch.float32
    threads = int(threads)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    detector = RetinaFace(load_file(detector)).eval().to(memory_format=torch.channels_last)
    network = load_ddamfn(weights).to(kind).to(memory_format=torch.channels_last)
    rows, waiting = [], []
    start = clock.perf_counter()

    def infer(count):
        crops = np.stack([crop for crop, _ in waiting[:count]])
        images = torch.from_numpy(((crops / np.float32(255)) - MEAN) / DEVIATION).permute(0, 3, 1, 2)
        outputs = network(images.to(kind)).float().numpy()
        rows.extend(place + list(values) for (_, place), values in zip(waiting, outputs))
        del waiting[:count]

    with torch.inference_mode():
        for batch in batches(clip, threads):
            inputs, factors = zip(*(detector_input(picture) for _, _, picture in batch))
            images = torch.from_numpy(np.stack(inputs)).contiguous(memory_format=torch.channels_last)
            anchors = priors(images.shape[3], images.shape[2])
            answers = [answer.numpy() for answer in detector(images)]
            for (number, time, picture), factor, *of_picture in zip(batch, factors, *answers):
                found = faces(*of_picture, anchors, factor)
                if not len(found[0]):
                    rows.append([number, time, None] + [None] * 37)
                for person, (score, box, points) in enumerate(zip(*found)):
                    place = [number, time, person, score, *box, *points.ravel()]
                    waiting.append((align(picture, points), place))
            while len(waiting) >= BATCH:
                infer(BATCH)
        if waiting:
            infer(len(waiting))
    columns = ["frame", "time_s", "person", "score", "x1", "y1", "x2", "y2"]
    columns += [f"landmark_{i}" for i in range(10)] + ["valence", "arousal"]
    columns += [f"p_{name}" for name in EXPRESSIONS] + [f"au{unit:02}" for unit in UNITS]
    table = pd.DataFrame(rows, columns=columns).sort_values(["frame", "person"])
    table.to_parquet(out, compression="zstd")
    seconds = clock.perf_counter() - start
    print(f"{table.frame.nunique()} frames, {table.score.notna().sum()} faces, {seconds:.3f} s")


if __name__ == "__main__":
    main()
