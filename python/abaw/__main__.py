"""Starts the program `abaw` of this package with the libtorch of the installed PyTorch."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

# The versions that the program was built for and tried with; another has other C++ functions.
TORCH = "2.13.0"
# The libraries of NVIDIA's that PyPI's libtorch links even where there is no GPU, and the packages that bring them.
CUDA_LIBRARIES = {
    "libcudart.so.13": "nvidia-cuda-runtime==13.0.96",
    "libcupti.so.13": "nvidia-cuda-cupti==13.0.85",
}


def refuse(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


def find_torch() -> Path:
    """Returns the folder of the installed PyTorch, which is not imported."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        refuse(f"PyTorch is missing, whose libtorch abaw runs on: pip install torch=={TORCH}")
    folder = Path(found.origin).parent
    text = (folder / "version.py").read_text(encoding="utf-8")
    version = next(iter(re.findall(r"__version__ = '([^']+)'", text)), "of an unknown version")
    if version.partition("+")[0] != TORCH:
        refuse(f"PyTorch is {version}, but abaw was built for {TORCH}: pip install torch=={TORCH}")
    if "cuda: Optional[str] = None" not in text:
        nvidia = folder.parent / "nvidia"
        missing = [package for library, package in CUDA_LIBRARIES.items() if not any(nvidia.glob(f"*/lib/{library}"))]
        if missing:
            refuse(f"PyTorch lacks libraries that it links: pip install {' '.join(missing)}")
    return folder


def main() -> NoReturn:
    torch = find_torch()
    package = Path(__file__).resolve().parent
    environment = dict(os.environ)
    # The program finds PyTorch beside this package by itself; here it is in another folder of packages.
    if torch.resolve().parent != package.parent:
        others = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{torch}/lib" + (f":{others}" if others else "")
    program = package / "bin" / "abaw"
    try:
        os.execve(program, [str(program), *sys.argv[1:]], environment)
    except OSError as error:
        refuse(f"{program} cannot be started: {error.strerror}; install abaw again")


if __name__ == "__main__":
    main()
