#!/usr/bin/env bash
# What `make bench` compares with, into the machine-wide cache, linked as .deps/bench, beside PyTorch.
source "$(dirname "$0")/step.sh"

setup/pytorch.sh
dir=$cache/bench-packages-$(sha256sum <setup/bench-packages.txt | cut -c1-8)
if [ ! -d "$dir" ]; then
  say "OpenVINO, onnxruntime, PyAV, OpenCV, pandas: downloading 315 MB, once for this machine, into $dir"
  pip_into bench-packages.txt "$dir"
fi
ln -sfn "$dir" .deps/bench
