#!/usr/bin/env bash
# `make test-install`: installs the wheel in fresh roots of Debian 11, 12 and 13 below ROOTS, as an ordinary user, and compares its table with
# that of this checkout's build; builds the container's content; builds and tests a fresh clone in a root of Debian 13. As root, for debootstrap and chroot.
#   test-install.sh [PART...]     bullseye bookworm trixie container source; all without one. Debian's archive has no Ubuntu: not tried
source "$(dirname "$0")/../setup/step.sh"

roots=$(realpath -m "${ROOTS:-.deps/roots}")
[ $# = 0 ] && set -- bullseye bookworm trixie container source
[ "$*" = source ] || wheel=$(ls dist/abaw-*manylinux*.whl 2>/dev/null) || fail "no wheel: make dist"

built=$roots/built
rm -rf "$built"
target/release/abaw annotate sample_data/astronaut.mp4 --device cpu --out "$built" --log-format json 2>/dev/null >/dev/null ||
  fail "the build here does not annotate the sample clip"

# try_wheel SUITE PYTHON SET PACKAGE...
try_wheel() {
  local root=$roots/$1 python=$2 set=$3 binds=()
  [[ $python = /opt/* ]] && binds+=("$roots/build/opt=/opt")
  packaging/root.sh make "$1" "$root" "${@:4}"
  say "$1: installing $wheel ($set), annotating, comparing"
  packaging/root.sh run "$root" ann "$PWD/dist=/dist" "$PWD/sample_data=/samples" "$PWD/tests/python=/tests" "$built/frames=/built" \
    "$PWD/packaging=/packaging" ${binds[@]+"${binds[@]}"} -- bash /packaging/try-wheel.sh "$python" "$set" || fail "$1: the wheel does not work"
}

for part in "$@"; do
  case $part in
    bullseye)
      packaging/dist.sh python
      try_wheel bullseye /opt/python/bin/python3 cpu ca-certificates libssl1.1 libffi7 libbz2-1.0
      ;;
    bookworm) try_wheel bookworm python3 cpu python3 python3-venv ca-certificates ;;
    # Two commands, nothing but Python and pip: the CUDA set, 2.5 GB.
    trixie) try_wheel trixie python3 all python3 python3-venv ca-certificates ;;
    container)
      # What Dockerfile and abaw.def do, without their daemons.
      rm -rf "$roots/container"
      packaging/root.sh make trixie "$roots/container" ca-certificates
      say "container: packaging/container.sh in a root of Debian 13"
      packaging/root.sh run "$roots/container" root "$PWD/packaging=/abaw/packaging" "$PWD/dist=/abaw/dist" -- \
        sh /abaw/packaging/container.sh /abaw/dist cpu >"$roots/container.log" 2>&1 || fail "container: see $roots/container.log"
      packaging/root.sh run "$roots/container" ann "$PWD/sample_data=/samples" -- \
        sh -c 'cd && abaw annotate /samples/astronaut.mp4 --out run --limit-frames 20' >"$roots/container.log" 2>&1 ||
        fail "container: see $roots/container.log"
      say "container: $(du -sm "$roots/container" | cut -f 1) MB"
      ;;
    source)
      packaging/root.sh make trixie "$roots/source" python3 python3-pip ca-certificates make git
      root=$roots/source
      # A clean clone, and Rust as rustup installs it. One test gives up root's right to enter closed homes.
      chmod 755 "$root/home/ann"
      rm -rf "$root/home/ann/abaw"
      git clone --quiet . "$root/home/ann/abaw"
      cargo_rustup=("${CARGO_HOME:-$HOME/.cargo}=/root/.cargo" "${RUSTUP_HOME:-$HOME/.rustup}=/root/.rustup")
      run() { packaging/root.sh run "$root" "$1" "${cargo_rustup[@]}" "$cache=$cache" -- env -C /home/ann/abaw "ABAW_CACHE=$cache" \
        PATH=/root/.cargo/bin:/usr/bin:/bin:/usr/sbin:/sbin "${@:2}"; }
      if ! chroot "$root" dpkg -s libavcodec-dev >/dev/null 2>&1; then
        say "source: as an ordinary user, make must name what is missing and build nothing"
        code=0
        run ann make annotate >"$roots/source.log" 2>&1 || code=$?
        { [ $code = 2 ] && grep -q 'apt-get install .*libavcodec-dev' "$roots/source.log" && [ ! -e "$root/home/ann/abaw/target" ]; } ||
          fail "source: exit code $code, see $roots/source.log"
      fi
      say "source: make annotate in Debian 13"
      run root git config --global --add safe.directory '*'
      run root make annotate >"$roots/source.log" 2>&1 || fail "source: see $roots/source.log"
      run root target/release/abaw annotate sample_data/astronaut.mp4 --device cpu --out runs/compare >"$roots/source.log" 2>&1 ||
        fail "source: see $roots/source.log"
      PYTHONPATH=.deps/python python3 tests/python/compare_tables.py "$built/frames/astronaut.parquet" \
        "$root/home/ann/abaw/runs/compare/frames/astronaut.parquet"
      say "source: make test in Debian 13"
      run root make test >"$roots/source.log" 2>&1 || fail "source: see $roots/source.log"
      say "source: $(grep -c '^test .* ok$' "$roots/source.log") tests passed"
      ;;
    *) fail "test-install: unknown part $part" ;;
  esac
done
