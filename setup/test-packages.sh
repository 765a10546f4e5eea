#!/usr/bin/env bash
# The Python packages that tests read tables and annotations with, into the machine-wide cache, linked as .deps/python.
source "$(dirname "$0")/step.sh"

python=$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
# Another lock file or another Python is another folder.
dir=$cache/test-packages-$(sha256sum <setup/test-packages.txt | cut -c1-8)-$python
if [ ! -d "$dir" ]; then
  say "test packages (DuckDB, pandas, polars, matplotlib, readers of annotation tools): downloading 160 MB, once for this machine, into $dir"
  pip_into test-packages.txt "$dir"
fi
if [ "$(readlink .deps/python || true)" != "$dir" ]; then
  mkdir -p .deps
  ln -sfn "$dir" .deps/python
fi
