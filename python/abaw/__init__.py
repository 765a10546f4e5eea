"""Valence, arousal, eight expressions and twelve action units of faces in video, from Python.

    import abaw
    run = abaw.annotate("interview.mp4", out="runs/interview")
    table = abaw.read(run)                      # a row for each frame and person
    table.groupby("person")[abaw.aus].mean()

Everything is done by the program `abaw`; this module starts it and reads its tables. The columns are described in the README.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["AbawError", "annotate", "aus", "expressions", "read"]

aus: list[str] = [f"au{unit}" for unit in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)]
"""Columns of the decisions on action units, true or false. The probabilities, 0 to 1, are in `au1_prob` and so on."""

expressions: list[str] = [
    f"expr_{name}"
    for name in ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
]
"""Columns of the probabilities of the expressions, 0 to 1, which sum to 1. The most probable one is in `expression`."""


class AbawError(RuntimeError):
    """The program ended without doing all that was asked; the message is its own. `exit_code` is as in the README: 2 wrong usage or
    settings, 3 some inputs failed and all others are done, 75 stopped by a signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def annotate(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    **settings: Any,
) -> Path:
    """Annotates videos, or folders of them, and returns the run's folder, `out`. What is there already is not done again.

    Settings are the options of `abaw annotate`, with `_` for `-`: `device="cpu"`, `crops=True`, `limit_frames=100`. One that may be
    given several times takes a list; `set={"detector.threshold": 0.6}` takes a dict. Progress is written to `sys.stderr`, which a
    notebook shows below the cell.

    Raises AbawError if anything was not done. A run of which only some videos failed can be read all the same.
    """
    inputs = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    command = [sys.executable, "-m", "abaw", "annotate", "--out", os.fspath(out), *_options(settings)]
    command += ["--", *map(os.fspath, inputs)]
    # The packages that this process finds, also where it has changed its path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as program:
        try:
            assert program.stdout is not None
            for line in program.stdout:
                last = line.strip() or last
                print(line, end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            # It ends the tables it is at, or leaves them for the next run.
            program.terminate()
            program.wait()
            raise
    if program.returncode != 0:
        raise AbawError(last.removeprefix("error: "), program.returncode)
    return Path(out)


def _options(settings: Mapping[str, Any]) -> list[str]:
    options = []
    for name, value in settings.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, Mapping):
            value = [f"{key}={_toml(item)}" for key, item in value.items()]
        if value is True:
            options.append(option)
        elif isinstance(value, (list, tuple)):
            for item in value:
                options += [option, str(item)]
        elif value is not None and value is not False:
            options += [option, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return options


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@overload
def read(run: str | os.PathLike[str], engine: Literal["pandas"] = "pandas") -> pandas.DataFrame: ...
@overload
def read(run: str | os.PathLike[str], engine: Literal["polars"]) -> polars.DataFrame: ...
@overload
def read(run: str | os.PathLike[str], engine: Literal["arrow"]) -> pyarrow.Table: ...
def read(run: str | os.PathLike[str], engine: str = "pandas") -> Any:
    """Returns the tables of a run as one: a row for each frame and person, ordered by video and frame.

    Times (`time_s`) are in seconds; boxes and landmarks in pixels of the upright frame; valence and arousal in [-1, 1];
    probabilities in [0, 1]; frames count from 1. `engine`: "pandas", "polars" (needs the package) or "arrow".

    Raises FileNotFoundError if the run has no table yet.
    """
    if engine not in ("pandas", "polars", "arrow"):
        raise ValueError(f"engine must be pandas, polars or arrow, not {engine!r}")
    import pyarrow
    import pyarrow.parquet

    frames = Path(run) / "frames"
    files = sorted(frames.rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{frames}: no tables; is this the folder of a run?")
    # Tables of older versions lack columns: null. Each table has its own dictionary of names.
    tables = [pyarrow.parquet.ParquetFile(file).read().replace_schema_metadata() for file in files]
    table = pyarrow.concat_tables(tables, promote_options="default").unify_dictionaries()
    if engine == "pandas":
        return table.to_pandas()
    if engine == "polars":
        import polars

        return polars.from_arrow(table)
    return table
