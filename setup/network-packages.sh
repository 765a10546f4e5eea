#!/usr/bin/env bash
# timm, whose EfficientNet a test exports and runs beside PyTorch, into the machine-wide cache, linked as .deps/networks.
source "$(dirname "$0")/step.sh"

setup/pytorch.sh
dir=$cache/network-packages-$(sha256sum <setup/network-packages.txt | cut -c1-8)
if [ ! -d "$dir" ]; then
  say "timm, torchvision: downloading 30 MB, once for this machine, into $dir"
  pip_into network-packages.txt "$dir"
fi
ln -sfn "$dir" .deps/networks
