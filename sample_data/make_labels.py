#!/usr/bin/env python3
"""Writes `aff-wild2/`: label files and a frame list for the sample clips, in the layout of Aff-Wild2.

The labels are INVENTED: waves and counters that have nothing to do with the faces. They exercise readers, writers
and scores; nothing else may be read out of them. Run it again after a change; the result is committed.
"""

import math
import pathlib

CLIPS = {"astronaut": 250, "carphone": 120, "two_people": 120}  # frames of each
NO_FACE = {"astronaut": range(121, 146)}

EXPRESSIONS = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
ACTION_UNITS = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
MTL_HEADER = "image,valence,arousal,expression,aus"


def valence_arousal(clip: str, frame: int) -> str:
    """Two values in [-1, 1]; -5 marks a frame without a label."""
    if frame in NO_FACE.get(clip, ()) or frame % 29 == 0:
        return "-5,-5"
    turn = 2 * math.pi * (frame + len(clip)) / 97
    return f"{0.7 * math.sin(turn):.3f},{0.5 * math.cos(1.7 * turn):.3f}"


def expression(clip: str, frame: int) -> str:
    """A class of 0-7, another every 9 frames; -1 marks a frame without a label."""
    if frame in NO_FACE.get(clip, ()) or frame % 17 == 0:
        return "-1"
    return str((frame // 9 + len(clip)) % 8)


def action_units(clip: str, frame: int) -> str:
    """12 times 0 or 1; -1 marks no label: for a whole row, or (frames 41, 82, ...) for its last unit only."""
    if frame in NO_FACE.get(clip, ()) or frame % 23 == 0:
        return ",".join(["-1"] * 12)
    units = [str(int((frame + 5 * unit) % (20 + unit) < 6)) for unit in range(12)]
    if frame % 41 == 0:
        units[11] = "-1"
    return ",".join(units)


def sparse_frames(frames: int) -> list:
    """Every sixth frame, with what real lists have too: two rows out of order, one frame twice."""
    chosen = list(range(1, frames + 1, 6))
    chosen[3], chosen[4] = chosen[4], chosen[3]
    chosen.insert(9, chosen[6])
    return chosen


def write(path: pathlib.Path, lines: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    root = pathlib.Path(__file__).parent / "aff-wild2"
    tasks = [
        ("VA_Estimation_Challenge", "valence,arousal", valence_arousal),
        ("EXPR_Recognition_Challenge", EXPRESSIONS, expression),
        ("AU_Detection_Challenge", ACTION_UNITS, action_units),
    ]
    for folder, header, label in tasks:
        for clip, frames in CLIPS.items():
            rows = [label(clip, frame) for frame in range(1, frames + 1)]
            write(root / "6th_ABAW_Annotations" / folder / "Validation_Set" / f"{clip}.txt", [header, *rows])

    listed = [(clip, frame) for clip, frames in CLIPS.items() for frame in sparse_frames(frames)]
    labelled = [
        f"{clip}/{frame:05}.jpg," + ",".join(label(clip, frame) for _, _, label in tasks) for clip, frame in listed
    ]
    write(root / "MTL" / "validation_set_annotations.txt", [MTL_HEADER, *labelled])

    # Frame lists of real challenges often ask for one frame more than a decoder finds.
    listed.append(("carphone", CLIPS["carphone"] + 1))
    write(root / "MTL" / "frame_list.txt", [MTL_HEADER, *(f"{clip}/{frame:05}.jpg," for clip, frame in listed)])


if __name__ == "__main__":
    main()
