"""Writes quality.json: head poses by OpenCV and by MediaPipe, and sharpness by OpenCV, to compare with.

pip install mediapipe==0.10.14 opencv-python-headless pandas pyarrow
python3 tests/golden/face/make_quality.py RUN CLIP.mp4...     (RUN: a run of `abaw annotate` over the clips)

Poses are pitch, yaw and roll in degrees with the signs of the table: the chin up, the nose to the picture's right, the
head's own right ear down. `opencv`: cv2.solvePnP (SQPNP, then Levenberg-Marquardt) of the five landmarks in the table.
`mediapipe`: the same of eight points of MediaPipe's face mesh, which sees the picture and not our landmarks. The focal
length is the picture's longer side.
"""

import json
import math
import sys
from pathlib import Path

import cv2
import mediapipe
import numpy
import pandas

# x to the right, y downwards, z away from the camera, centimetres: MediaPipe's canonical face model.
FIVE = [(-3.151, -2.62, -3.47), (3.151, -2.62, -3.47), (0, 0.7, -7.53), (-2.456, 4.343, -4.284), (2.456, 4.343, -4.284)]
MESH = {
    1: (0, 1.127, -7.476), 152: (0, 7.942, -5.181), 33: (-4.446, -2.664, -3.173), 263: (4.446, -2.664, -3.173),
    133: (-1.856, -2.585, -3.758), 362: (1.856, -2.585, -3.758), 61: (-2.456, 4.343, -4.284), 291: (2.456, 4.343, -4.284),
}
EVERY = 10


def pose(model, points, width, height):
    focal_length = max(width, height)
    camera = numpy.array([[focal_length, 0, width / 2], [0, focal_length, height / 2], [0, 0, 1]], float)
    model, points = numpy.array(model, float), numpy.array(points, float)
    _, turn, move = cv2.solvePnP(model, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    turn, _ = cv2.solvePnPRefineLM(model, points, camera, None, turn, move)
    rotation, _ = cv2.Rodrigues(turn)
    yaw = math.asin(max(-1, min(1, rotation[2, 0])))
    pitch = math.atan2(-rotation[2, 1], rotation[2, 2])
    roll = -math.atan2(rotation[1, 0], rotation[0, 0])
    return [round(math.degrees(angle), 2) for angle in (pitch, yaw, roll)]


def faces(run, clip, mesh):
    table = pandas.read_parquet(run / "frames" / f"{clip.stem}.parquet").query("detected and subject").set_index("frame")
    film = cv2.VideoCapture(str(clip))
    number = 0
    while True:
        read, picture = film.read()
        number += 1
        if not read:
            return
        if number % EVERY or number not in table.index:
            continue
        row = table.loc[number]
        height, width = picture.shape[:2]
        landmarks = numpy.array(row.landmarks, float).reshape(5, 2)
        margin = 0.5 * max(row.box_x2 - row.box_x1, row.box_y2 - row.box_y1)
        left, top = (int(max(0, side - margin)) for side in (row.box_x1, row.box_y1))
        right, bottom = int(row.box_x2 + margin), int(row.box_y2 + margin)
        near = picture[top:bottom, left:right]
        zoom = 400 / near.shape[1]
        near = cv2.resize(near, None, fx=zoom, fy=zoom)
        found = mesh.process(cv2.cvtColor(near, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if not found:
            continue
        points = found[0].landmark
        place = [(points[at].x * near.shape[1] / zoom + left, points[at].y * near.shape[0] / zoom + top) for at in MESH]
        yield {
            "clip": clip.stem,
            "frame": number,
            "size": [width, height],
            "landmarks": numpy.round(landmarks, 3).tolist(),
            "opencv": pose(FIVE, landmarks, width, height),
            "mediapipe": pose(list(MESH.values()), place, width, height),
        }


def sharpness(path):
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(float)
    height, width = grey.shape
    half = cv2.resize(grey[: height // 2 * 2, : width // 2 * 2], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.Laplacian(half, cv2.CV_64F)[1:-1, 1:-1].var() / half.var()


def main(run, *clips):
    here = Path(__file__).parent
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3)
    pictures = sorted((here.parent / "crops").glob("*.png")) + sorted((here / "alignment").glob("*.png"))
    found = {
        "poses": [face for clip in clips for face in faces(Path(run), Path(clip), mesh)],
        "sharpness": {str(path.relative_to(here.parent)): sharpness(path) for path in pictures},
    }
    text = json.dumps(found).replace('{"clip"', '\n{"clip"')
    (here / "quality.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
