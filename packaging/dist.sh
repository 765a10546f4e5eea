#!/usr/bin/env bash
# `make dist`: the wheel, built where glibc is old so that it runs on any Linux since 2020: in a root of Debian 11 below ROOTS.
# As root, for debootstrap and chroot.
#   dist.sh             the wheel, into dist/
#   dist.sh python      only a Python for that root, which test-install needs
source "$(dirname "$0")/../setup/step.sh"

roots=$(realpath -m "${ROOTS:-.deps/roots}")
root=$roots/build
sources=$roots/sources

packaging/root.sh make bullseye "$root" g++ make pkg-config ca-certificates python3 libclang-dev clang nasm patch \
  xz-utils zlib1g-dev libdav1d-dev autoconf automake libtool

# fetch_source SUITE PACKAGE: a Debian source package, its hash checked by apt against Debian's signed list.
fetch_source() {
  local apt=$roots/apt
  mkdir -p "$apt"/lists/partial "$apt"/archives/partial "$sources"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(packaging/root.sh mirror) $1 main" >"$apt/sources.list"
  local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$sources" && apt-get "${options[@]}" source -d "$2") || fail "the source of $2 cannot be fetched"
}

if [ "${1:-}" = python ]; then
  [ -e "$root/opt/python/bin/pip3" ] && exit
  say "Python 3.11 for Debian 11: fetching 26 MB of sources, building for some minutes"
  fetch_source bookworm python3.11
  packaging/root.sh run "$root" root "$sources=/sources" "$PWD/packaging=/packaging" -- /packaging/python.sh /sources ||
    fail "Python does not build, see $root/opt/python.log"
  exit
fi

libav=libav-$(sha256sum <packaging/libav.sh | cut -c1-8)
if [ ! -e "$root/opt/$libav/licenses" ]; then
  say "libav for the wheel: fetching 14 MB of sources, building for some minutes"
  rm -rf "$sources"
  fetch_source trixie ffmpeg
  fetch_source bookworm openh264
  fetch_source bookworm zimg
  packaging/root.sh run "$root" root "$sources=/sources" "$PWD/packaging=/packaging" -- \
    /packaging/libav.sh /sources "/opt/$libav" || fail "libav does not build, see $root/opt/$libav.log"
fi

# Libraries are sought in the wheel and in the PyTorch beside it, before LD_LIBRARY_PATH: a cluster's modules set that.
# shellcheck disable=SC2016
rpath='$ORIGIN/../lib:$ORIGIN/../../torch/lib'
say "the program for the wheel: building in $root"
packaging/root.sh run "$root" root "$HOME/.cargo=/root/.cargo" "${RUSTUP_HOME:-$HOME/.rustup}=/root/.rustup" "$PWD=/abaw" \
  "$(realpath .deps/libtorch)=/libtorch" -- env -C /abaw LIBTORCH=/libtorch/torch PKG_CONFIG_PATH="/opt/$libav/lib/pkgconfig" \
  ABAW_RPATH="$rpath" CARGO_TARGET_DIR=/target CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols \
  PATH=/root/.cargo/bin:/usr/bin:/bin cargo build --release --locked --bin abaw

mkdir -p dist
packaging/wheel.py --program "$root/target/release/abaw" --libraries "$root/opt/$libav" --tag manylinux_2_31_x86_64 --out dist
