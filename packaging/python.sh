#!/usr/bin/env bash
# Builds Python 3.11 in the root that the wheel is built in, from Debian 12's source package in SOURCES, into /opt/python: Debian 11's own
# Python 3.9 is too old for PyTorch 2.13. On a cluster an environment module or conda brings it.
#   python.sh SOURCES
set -euo pipefail
[ -e /opt/python/bin/pip3 ] && exit
apt-get -qq update
apt-get -qq -y --no-install-recommends install libssl-dev libffi-dev liblzma-dev libbz2-dev zlib1g-dev >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$1"/python3.11_*.orig.tar.* -C "$work" --strip-components=1
cd "$work"
{
  ./configure --prefix=/opt/python
  make -j"$(nproc)"
  make install
} >/opt/python.log 2>&1
rm -rf /opt/python/lib/python3.11/test
