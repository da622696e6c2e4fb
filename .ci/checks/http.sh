#!/usr/bin/env bash
# WIMs and discs by URL: the feature http builds, its lints hold, and its tests pass against servers that they run themselves.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo clippy --locked --quiet -p wim-cli --features http -- -D warnings
# Nothing here is slow: what takes time is building it.
plain=(--config profile.dev.package.wim-core.opt-level=0)
cargo test --locked --quiet "${plain[@]}" -p wim-cli -p wim-core --features wim-cli/http,wim-core/http --test cli --lib -- http remote
cargo tree --locked -p wim-cli -e normal | grep -E ' (ring|ureq|rustls) ' && { echo "FAILED: the plain command has them too" >&2; exit 1; }
echo "the feature http builds and passes; without it none of its libraries is there"
