#!/usr/bin/env bash
# The Debian packages that building and testing need, and a look whether what is not taken from Debian is there.
#   packages.sh             what building and most tests need
#   packages.sh browser     what the tests of the report's pages need
#   packages.sh slurm       what the cluster in the tests needs
#   packages.sh roots       what `make dist` and `make test-install` need
source "$(dirname "$0")/step.sh"

# libclang reads libav's headers for bindgen. Its package is named after LLVM's version, which each distribution chooses: the one
# that is installed, or 14, or the newest that there is.
libclang() {
  local known
  known=$({ dpkg-query -W -f='${db:Status-Status} ${Package}\n' 'libclang1-[0-9]*' 2>/dev/null | sed -n 's/^installed //p'; } || true)
  [ -n "$known" ] || known=$(apt-cache --names-only search '^libclang1-[0-9]+$' 2>/dev/null | cut -d ' ' -f 1 || true)
  known=$(sed 's/[^0-9]*1-//; s/[^0-9].*//' <<<"$known" | sort -n)
  grep -x 14 <<<"$known" || tail -n 1 <<<"$known"
}

case "${1:-}" in
  browser) packages=(chromium chromium-driver) ;;
  slurm) packages=(slurmctld slurmd slurm-client munge strace) ;;
  roots) packages=(debootstrap) ;;
  *)
    packages=(
      gcc g++ pkg-config make                                      # C and C++ parts of the crates
      libavcodec-dev libavformat-dev libavutil-dev libswscale-dev  # video in and out
      libavfilter-dev                                              # deinterlacing, high dynamic range
      libswresample-dev                                            # sound that MP4 cannot hold, made into AAC
      ffmpeg                                                       # makes the sample clips, counts frames in tests
    )
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)  # another Python's pip serves too
    ;;
esac
[ -e .deps/packages-by-hand ] && exit
command -v apt-get >/dev/null ||
  fail "no apt-get here: install by hand what Debian calls ${packages[*]} libclang-dev; then: mkdir -p .deps && touch .deps/packages-by-hand"

# Sets `missing`.
find_missing() {
  local installed package wanted=("${packages[@]}") version
  if [[ ${packages[0]} = gcc ]]; then
    version=$(libclang)
    if [ -n "$version" ]; then
      wanted+=("libclang1-$version" "libclang-common-$version-dev")
    else
      wanted+=(libclang-dev)  # apt's lists are not there yet
    fi
  fi
  # dpkg-query fails when it knows one of them not at all, and still prints the others.
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
  missing=()
  for package in "${wanted[@]}"; do
    grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
  done
}

find_missing
if [ ${#missing[@]} != 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    # A sudo that would ask for a password serves only where a person can answer.
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; } ||
      fail "packages are missing and this is not root; an administrator installs them with: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get --no-install-recommends "$@"; }

  say "Debian packages: looking for ${missing[*]}"
  apt -qq update || fail "apt-get update failed (no network?); install by hand: apt-get install ${missing[*]}"
  find_missing
  size=$(apt --assume-no install "${missing[@]}" | sed -n 's/^Need to get \(.* [kMG]*B\).*/\1/p' || true)
  say "Debian packages: downloading ${size:-them} and installing"
  apt -qq -y -o Dpkg::Use-Pty=0 install "${missing[@]}" >/dev/null ||
    fail "apt-get install failed; install by hand: apt-get install ${missing[*]}"
fi

command -v cargo >/dev/null || fail "Rust is missing: install rustup, or Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer, and put cargo on the PATH"
