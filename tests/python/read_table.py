"""Reads a table of `abaw` with pandas and with DuckDB, as a user would, and prints what they see as one JSON object.

PYTHONPATH=.deps/python python3 tests/python/read_table.py FILE.parquet
"""

import json
import sys

import duckdb
import pandas
import pyarrow.parquet


def main(path: str) -> None:
    table = pandas.read_parquet(path, engine="pyarrow")
    relation = duckdb.read_parquet(path)
    subjects = table.groupby("frame")["subject"].sum()
    found = {
        "arrow": {field.name: str(field.type) for field in pyarrow.parquet.read_schema(path)},
        "pandas": {
            "rows": len(table),
            "columns": {name: str(dtype) for name, dtype in table.dtypes.items()},
        },
        "duckdb": {
            "rows": relation.count("*").fetchone()[0],
            "columns": {name: str(kind) for name, kind in zip(relation.columns, relation.types)},
        },
        "frames": [int(table["frame"].iloc[0]), int(table["frame"].iloc[-1])],
        "distinct_frames": int(table["frame"].nunique()),
        "subject_per_frame_ok": bool((subjects == 1).all()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
