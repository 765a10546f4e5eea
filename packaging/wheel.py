#!/usr/bin/env python3
"""Packs the wheel: the program, its libraries, weights, pipelines and job scripts, and the Python module."""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# A wheel of the same content has the same bytes: zip files know no time before this.
TIME = (1980, 1, 1, 0, 0, 0)
LARGEST = 80_000_000
TORCH = re.search(r'TORCH = "(.+)"', (REPOSITORY / "python/abaw/__main__.py").read_text()).group(1)


def of_cargo(key: str) -> str:
    return re.search(rf'^{key} = "(.+)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def metadata(version: str, licenses: list[str]) -> str:
    """Metadata as the packaging standards write it, with the README as the description."""
    return "\n".join(
        [
            "Metadata-Version: 2.4",
            "Name: abaw",
            f"Version: {version}",
            f"Summary: {of_cargo('description')}",
            f"License-Expression: {of_cargo('license')} AND LGPL-2.1-or-later AND BSD-2-Clause AND WTFPL",
            *(f"License-File: {name}" for name in licenses),
            "Requires-Python: >=3.10",
            f"Requires-Dist: torch=={TORCH}",
            "Requires-Dist: pandas>=2",
            "Requires-Dist: pyarrow>=14",
            "Requires-Dist: polars>=1 ; extra == 'polars'",
            "Provides-Extra: polars",
            "Description-Content-Type: text/markdown",
            "",
            (REPOSITORY / "README.md").read_text(encoding="utf-8"),
        ]
    )


def licenses_of_crates() -> str:
    """The licence texts of all crates that the program may contain, each text once, as they ask to be passed on."""
    command = "cargo metadata --format-version 1 --locked --filter-platform x86_64-unknown-linux-gnu".split()
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY).stdout)
    crates_of_text: dict[str, list[str]] = {}
    for crate in listed["packages"]:
        if crate["source"] is None:
            continue
        name = f"{crate['name']} {crate['version']} ({crate['license']})"
        folder = Path(crate["manifest_path"]).parent
        texts = [
            file.read_text(encoding="utf-8", errors="replace").strip()
            for pattern in ("LICEN[CS]E*", "COPYING*", "NOTICE*", "UNLICENSE*")
            for file in sorted(folder.glob(pattern))
            if file.is_file()
        ]
        for text in texts or ["(no text in the crate)"]:
            crates_of_text.setdefault(text, []).append(name)
    parts = ["\n".join(crates) + "\n\n" + text for text, crates in crates_of_text.items()]
    return ("\n\n" + "-" * 80 + "\n\n").join(parts) + "\n"


def check_versions(name: str, data: Path, tag: str) -> None:
    """Refuses what needs a newer C or C++ library than the tag promises (manylinux_2_31: glibc 2.31 and g++ 10)."""
    promised = re.fullmatch(r"manylinux_(\d+)_(\d+)_x86_64", tag)
    if promised is None:
        return
    limits = {"GLIBC": tuple(map(int, promised.groups())), "GLIBCXX": (3, 4, 28)}
    listed = subprocess.run(["objdump", "-p", data], check=True, capture_output=True, text=True).stdout
    for library, numbers in re.findall(r"\b(GLIBC|GLIBCXX)_([\d.]+)$", listed, re.MULTILINE):
        if tuple(map(int, numbers.split("."))) > limits[library]:
            raise SystemExit(f"wheel.py: {name} needs {library} {numbers}, more than {tag} promises")


def sonames(folder: Path) -> dict[str, Path]:
    """The shared libraries of a folder by the names that programs ask for, each once."""
    found = {}
    for file in sorted(folder.glob("*.so*")):
        listed = subprocess.run(["objdump", "-p", file], check=True, capture_output=True, text=True).stdout
        found[re.search(r"SONAME +(\S+)", listed).group(1)] = file.resolve()
    return found


def files(program: Path, libraries: Path | None) -> dict[str, Path]:
    """What lies in the package, by its path there."""
    found = {f"abaw/{file.name}": file for file in sorted((REPOSITORY / "python/abaw").glob("*")) if file.is_file()}
    found["abaw/bin/abaw"] = program
    for name in (
        "ddamfn-demo.safetensors",
        "dlib-resnet-v1.safetensors",
        "retinaface-mobilenet0.25.safetensors",
        "README.md",
    ):
        found[f"abaw/models/{name}"] = REPOSITORY / "models" / name
    pipelines = REPOSITORY / "pipelines"
    for file in sorted(file for file in pipelines.rglob("*") if file.is_file()):
        found[f"abaw/pipelines/{file.relative_to(pipelines)}"] = file
    # Where pip puts what `man abaw` finds.
    for page in sorted((REPOSITORY / "man/man1").glob("*.1")):
        found[f"abaw-{of_cargo('version')}.data/data/share/man/man1/{page.name}"] = page
    if libraries is not None:
        for name, file in sonames(libraries / "lib").items():
            found[f"abaw/lib/{name}"] = file
    return found


def pack(program: Path, libraries: Path | None, tag: str, out: Path) -> Path:
    version = of_cargo("version")
    info = f"abaw-{version}.dist-info"
    content = files(program, libraries)
    licenses = {"LICENSE": REPOSITORY / "LICENSE"}
    if libraries is not None:
        licenses |= {file.name: file for file in sorted((libraries / "licenses").iterdir())}
    content |= {f"{info}/licenses/{name}": file for name, file in licenses.items()}
    texts = {
        f"{info}/METADATA": metadata(version, [*licenses, "crates.txt"]),
        f"{info}/licenses/crates.txt": licenses_of_crates(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: abaw\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n",
        f"{info}/entry_points.txt": "[console_scripts]\nabaw = abaw.__main__:main\n",
    }
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"abaw-{version}-py3-none-{tag}.whl"
    record = []
    with zipfile.ZipFile(wheel.with_suffix(".part"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def add(name: str, data: bytes, mode: int) -> None:
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")

        for name, file in content.items():
            if re.match(r"abaw/(bin|lib)/", name):
                check_versions(name, file, tag)
            runs = name.startswith("abaw/bin/") or file.suffix == ".sh"
            add(name, file.read_bytes(), 0o755 if runs else 0o644)
        for name, text in texts.items():
            add(name, text.encode(), 0o644)
        entry = zipfile.ZipInfo(f"{info}/RECORD", TIME)
        entry.external_attr = 0o100644 << 16
        archive.writestr(entry, "\n".join([*record, f"{info}/RECORD,,"]) + "\n")
    size = wheel.with_suffix(".part").stat().st_size
    if size > LARGEST:
        raise SystemExit(f"wheel.py: {size / 1e6:.1f} MB is more than the {LARGEST / 1e6:.0f} MB that a wheel may have")
    wheel.with_suffix(".part").rename(wheel)
    print(f"{wheel}: {size / 1e6:.1f} MB")
    return wheel


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--libraries", type=Path, help="the prefix that its libav was built into; without it, the system's are used")
    parser.add_argument("--tag", required=True, help="the platform of the wheel's name: manylinux_2_31_x86_64, linux_x86_64")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pack(arguments.program.resolve(), arguments.libraries, arguments.tag, arguments.out)
