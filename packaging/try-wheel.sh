#!/usr/bin/env bash
# Run by test-install.sh in a fresh root, as an ordinary user: installs the wheel as the README tells, and uses it.
#   try-wheel.sh PYTHON cpu|all
# /dist has the wheel, /samples a clip, /tests scripts, /built the table that the build on the host made of the clip.
set -euo pipefail
python=$1 set=$2
cd
[ "$(id -u)" != 0 ]
for tool in gcc ffmpeg cargo; do
  if command -v $tool; then
    echo "try-wheel.sh: $tool is here, so this shows nothing"
    exit 1
  fi
done

# must EXIT-CODE WORDS COMMAND...: the exit code, and words in what it prints.
must() {
  local code=$1 words=$2 found=0
  shift 2
  "$@" >output 2>&1 || found=$?
  if [ "$found" != "$code" ] || ! grep -qF -- "$words" output; then
    echo "try-wheel.sh: $*: exit code $found, not $code, or no '$words' in:"
    cat output
    exit 1
  fi
}

rm -rf venv run film.mp4 report module
"$python" -m venv venv
. venv/bin/activate
pip() { command pip --disable-pip-version-check --quiet "$@"; }
case $set in
  cpu)
    pip install --no-deps /dist/abaw-*manylinux*.whl
    must 2 "PyTorch is missing" abaw doctor
    pip install --no-deps torch==2.13.0 nvidia-cuda-runtime==13.0.96
    must 2 "pip install nvidia-cuda-cupti==13.0.85" abaw doctor
    pip install --no-deps nvidia-cuda-cupti==13.0.85
    pip install pandas pyarrow
    ;;
  all) pip install /dist/abaw-*manylinux*.whl ;;
esac

must 0 "to do      nothing" abaw doctor
if grep -F .so output; then exit 1; fi
must 0 "1 of 1 videos done" abaw annotate /samples/astronaut.mp4 --out run --device auto
python /tests/compare_tables.py /built/astronaut.parquet run/frames/astronaut.parquet
must 0 "film.mp4: 250 frames" abaw render run astronaut --out film.mp4
must 0 "report/index.html" abaw report run --out report
must 0 "complete -F" abaw completions bash
must 0 "abaw-annotate.1" ls venv/share/man/man1
must 2 "no-such.mp4" abaw annotate no-such.mp4 --out other
mkdir module
must 0 "all hold" python /tests/use_module.py /samples/astronaut.mp4 module
# An environment module's libraries come first in LD_LIBRARY_PATH; the wheel's own are taken all the same.
mkdir -p trap && touch trap/libavcodec.so.61 trap/libtorch_cpu.so
must 0 "to do      nothing" env LD_LIBRARY_PATH=trap abaw doctor
