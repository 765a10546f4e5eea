#!/usr/bin/env bash
# libtorch 2.13.0 from PyPI into the machine-wide cache, linked as .deps/libtorch (.cargo/config.toml points there).
#   libtorch.sh 0 | 1     the CPU set | the CUDA set
#   libtorch.sh           whichever is linked, the CPU set if none is
source "$(dirname "$0")/step.sh"

link=.deps/libtorch
case "${1:-}" in
  0) set=cpu size="540 MB" ;;
  1) set=cuda size="2.5 GB" ;;
  "") case "$(readlink $link || true)" in *-cuda) exec setup/libtorch.sh 1 ;; *) exec setup/libtorch.sh 0 ;; esac ;;
  *) fail "libtorch: CUDA must be 0 or 1, not '$1'" ;;
esac

dir=$cache/libtorch-2.13.0-$set
if [ ! -d "$dir" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "libtorch: PyPI's set is for Linux x86_64, this is $(uname -sm): install libtorch 2.13.0 by hand so that $dir/torch/lib holds it"
  say "libtorch 2.13.0 ($set): downloading $size, once for this machine, into $dir"
  # Always CPython 3.11's wheels, whatever Python runs pip: only the C++ libraries and headers in them are used.
  pip_into "libtorch-$set.txt" "$dir" --implementation cp --python-version 3.11
fi
if [ "$(readlink $link || true)" != "$dir" ]; then
  # The cache may be others' too.
  (cd "$dir" && sha256sum --quiet --check) <setup/libtorch.sha256 >/dev/null 2>&1 ||
    fail "libtorch: what lies in $dir is not libtorch 2.13.0: remove that folder and run make again"
  mkdir -p .deps
  ln -sfn "$dir" $link
  say "libtorch: $link -> $dir"
fi
