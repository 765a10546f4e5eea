#!/usr/bin/env bash
# Makes two_people.mp4 (640x360, 25 fps, 120 frames): the first shot of astronaut.mp4 on the left, carphone.mp4 on the
# right. A face is in view in each of these frames of both. `make samples` runs this; the ffmpeg tool is all it needs.
set -euo pipefail
cd "$(dirname "$0")"

ffmpeg -v error -y -i astronaut.mp4 -i carphone.mp4 -filter_complex "
  [0] trim=end_frame=120, settb=1/25, setpts=N, scale=480:360:flags=bicubic, crop=320:360:80:0 [left];
  [1] trim=end_frame=120, settb=1/25, setpts=N, scale=440:360:flags=bicubic, crop=320:360:20:0 [right];
  [left][right] hstack, format=yuv420p" \
  -r 25 -c:v libx264 -preset medium -crf 20 -threads 1 -bitexact -f mp4 two_people.mp4.part
mv two_people.mp4.part two_people.mp4
