"""Faces in pictures as a researcher's script finds and aligns them: NumPy around RetinaFace, OpenCV's warp."""
import cv2
import numpy as np

MEANS = np.float32([104, 117, 123])
LONG_SIDE, CONFIDENCE, OVERLAP = 640, 0.6, 0.35
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
# DDAMFN's frontal template.
TEMPLATE = np.float32([[33.566, 40.559], [78.321, 40.559], [55.338, 64.967], [38.479, 90.276], [73.591, 90.276]])


def priors(width, height):
    """`[P, 3]`: centre and side of each prior."""
    rows = []
    for stride, sizes in LEVELS:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1) * stride
        level = np.concatenate([np.repeat(centres, 2, 0), np.tile(sizes, len(centres))[:, None]], 1)
        rows.append(level)
    return np.concatenate(rows).astype(np.float32)


def detector_input(picture):
    """RGB bytes to what the detector sees, `[3, H, W]`, and the factor between them."""
    factor = LONG_SIDE / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return (small[..., ::-1].astype(np.float32) - MEANS).transpose(2, 0, 1), factor


def faces(scores, boxes, landmarks, anchors, factor):
    """Scores, boxes and landmarks of one picture's faces, in its pixels."""
    chosen = np.flatnonzero(scores > CONFIDENCE)
    chosen = chosen[np.argsort(-scores[chosen])]
    centres, sides = anchors[chosen, :2], anchors[chosen, 2:]
    middle = centres + boxes[chosen, :2] * 0.1 * sides
    size = sides * np.exp(boxes[chosen, 2:] * 0.2)
    corners = np.concatenate([middle - size / 2, middle + size / 2], 1)
    points = centres[:, None] + landmarks[chosen].reshape(-1, 5, 2) * 0.1 * sides[:, None]
    kept = suppress(corners)
    return scores[chosen][kept], corners[kept] / factor, points[kept] / factor


def suppress(boxes):
    """Indices of the boxes, best first, that none before overlaps too much."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left, kept = np.arange(len(boxes)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        inner = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        common = inner.clip(0).prod(1)
        left = left[common / (areas[best] + areas[left] - common) <= OVERLAP]
    return kept


def similarity(points):
    """Umeyama's least squares similarity from five landmarks to the template, `[2, 3]`."""
    source, target = points - points.mean(0), TEMPLATE - TEMPLATE.mean(0)
    u, stretch, v = np.linalg.svd(target.T @ source)
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u * sign @ v
    scale = (stretch * sign).sum() / (source**2).sum()
    shift = TEMPLATE.mean(0) - scale * rotation @ points.mean(0)
    return np.column_stack([scale * rotation, shift])


def align(picture, points):
    """The crop of 112x112 pixels."""
    return cv2.warpAffine(picture, similarity(points), (112, 112), flags=cv2.INTER_LINEAR)
