#!/usr/bin/env python3
"""Compares the tables of one video by two builds of the program: compare_tables.py ONE.parquet OTHER.parquet

With the same libtorch they were equal to the last bit where this was tried; another C library may round elsewhere. Bounds: the same
frames, persons, faces and decisions; boxes and landmarks within 0.01 pixel; probabilities, valence and arousal within 0.0001. Prints the
largest differences.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

PIXELS = 0.01
NUMBERS = 0.0001
DECISIONS = 0.0


def plain(column):
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.to_pylist()


def flat(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


one, other = (pq.ParquetFile(path).read() for path in sys.argv[1:])
assert one.column_names == other.column_names, (one.column_names, other.column_names)
assert one.num_rows == other.num_rows, (one.num_rows, other.num_rows)
largest = {"pixels": 0.0, "numbers": 0.0, "decisions": 0.0}
for name in one.column_names:
    a, b = (list(flat(plain(table[name]))) for table in (one, other))
    assert [value is None for value in a] == [value is None for value in b], name
    pairs = [(x, y) for x, y in zip(a, b) if x is not None]
    if name in ("video", "frame", "time_s", "person", "subject", "detected", "usable"):
        assert all(x == y for x, y in pairs), name
    elif pairs and isinstance(pairs[0][0], (bool, str)):
        largest["decisions"] = max(largest["decisions"], sum(x != y for x, y in pairs) / len(pairs))
    elif pairs:
        # Degrees and sharpness are of the size of pixels.
        kind = "pixels" if name.startswith(("box_", "landmarks", "face_px", "roll", "pitch", "yaw", "sharp")) else "numbers"
        largest[kind] = max(largest[kind], max(abs(x - y) for x, y in pairs))
print("largest differences:", ", ".join(f"{kind} {value:.2g}" for kind, value in largest.items()))
if largest["pixels"] > PIXELS or largest["numbers"] > NUMBERS or largest["decisions"] > DECISIONS:
    sys.exit("the tables differ by more than rounding")
