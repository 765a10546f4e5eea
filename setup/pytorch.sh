#!/usr/bin/env bash
# PyTorch for what is compared with it: the CUDA set of libtorch in the machine-wide cache, linked as .deps/pytorch. Which
# libtorch the program links does not change.
source "$(dirname "$0")/step.sh"

[ "$(python3 -c 'import sys; print(sys.version_info[:2])')" = "(3, 11)" ] ||
  fail "PyTorch: the pinned wheels are for Python 3.11, this is $(python3 --version)"

pytorch=$cache/libtorch-2.13.0-cuda
if [ ! -d "$pytorch" ]; then
  say "PyTorch 2.13.0: downloading 2.5 GB, once for this machine, into $pytorch"
  pip_into libtorch-cuda.txt "$pytorch"
fi
mkdir -p .deps
ln -sfn "$pytorch" .deps/pytorch
