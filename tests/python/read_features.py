"""Reads the features that `abaw annotate --features` wrote, with pyarrow, and prints them as one JSON object.

PYTHONPATH=.deps/python python3 tests/python/read_features.py FILE.parquet
"""

import json
import sys

import pyarrow.parquet


def main(path: str) -> None:
    table = pyarrow.parquet.read_table(path)
    print(json.dumps({
        "types": {field.name: str(field.type) for field in table.schema},
        "videos": sorted(set(table["video"].to_pylist())),
        "frames": table["frame"].to_pylist(),
        "persons": table["person"].to_pylist(),
        "features": [[float(value) for value in feature] for feature in table["feature"].to_pylist()],
        "card": json.loads(pyarrow.parquet.read_metadata(path).metadata[b"abaw"]),
    }))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
