#!/usr/bin/env bash
# The command compiles without a warning for the other systems it is made for; only checked, since linking needs their
# tools. A target whose standard library cannot be had here is skipped, and said so.
set -euo pipefail
cd "$(dirname "$0")/../.."
for target in x86_64-pc-windows-gnu aarch64-apple-darwin aarch64-unknown-linux-gnu; do
  if ! rustup target add "$target" >/dev/null 2>&1; then
    echo "skipped: $target: its standard library cannot be had"
    continue
  fi
  cargo clippy --locked --quiet --target "$target" -p wim-cli -- -D warnings
  echo "-- $target: clean"
done
