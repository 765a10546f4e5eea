#!/usr/bin/env bash
# cargo-fuzz, which runs the targets in fuzz/, into .deps. Without a sanitizer it does with the stable toolchain.
source "$(dirname "$0")/step.sh"

version=0.13.2
[ -x .deps/cargo-fuzz/bin/cargo-fuzz ] && exit

say "cargo-fuzz: building version $version"
cargo install --quiet --locked --version $version --root .deps/cargo-fuzz cargo-fuzz
