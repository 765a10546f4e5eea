#!/usr/bin/env python3
"""Uses the Python module `abaw` on a clip, as a notebook does: use_module.py CLIP FOLDER"""

import sys
from pathlib import Path

import abaw
import pandas
import pyarrow

clip, folder = Path(sys.argv[1]), Path(sys.argv[2])

run = abaw.annotate([clip], out=folder / "run", device="cpu", limit_frames=12)
assert run == folder / "run", run
table = abaw.read(run)
assert isinstance(table, pandas.DataFrame)
assert table["frame"].tolist() == list(range(1, 13)), table["frame"]
assert set(table["video"].astype(str)) == {clip.stem}
assert len(abaw.aus) == 12 and len(abaw.expressions) == 8
assert ((table[abaw.expressions].sum(axis=1) - 1).abs() < 1e-5).all()
assert table[abaw.aus].dtypes.eq(bool).all() or table[abaw.aus].isin([True, False]).all(axis=None)
assert table["valence"].between(-1, 1).all() and table["arousal"].between(-1, 1).all()

# A second run under another id: both tables as one, names in one dictionary.
(folder / "more").mkdir()
for name in ("b", "a"):
    (folder / "more" / f"{name}{clip.suffix}").write_bytes(clip.read_bytes())
both = abaw.read(abaw.annotate(folder / "more", out=folder / "both", device="cpu", limit_frames=2), engine="arrow")
assert isinstance(both, pyarrow.Table)
assert both["video"].to_pylist() == ["a", "a", "b", "b"], both["video"]
assert both.select(abaw.aus + abaw.expressions).num_columns == 20

# Errors are the program's own sentences.
try:
    abaw.annotate(folder / "absent.mp4", out=folder / "none")
    raise SystemExit("no error")
except abaw.AbawError as error:
    assert error.exit_code == 2 and "absent.mp4" in str(error) and "\n" not in str(error), error
try:
    abaw.read(folder / "none")
    raise SystemExit("no error")
except FileNotFoundError as error:
    assert "no tables" in str(error)
try:
    abaw.read(run, engine="excel")
    raise SystemExit("no error")
except ValueError as error:
    assert "polars" in str(error)
print("all hold")
