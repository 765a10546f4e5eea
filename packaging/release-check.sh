#!/usr/bin/env bash
# The end of `make release-check`, after tests, wheel, and installs: one version everywhere, and a changelog that has it.
source "$(dirname "$0")/../setup/step.sh"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail "release: there are changes that are not committed"
grep -qx "## \[$version\] - [0-9-]*" CHANGELOG.md || fail "release: CHANGELOG.md has no heading '## [$version] - DATE'"
[ "$(target/release/abaw --version)" = "abaw $version" ] || fail "release: the build is of another version than Cargo.toml"
[ -e "dist/abaw-$version-py3-none-manylinux_2_31_x86_64.whl" ] || fail "release: no wheel of $version in dist/"
built=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml) least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
[[ $built = "$least"* ]] || fail "release: Cargo.toml promises Rust $least, but only $built is tried"
say "$version can be released: git tag v$version"
