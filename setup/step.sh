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
  mkdir -p "$(dirname "$dir")"
  part=$(mktemp -d "$dir.part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  mkdir "$part/tmp"
  local quiet=--quiet
  [ -t 1 ] && quiet=  # a person sees the progress bars
  # pip unpacks below TMPDIR before it moves: next to DIR there is room, in /tmp perhaps not.
  TMPDIR=$part/tmp PIP_ROOT_USER_ACTION=ignore python3 -m pip install $quiet --disable-pip-version-check \
    --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: "$@" --target "$part/set" -r "$lock" \
    2>"$part/errors" || {
    grep -v '^WARNING: Retrying' "$part/errors" >&2 || true
    fail "pip could not install $lock (no network?): run make again, or where there is one run" \
      "'pip install --no-deps --only-binary=:all: $* -r $lock --target DIR' and copy DIR here as $dir"
  }
  # Whoever was first, another checkout perhaps, installed the same.
  mv -T "$part/set" "$dir" 2>/dev/null || [ -d "$dir" ]
  rm -rf "$part"
}
