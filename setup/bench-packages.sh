#!/usr/bin/env bash
# What `make bench` compares with, into the machine-wide cache, linked as .deps/bench; PyTorch itself is the CUDA set of
# libtorch, linked as .deps/pytorch. Which libtorch the program links does not change.
source "$(dirname "$0")/step.sh"

[ "$(python3 -c 'import sys; print(sys.version_info[:2])')" = "(3, 11)" ] ||
  fail "bench: the pinned wheels are for Python 3.11, this is $(python3 --version)"

pytorch=$cache/libtorch-2.13.0-cuda
if [ ! -d "$pytorch" ]; then
  say "PyTorch 2.13.0: downloading 2.5 GB, once for this machine, into $pytorch"
  pip_into libtorch-cuda.txt "$pytorch"
fi
dir=$cache/bench-packages-$(sha256sum <setup/bench-packages.txt | cut -c1-8)
if [ ! -d "$dir" ]; then
  say "OpenVINO, onnxruntime, PyAV, OpenCV, pandas: downloading 315 MB, once for this machine, into $dir"
  pip_into bench-packages.txt "$dir"
fi
mkdir -p .deps
ln -sfn "$pytorch" .deps/pytorch
ln -sfn "$dir" .deps/bench
