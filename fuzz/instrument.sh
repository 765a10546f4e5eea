#!/bin/sh
# Stands before rustc in `make fuzz`: this project's own code is compiled so that libFuzzer sees which branches an
# input takes. What it depends on is taken as it was built for the program.
rustc=$1
shift
case "$*" in
*"--crate-name abaw "* | *"--crate-name abaw_fuzz "*)
  exec "$rustc" "$@" --cfg fuzzing -Copt-level=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
  ;;
esac
exec "$rustc" "$@"
