#!/usr/bin/env bash
# A fresh Debian in a folder, made by debootstrap, and commands in it. As root.
#   root.sh make SUITE DIR [PACKAGE...]              a minimal Debian; silent if DIR has it and these packages
#   root.sh mirror                                    prints the Debian archive of this machine
#   root.sh run DIR USER [HOST=INSIDE...] -- COMMAND  as root or as the ordinary user `ann`; HOST is a folder to show inside
# What is mounted for a command is seen by it alone and is gone when it ends, however it ends.
set -euo pipefail

fail() {
  echo "root.sh: $*" >&2
  exit 1
}

# The Debian archive that this machine's apt uses, so that no address stands here.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$' ||
    fail "this machine's apt has no Debian archive"
}

make_root() {
  local suite=$1 dir=$2 part
  shift 2
  if [ -e "$dir/etc/debian_version" ]; then
    # Made by an older version of the scripts, perhaps, which needed fewer packages.
    local missing=
    [ $# = 0 ] || missing=$({ chroot "$dir" dpkg-query -W -f '${db:Status-Status}\n' "$@" || true; } 2>&1 | grep -vx installed || true)
    [ -z "$missing" ] ||
      run_in_root "$dir" root -- sh -c 'apt-get -qq update && apt-get -qq -y --no-install-recommends install "$@" >/dev/null 2>&1' - "$@" ||
      fail "packages cannot be installed in $dir: $*"
    return
  fi
  [ "$(id -u)" = 0 ] || fail "debootstrap needs root"
  command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
  mkdir -p "$(dirname "$dir")"
  part=$dir.part
  rm -rf "$part"
  echo "root.sh: making $dir, Debian $suite"
  local included=()
  [ $# = 0 ] || included+=("--include=$(IFS=,; echo "$*")")
  debootstrap --variant=minbase ${included[@]+"${included[@]}"} "$suite" "$part" "$(mirror)" >"$dir.log" 2>&1 ||
    fail "debootstrap failed, see $dir.log"
  # Some machines reach their registries through certificates and settings of their own.
  mkdir -p "$part/etc/ssl/certs"
  cp /etc/ssl/certs/ca-certificates.crt "$part/etc/ssl/certs/"
  [ -e /etc/pip.conf ] && cp /etc/pip.conf "$part/etc/"
  chroot "$part" useradd --create-home --shell /bin/bash ann
  mv -T "$part" "$dir"
}

run_in_root() {
  local dir=$1 user=$2
  shift 2
  local binds=()
  while [ "$1" != -- ]; do
    binds+=("$1")
    shift
  done
  shift
  local home=/home/ann
  [ "$user" = root ] && home=/root
  # Without the machine's own settings, but for those by which pip and cargo reach their registries.
  local kept=() name
  for name in PIP_CERT SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE http_proxy https_proxy no_proxy; do
    [ -n "${!name:-}" ] && kept+=("$name=${!name}")
  done
  # shellcheck disable=SC2016
  unshare --mount --pid --fork --kill-child --propagation private bash -c '
    set -euo pipefail
    dir=$1 user=$2; shift 2
    mount -t proc proc "$dir/proc"
    mount --rbind /dev "$dir/dev"
    touch "$dir/etc/resolv.conf"
    mount --bind "$(readlink -f /etc/resolv.conf)" "$dir/etc/resolv.conf"
    while [ "$1" != -- ]; do
      mkdir -p "$dir${1#*=}"
      mount --bind "${1%%=*}" "$dir${1#*=}"
      shift
    done
    shift
    exec chroot --userspec="$user" "$dir" "$@"
  ' - "$dir" "$user" ${binds[@]+"${binds[@]}"} -- \
    env -i HOME="$home" USER="$user" LC_ALL=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "${kept[@]}" "$@"
}

case "${1:-}" in
  make) shift; make_root "$@" ;;
  run) shift; run_in_root "$@" ;;
  mirror) mirror ;;
  *) fail "make, run or mirror, not '${1:-}'" ;;
esac
