#!/usr/bin/env bash
# docs/report.png: a video's page of the report, of astronaut.mp4 (whose picture is in the public domain), as `make picture`.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
abaw=target/release/abaw
run=runs/picture
$abaw annotate sample_data/astronaut.mp4 --out $run --pipeline pipelines/annotate.toml
$abaw render $run astronaut --out $run/overlay/astronaut.mp4
$abaw report $run --out $run/report
cat >"$work/plan.json" <<PLAN
[{"page": "$run/report/videos/astronaut.html", "width": 1180, "picture": "$work/page.png",
  "do": [["click", 0, 0.31], ["click", 0, 0.32], ["hover", 0, 0.32]]}]
PLAN
PYTHONPATH=.deps/selenium python3 tests/python/look_at_report.py "$work/plan.json" >/dev/null
# 128 colours are enough for a page, and a third of the bytes.
ffmpeg -loglevel error -y -i "$work/page.png" \
  -vf "split[page][colours];[colours]palettegen=max_colors=128:reserve_transparent=0[palette];[page][palette]paletteuse=dither=none" \
  -compression_level 100 -pred mixed docs/report.png
ls -l docs/report.png
