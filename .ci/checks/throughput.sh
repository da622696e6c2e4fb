#!/usr/bin/env bash
# apt: valgrind
# The two gates on codec speed pass on the codecs as they are and fail on slowed ones: a copy of the sources whose decoders
# never enter their fast loops, and whose XPRESS encoder builds each code nine times. Instructions are counted against
# benches/record; speeds are compared by `wim bench`.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-throughput.XXXXXX")")
trap 'rm -rf "$work"' EXIT
cp -p target/release/wim "$work/wim"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

mkdir "$work/slowed"
git ls-files -z | xargs -0 cp --parents -t "$work/slowed"
slow() { # FILE CALL REPLACEMENT
  grep -q "$2" "$work/slowed/$1" || fail "$1 has no $2 to slow down"
  sed -i "s/$2/$3/" "$work/slowed/$1"
}
slow wim-core/codecs/xpress/src/decode.rs 'let position = fast_loop::decode_items(.*)?;' 'let position = first;'
slow wim-core/codecs/lzx/src/decode.rs 'fast_loop::decode_items(.*)?' 'start'
slow wim-core/codecs/lzms/src/decode.rs 'position = fast_loop::decode_items(.*)?;' \
  'decode_items(\&mut self.models, \&mut streams, out, position)?; position = end.max(out.len());'
slow wim-core/codecs/xpress/src/encode.rs 'self.lengths.build(.*);' 'for _ in 0..9 { & }'

say "instructions, the codecs as they are"
cargo bench --locked --quiet -p wim-benches --bench instructions
say "instructions, slowed"
# In a target folder of their own, that no later build takes slowed codecs for those of this checkout (packages of a workspace
# are known by their place in it), but with the dependencies that are built. The command and the bench at once: one build.
mkdir -p "$work/target/release"
cp -rp target/release/{build,deps,.fingerprint} "$work/target/release/"
(cd "$work/slowed" && CARGO_TARGET_DIR=$work/target cargo build --release --locked --quiet -p wim-cli -p wim-benches \
  --bin wim --bench instructions --message-format=json) 2>"$work/build.log" >"$work/built.json" ||
  { tail -20 "$work/build.log"; fail "the slowed copy does not build"; }
slowed_gate=$(sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' "$work/built.json")
# Of the encoders the quick rows: that others are not slower is shown above.
if "$slowed_gate" decode- encode-{xpress,lzx,lzms}-fast- 2>&1 | tee "$work/slowed.log"; then
  fail "the gate on instructions lets slowed codecs pass"
fi
# Not any failure will do: it must be these rows, and for this reason.
for row in decode-{xpress,lzx,lzms}-{code,text,tables} encode-xpress-fast-code; do
  grep -q "^$row: .*too many$" "$work/slowed.log" || fail "the gate on instructions does not say that $row takes too many"
done
! grep "^encode-lz.*too many$" "$work/slowed.log" || fail "encoders that were not slowed are said to be slower"

# The slowed XPRESS decoder loses more than half of its speed, which no noise hides; on a busy machine the codecs as they are may
# have to be looked at twice.
"$work/wim" bench --codec xpress:fast,lzx:fast --threads 1 --bytes 2M --save "$work/base.json" >/dev/null
say "wim bench, the codecs as they are"
for attempt in 1 2 3; do
  code=0
  "$work/wim" bench --compare "$work/base.json" --fail-below 25% >"$work/log" 2>&1 || code=$?
  [ "$code" = 2 ] || break
  say "attempt $attempt: undecided"
done
[ "$code" = 0 ] || { cat "$work/log"; fail "the codecs compare badly with themselves"; }
say "wim bench, slowed"
code=0
"$work/target/release/wim" bench --compare "$work/base.json" --fail-below 25% >"$work/log" || code=$?
tail -8 "$work/log"
grep -q "WORSE:.*decode" "$work/log" || fail "wim bench calls no decoder worse"
[ "$code" = 1 ] || fail "wim bench ended with $code for slowed decoders, not with 1"
