#!/usr/bin/env bash
# Random trees through WIM files and back for a minute; a failing round prints its seed.
# apt: wimtools
set -euo pipefail
cd "$(dirname "$0")/../.."
WIM_TREE_SECONDS="${WIM_TREE_SECONDS:-60}" cargo test --quiet --locked --workspace --test cli -- --nocapture random_trees
