#!/usr/bin/env python3
"""Clips of real faces at common sizes, from the sample clips.

    clips.py SAMPLES OUT    OUT gets 720p_1.mp4, 720p_2.mp4, 1080p_1.mp4, 1080p_2.mp4: 100 frames with one or two faces;
                            long.mp4 and short/*.mp4: the same 200 seconds at 6 frames a second, in one clip and in 200
"""
import itertools
import os
import sys

import av
import cv2
import numpy as np

FRAMES = 100
SHORT_CLIPS, SHORT_FRAMES = 200, 6


def frames_of(path):
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write(path, pictures, rate=25):
    with av.open(path + ".part", "w", format="mp4") as container:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "fast"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    os.rename(path + ".part", path)


def scene(height, *films):
    """Films side by side on a blurred ground of 16:9."""
    width = height * 16 // 9
    for parts in itertools.islice(zip(*map(itertools.cycle, films)), FRAMES):
        ground = cv2.GaussianBlur(cv2.resize(parts[0], (64, 36)), (0, 0), 4)
        picture = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        room = width // len(parts)
        for place, part in enumerate(parts):
            factor = min(room / part.shape[1], height / part.shape[0])
            part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            top, left = (height - part.shape[0]) // 2, place * room + (room - part.shape[1]) // 2
            picture[top : top + part.shape[0], left : left + part.shape[1]] = part
        yield picture


def main():
    samples, out = sys.argv[1:]
    os.makedirs(f"{out}/short", exist_ok=True)
    # A face is in each of these frames.
    astronaut = frames_of(f"{samples}/astronaut.mp4")[:100]
    carphone = frames_of(f"{samples}/carphone.mp4")
    for name, height in (("720p", 720), ("1080p", 1080)):
        write(f"{out}/{name}_1.mp4", scene(height, astronaut))
        write(f"{out}/{name}_2.mp4", scene(height, astronaut, carphone))
    write(f"{out}/long.mp4", itertools.islice(itertools.cycle(carphone), SHORT_CLIPS * SHORT_FRAMES), SHORT_FRAMES)
    for clip in range(SHORT_CLIPS):
        first = clip * SHORT_FRAMES
        part = [carphone[n % len(carphone)] for n in range(first, first + SHORT_FRAMES)]
        write(f"{out}/short/{clip:03}.mp4", part, SHORT_FRAMES)


if __name__ == "__main__":
    main()
