#!/usr/bin/env bash
# Snakemake, for the test that runs pipelines/slurm/Snakefile, into the machine-wide cache, linked as .deps/snakemake.
source "$(dirname "$0")/step.sh"

python=$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
case $python in
  cp311 | cp312 | cp313) ;;
  *) exit ;;  # Snakemake 9 has no wheels for it; the test is skipped
esac
dir=$cache/snakemake-$(sha256sum <setup/snakemake.txt | cut -c1-8)-$python
if [ ! -d "$dir" ]; then
  say "Snakemake: downloading 35 MB, once for this machine, into $dir"
  pip_into snakemake.txt "$dir" --no-binary connection-pool
fi
if [ "$(readlink .deps/snakemake || true)" != "$dir" ]; then
  mkdir -p .deps
  ln -sfn "$dir" .deps/snakemake
fi
