#!/usr/bin/env bash
# The Debian packages that building and testing need, and a look whether what is not taken from Debian is there.
#   packages.sh             what building and most tests need
#   packages.sh browser     what the tests of the report's pages need
source "$(dirname "$0")/step.sh"

command -v cargo >/dev/null || fail "Rust is missing: install 1.91 or newer by hand (rustup) and put cargo on the PATH"
python3 -m pip --version >/dev/null 2>&1 || fail "Python 3 with pip is missing: install python3 and python3-pip by hand"

packages=(
  gcc g++ pkg-config                                           # C and C++ parts of the crates
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev  # video in and out
  libswresample-dev                                            # sound that MP4 cannot hold, made into AAC
  libclang1-14 libclang-common-14-dev                          # bindgen reads libav's headers with it
  ffmpeg                                                       # makes the sample clips, counts frames in tests
)
[ "${1:-}" = browser ] && packages=(chromium chromium-driver)
[ -e .deps/packages-by-hand ] && exit
[ "${1:-}" = slurm ] && packages=(slurmctld slurmd slurm-client munge strace)  # what the cluster in the tests needs
command -v apt-get >/dev/null ||
  fail "no apt-get here: install by hand what Debian 12 calls ${packages[*]}; then: mkdir -p .deps && touch .deps/packages-by-hand"

# dpkg-query fails when it knows one of them not at all, and still prints the others.
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "neither root nor sudo: install by hand, as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get --no-install-recommends "$@"; }
by_hand="install by hand: apt-get install ${missing[*]}"

say "Debian packages: looking for ${missing[*]}"
apt -qq update || fail "apt-get update failed (no network?); $by_hand"
size=$(apt --assume-no install "${missing[@]}" | sed -n 's/^Need to get \(.* [kMG]*B\).*/\1/p' || true)
say "Debian packages: downloading ${size:-them} and installing"
apt -qq -y -o Dpkg::Use-Pty=0 install "${missing[@]}" >/dev/null || fail "apt-get install failed; $by_hand"
