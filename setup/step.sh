# shellcheck shell=bash
# What the steps of the set-up share; each sources this file. Not run by itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One line that tells what is being done and how much it downloads.
say() { echo "setup: $*"; }

# One line that tells what to do by hand; the step ends.
fail() {
  echo "setup: $*" >&2
  exit 1
}

# Where large downloads live, once for all checkouts on this machine; ABAW_CACHE names a folder that several users share.
cache=${ABAW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/abaw}

# pip_into LOCK DIR [PIP OPTION...]: installs exactly the packages of setup/LOCK, their hashes checked. DIR appears
# when all is there, so an interrupted download is never taken for a finished one.
pip_into() {
  local lock=setup/$1 dir=$2
  shift 2
  local full="the disk of $(dirname "$dir") is full: make room, or name a folder elsewhere as ABAW_CACHE, and run make again"
  part=$({ mkdir -p "$(dirname "$dir")" && mktemp -d "$dir.part.XXXXXX"; } 2>&1) || {
    ! grep -qi 'no space left' <<<"$part" || fail "$full"
    fail "$(dirname "$dir") cannot be written: name a folder that can as ABAW_CACHE, and run make again"
  }
  trap 'rm -rf "$part"' EXIT
  mkdir "$part/tmp"
  local quiet=--quiet errors
  [ -t 1 ] && quiet=  # a person sees the progress bars
  exec 3>&1
  # pip unpacks below TMPDIR before it moves: next to DIR there is room, in /tmp perhaps not.
  errors=$(TMPDIR=$part/tmp PIP_ROOT_USER_ACTION=ignore python3 -m pip install $quiet --disable-pip-version-check \
    --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: "$@" --target "$part/set" -r "$lock" \
    2>&1 >&3) || {
    ! grep -qi 'no space left' <<<"$errors" || fail "$full"
    errors=$(sed -n 's/^ERROR: //p' <<<"$errors" | head -n 1)
    fail "pip could not install $lock (no network? pip: $errors): run make again, or where there is one run" \
      "'pip install --no-deps --only-binary=:all: $* -r $lock --target DIR' and copy DIR here as $dir"
  }
  # Whoever was first, another checkout perhaps, installed the same.
  mv -T "$part/set" "$dir" 2>/dev/null || [ -d "$dir" ]
  rm -rf "$part"
}
