#!/usr/bin/env bash
# apt: wimtools
# Verbs that change a WIM, killed at moments drawn by lot and on a full disk: afterwards the file is sound, holds what it held
# or what it was to hold, nothing lies about but one temporary file by its name, and the next run does its work.
# WIM_FAULT_SEED repeats a run, WIM_FAULT_KILLS says how many kills each verb gets.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
seed=${WIM_FAULT_SEED:-$(date +%s)}
kills=${WIM_FAULT_KILLS:-15}
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-faults.XXXXXX")")
trap '[ -z "${mounted:-}" ] || umount "$mounted"; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $* (WIM_FAULT_SEED=$seed)" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" | cut -c1-300; fail "${*:0:4}"; }; }
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
RANDOM=$((seed % 32768))
echo "seed $seed, $kills kills a verb"

mkdir -p one/dir two/dir three/dir
seq 1 150000 >one/dir/numbers
seq 7 7 900000 >one/sevens
for i in $(seq 1 300); do seq "$i" "$((i + 200))" >"one/dir/f$i"; done
seq 3 3 900000 >two/threes
head -c 3000000 /dev/urandom >two/dir/noise
cp one/sevens two/same
seq 11 11 2200000 >three/elevens
head -c 4000000 /dev/urandom >three/dir/noise
quietly "$wim" capture one base.wim one --check
quietly "$wim" append two base.wim two
quietly "$wim" capture three other.wim other
printf 'delete /dir/numbers\nadd three /dir/new\nrename /sevens /moved\n' >commands

# What an image holds, whatever its place and times in the file.
holds() { "$wim" info "$1" --json | grep -E '"(name|compression|directory_count|file_count|total_bytes|hard_link_bytes)":' | tail -n +2 | tr -d ' \n'; }

# Runs the verb on the copy in the folder x; with `exec` before it in the place of the shell.
run() { # VERB [exec]
  case $1 in
    append) ${2:-} "$wim" append three x/t.wim three ;;
    append-rebuild) ${2:-} "$wim" append three x/t.wim three --rebuild ;;
    update) ${2:-} "$wim" update x/t.wim 1 <commands ;;
    delete) ${2:-} "$wim" delete x/t.wim 2 ;;
    delete-soft) ${2:-} "$wim" delete x/t.wim 2 --soft ;;
    optimize) ${2:-} "$wim" optimize x/t.wim ;;
    recompress) ${2:-} "$wim" optimize x/t.wim --recompress --compress=XPRESS ;;
    export) ${2:-} "$wim" export other.wim 1 x/t.wim exported ;;
    info) ${2:-} "$wim" info x/t.wim 1 --image-property NAME=renamed ;;
  esac
}
# After a fault: sound, nothing else in the folder but one temporary, and of the contents before or after.
check() { # VERB WHEN
  quietly "$wim" verify x/t.wim
  local litter
  litter=$(ls -A x | grep -v '^t.wim$' || true)
  [ -z "$litter" ] || [[ $litter == .t.wim.*.wim-tmp && $litter != *$'\n'* ]] || fail "$1, $2: $litter lies about"
  local now
  now=$(holds x/t.wim)
  [ "$now" = "$before" ] || [ "$now" = "$after" ] || fail "$1, $2: the file holds something else"
}

before=$(holds base.wim)
for verb in append append-rebuild update delete delete-soft optimize recompress export info; do
  rm -rf x; mkdir x; cp base.wim x/t.wim
  from=$(milliseconds)
  quietly run "$verb"
  length=$(($(milliseconds) - from + 5))
  after=$(holds x/t.wim)
  undone=0 finished=0 litter=0
  for kill in $(seq 1 "$kills"); do
    rm -rf x; mkdir x; cp base.wim x/t.wim
    wait=$((RANDOM * length / 32768))
    run "$verb" exec >/dev/null 2>&1 &
    child=$!
    sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))"
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    check "$verb" "kill $kill after $wait ms"
    litter=$((litter + $(ls -A x | grep -c 'wim-tmp$' || true)))
    if [ "$(holds x/t.wim)" = "$after" ]; then
      finished=$((finished + 1))
    else
      undone=$((undone + 1))
      quietly run "$verb"
      [ "$(holds x/t.wim)" = "$after" ] || fail "$verb: the run after kill $kill came to something else"
      quietly "$wim" verify x/t.wim
    fi
  done
  echo "   $verb, $length ms: $undone times as before, $finished times done, $litter temporaries"
  quietly wimlib-imagex verify x/t.wim
done

say "a full disk"
rm -rf x; mkdir x
# Room for the file and a part of what is added, but for no second file.
size=$(($(stat -c %s base.wim) / 1024 + 200))
if mount -t tmpfs -o "size=${size}k" none x 2>/dev/null; then
  mounted=$work/x
  for verb in append append-rebuild update recompress export; do
    find x -mindepth 1 -delete
    cp base.wim x/t.wim
    after=$before status=0
    run "$verb" >log 2>&1 || status=$?
    [ "$status" = 2 ] || fail "$verb: exit code $status on a full disk"
    check "$verb" "full disk"
    [ "$(ls -A x)" = t.wim ] || fail "$verb: $(ls -A x) after a full disk"
    cmp -s base.wim x/t.wim || fail "$verb: the file was changed"
  done
  umount "$mounted"
  mounted=
else
  echo "skipped: mounting a small file system needs root"
fi
say "done"
