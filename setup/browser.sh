#!/usr/bin/env bash
# A browser and what drives it, for the tests of the report's pages: Debian's Chromium and ChromeDriver, and PyPI's
# Selenium and axe-core into the machine-wide cache, linked as .deps/selenium.
source "$(dirname "$0")/step.sh"

setup/packages.sh browser
# Another lock file is another folder.
dir=$cache/selenium-$(sha256sum <setup/browser.txt | cut -c1-8)
if [ ! -d "$dir" ]; then
  say "browser: downloading Selenium and axe-core, 14 MB, once for this machine, into $dir"
  pip_into browser.txt "$dir"
fi
if [ "$(readlink .deps/selenium || true)" != "$dir" ]; then
  mkdir -p .deps
  ln -sfn "$dir" .deps/selenium
fi
