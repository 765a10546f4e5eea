#!/usr/bin/env python3
"""The stages that are no networks, in Python's libraries, timed on request: the counterpart of `stages decode` and so on.

    stages.py decode-pyav|decode-opencv CLIP THREADS    `time 1 REPEATS`: seconds a frame, to RGB
    stages.py align CLIP THREADS                        seconds a face
    stages.py parquet TABLE THREADS                     seconds a row, pandas with zstd
"""
import os
import sys
import tempfile
import time


def decode_pyav(clip, threads):
    import av

    def run():
        frames = 0
        with av.open(clip) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            for frame in container.decode(stream):
                frame.to_ndarray(format="rgb24")
                frames += 1
        return frames

    return run


def decode_opencv(clip, threads):
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{threads}"
    import cv2

    cv2.setNumThreads(threads)

    def run():
        capture, frames = cv2.VideoCapture(clip), 0
        while True:
            good, picture = capture.read()
            if not good:
                return frames
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            frames += 1

    return run


def align_face(clip, threads):
    import av
    import cv2
    import numpy as np

    from faces import TEMPLATE, align

    cv2.setNumThreads(threads)
    with av.open(clip) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    points = TEMPLATE * np.float32(2.5) + np.float32([300, 200])

    def run():
        for _ in range(100):
            align(picture, points)
        return 100

    return run


def write_parquet(path, _threads):
    import pandas as pd

    table = pd.read_parquet(path)
    out = tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".parquet")

    def run():
        table.to_parquet(out.name, compression="zstd")
        return len(table)

    return run


WORK = {
    "decode-pyav": decode_pyav,
    "decode-opencv": decode_opencv,
    "align": align_face,
    "parquet": write_parquet,
}


def main():
    stage, path, threads = sys.argv[1:]
    run = WORK[stage](path, int(threads))
    run()
    print("ready", flush=True)
    for line in sys.stdin:
        repeats = int(line.split()[2])
        start = time.perf_counter()
        items = sum(run() for _ in range(repeats))
        print((time.perf_counter() - start) / items, flush=True)


if __name__ == "__main__":
    main()
