#!/usr/bin/env bash
# apt: wimtools fuse3 gcc
# Verbs that write a WIM, killed and interrupted at moments drawn by lot, on a full disk, with inputs that cannot be read to
# their ends, and where they must not write: afterwards the file is sound, holds what it held or what it was to hold, nothing
# lies about but one temporary by its name (of a kill), and the next run does its work. Then verbs that write a folder: each
# file is there whole or not at all, but for the one at hand when the process is killed, and the next run completes it.
# WIM_FAULT_SEED repeats a run, WIM_FAULT_KILLS says how many kills each verb gets.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
seed=${WIM_FAULT_SEED:-$(date +%s)}
kills=${WIM_FAULT_KILLS:-10}
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-faults.XXXXXX")")
chmod 755 "$work"
trap 'fusermount3 -qu "$work/m" 2>/dev/null || true; [ -z "${frozen:-}" ] || chattr -i "$frozen"
  [ -z "${mounted:-}" ] || umount "$mounted"; rm -rf "$work"' EXIT
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
quietly "$wim" append one other.wim more
mkdir parts
quietly "$wim" split other.wim parts/p.swm 0.3
[ -e parts/p3.swm ] && [ ! -e parts/p4.swm ] || fail "other.wim has not three parts"
# An image with hives, and what changes them.
mkdir demo
quietly "$wim" demo --dir demo
mv demo/install.wim demo.wim
{
  printf 'Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fault]\n'
  for i in $(seq 600); do printf '"v%d"="%0300d"\n' "$i" "$i"; done
} >fault.reg
# What a verb works on a copy of.
base_of() { case $1 in reg | driver) echo demo.wim ;; *) echo base.wim ;; esac; }
printf 'delete /dir/numbers\nadd three /dir/new\nrename /sevens /moved\n' >commands

# What the images hold, whatever their places and times in the file, and its size; of a commit, whose new times may take more
# bytes or less, without.
holds() {
  local from=2
  [ "${verb:-}" != commit ] || from=3
  "$wim" info "$1" --json | grep -E '"(name|compression|directory_count|file_count|total_bytes|hard_link_bytes)":' | tail -n +$from | tr -d ' \n'
}

# Runs the verb on the copy in the folder x, or what is put before it: `exec` in the place of the shell.
run() { # VERB [COMMAND...]
  local verb=$1
  shift
  case $verb in
    capture) "$@" "$wim" capture three x/t.wim three ;;
    append) "$@" "$wim" append three x/t.wim three ;;
    append-rebuild) "$@" "$wim" append three x/t.wim three --rebuild ;;
    update) "$@" "$wim" update x/t.wim 1 <commands ;;
    delete) "$@" "$wim" delete x/t.wim 2 ;;
    delete-soft) "$@" "$wim" delete x/t.wim 2 --soft ;;
    optimize) "$@" "$wim" optimize x/t.wim ;;
    recompress) "$@" "$wim" optimize x/t.wim --recompress --compress=XPRESS ;;
    export) "$@" "$wim" export other.wim 1 x/t.wim exported ;;
    info) "$@" "$wim" info x/t.wim 1 --image-property NAME=renamed ;;
    join) "$@" "$wim" join x/t.wim parts/p3.swm parts/p.swm parts/p2.swm ;;
    split) "$@" "$wim" split x/t.wim x/p.swm 1 ;;
    # A hive has the times of its changes in it, which may take more bytes or less.
    reg) SOURCE_DATE_EPOCH=1600000000 "$@" "$wim" reg import x/t.wim:4 fault.reg ;;
    driver) SOURCE_DATE_EPOCH=1600000000 "$@" "$wim" driver add x/t.wim --driver demo/driver --image 4 --force-unsigned ;;
    commit) "$@" "$wim" unmount m --commit ;;
  esac
}
# A new copy of the file; of a commit also the mount with the change, whose process is $server and runs behind ${under[@]}.
under=()
begin() { # VERB
  rm -rf x
  mkdir x
  cp "$(base_of "$1")" x/t.wim
  [ "$1" != commit ] || mounted_copy
}
mounted_copy() {
  rm -rf staging
  mkdir -p m staging
  "${under[@]}" "$wim" mountrw x/t.wim 1 m --staging-dir=staging --debug >mount-log 2>&1 &
  server=$!
  for _ in $(seq 200); do [ ! -e m/sevens ] || break; sleep 0.05; done
  [ -e m/sevens ] || { cat mount-log; fail "the mount does not come"; }
  cp three/elevens three/dir/noise m/
}
# After a mount: whatever became of it, it is gone.
finish() { # VERB
  [ "$1" = commit ] || return 0
  # A mount whose process was killed is still there.
  fusermount3 -u m 2>/dev/null || umount m 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
# What the fault left: the temporaries in the folder.
litter() { ls -A x | grep -vE '^(t\.wim|p[0-9]*\.swm)$' || true; }
# After a fault: sound, nothing else in the folder but so many temporaries, and of the contents before or after. Of the parts of a
# split the first, which people open, is there only when all are.
check() { # VERB WHEN TEMPORARIES
  quietly "$wim" verify x/t.wim
  local left now
  left=$(litter)
  [ -z "$left" ] || ! grep -qvE '^\.(t\.wim|p[0-9]*\.swm)\.[A-Za-z0-9]+\.wim-tmp$' <<<"$left" || fail "$1, $2: $left lies about"
  [ "$(grep -c . <<<"$left")" -le "$3" ] || fail "$1, $2: $left lies about"
  now=$(holds x/t.wim)
  [ "$now" = "$before" ] || [ "$now" = "$after" ] || fail "$1, $2: the file holds something else"
  [ ! -e x/p.swm ] || quietly "$wim" verify x/p.swm
}
is_done() { # VERB
  if [ "$1" = split ]; then [ -e x/p.swm ]; else [ "$(holds x/t.wim)" = "$after" ]; fi
}
again() { # VERB WHEN: the next run does its work
  quietly run "$1"
  finish "$1"
  is_done "$1" || fail "$1: the run after $2 came to something else"
  quietly "$wim" verify x/t.wim
  [ "$1" != split ] || quietly "$wim" verify x/p.swm
}

declare -A results
verbs="capture append append-rebuild update delete delete-soft optimize recompress export info join split reg driver"
killed="$verbs commit"
[ -w /dev/fuse ] && [ -r /dev/fuse ] || { killed=$verbs; echo "skipped: /dev/fuse cannot be used here, so no mount is killed"; }
for verb in $killed; do
  before=$(holds "$(base_of "$verb")")
  begin "$verb"
  from=$(milliseconds)
  quietly run "$verb"
  length=$(($(milliseconds) - from + 5))
  finish "$verb"
  after=$(holds x/t.wim)
  results[$verb]=$after
  undone=0 finished=0 left=0 interrupted=0
  for kill in $(seq 1 "$kills"); do
    begin "$verb"
    wait=$((RANDOM * length / 32768))
    signal=KILL temporaries=1
    # Every third is Ctrl-C: the program ends by itself, and leaves nothing. A mount is not interrupted but unmounted by it.
    [ $((kill % 3)) != 0 ] || [ "$verb" = commit ] || { signal=INT temporaries=0; }
    run "$verb" exec >/dev/null 2>&1 &
    child=$!
    sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))"
    [ "$verb" != commit ] || kill -KILL "$server" 2>/dev/null || true
    kill -$signal "$child" 2>/dev/null || true
    status=0
    wait "$child" 2>/dev/null || status=$?
    finish "$verb"
    # A process that has no handler yet ends by the signal, which is 130 as well.
    [ $signal = KILL ] || [ $status = 0 ] || [ $status = 130 ] || fail "$verb: exit code $status after Ctrl-C"
    [ $status != 130 ] || interrupted=$((interrupted + 1))
    check "$verb" "kill $kill ($signal) after $wait ms" $temporaries
    left=$((left + $(litter | wc -l)))
    if is_done "$verb"; then
      finished=$((finished + 1))
    else
      undone=$((undone + 1))
      if [ "$verb" != commit ]; then
        again "$verb" "kill $kill"
      fi
    fi
  done
  if [ "$verb" = commit ]; then
    begin commit
    again commit "the last kill"
  fi
  echo "   $verb, $length ms: $undone times as before, $finished times done, $interrupted by Ctrl-C, $left temporaries"
  quietly wimlib-imagex verify x/t.wim
done

# A run that must fail and leave all as it was; or, where the fault does not reach what it does, do its work.
refused() { # VERB WHEN COMMAND...
  local verb=$1 when=$2 status=0
  shift 2
  before=$(holds "$(base_of "$verb")")
  after=${results[$verb]}
  run "$verb" "$@" >"$work/said" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    is_done "$verb" || fail "$verb, $when: said that it is done"
    worked=$((worked + 1))
  else
    [ "$status" = 2 ] || { tail -3 "$work/said"; fail "$verb, $when: exit code $status"; }
    grep -q '^error: ' "$work/said" || fail "$verb, $when: no word"
    cmp -s "$(base_of "$verb")" x/t.wim || fail "$verb, $when: the file was changed"
    [ "$(ls -A x)" = t.wim ] || fail "$verb, $when: $(ls -A x | tr '\n' ' ')"
    failed=$((failed + 1))
  fi
  check "$verb" "$when" 0
}

say "read and write errors"
cat >fault.c <<'C'
// Reads, writes or syncs of files whose path has $FAULT_PATH in it fail behind $FAULT_FROM bytes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
static int hits(const char *call, int fd, off_t end) {
  const char *wanted = getenv("FAULT_CALL"), *path = getenv("FAULT_PATH"), *from = getenv("FAULT_FROM");
  char link[64], name[4096];
  if (!wanted || !path || strcmp(wanted, call) || end <= (from ? atoll(from) : 0)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  return strstr(name, path) != NULL;
}
#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL return errno = EIO, -1
ssize_t read(int fd, void *b, size_t n) { NEXT(read); if (hits("read", fd, lseek(fd, 0, SEEK_CUR) + n)) FAIL; return next(fd, b, n); }
ssize_t pread64(int fd, void *b, size_t n, off_t at) { NEXT(pread64); if (hits("read", fd, at + n)) FAIL; return next(fd, b, n, at); }
ssize_t write(int fd, const void *b, size_t n) { NEXT(write); if (hits("write", fd, lseek(fd, 0, SEEK_CUR) + n)) FAIL; return next(fd, b, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { NEXT(pwrite64); if (hits("write", fd, at + n)) FAIL; return next(fd, b, n, at); }
ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned f) { NEXT(copy_file_range); if (hits("read", in, *from + n) || hits("write", out, *to + n)) FAIL; return next(in, from, out, to, n, f); }
int fsync(int fd) { NEXT(fsync); if (hits("sync", fd, 1)) FAIL; return next(fd); }
int fdatasync(int fd) { NEXT(fdatasync); if (hits("sync", fd, 1)) FAIL; return next(fd); }
C
gcc -shared -fPIC -O1 -w -o fault.so fault.c
fault() { # VERB CALL PATH FROM
  begin "$1"
  refused "$1" "a failing $2 of $3" env LD_PRELOAD="$work/fault.so" FAULT_CALL="$2" FAULT_PATH="$3" FAULT_FROM="$4"
  [ "$2" != read ] || grep -q "Input/output error" "$work/said" || fail "$1: the read error is not named: $(cat "$work/said")"
  is_done "$1" || again "$1" "a failing $2"
}
failed=0 worked=0
for verb in capture append append-rebuild update; do fault $verb read three/elevens 1000000; done
fault export read other.wim 100000
fault join read parts/p2.swm 100000
for verb in reg driver; do fault $verb read x/t.wim 100000; done
fault reg read fault.reg 1000
for verb in delete optimize recompress split; do fault $verb read x/t.wim 1000000; done
fault info read x/t.wim 100
[ $worked = 0 ] || fail "$worked verbs did without what they could not read"
echo "   $failed runs could not read to the end"
failed=0
for verb in $verbs; do
  path=x/
  fault "$verb" write $path 1000
  fault "$verb" sync $path 0
done
[ $worked = 0 ] || fail "$worked verbs wrote what they could not write"
# A commit whose process cannot write or sync: the mount stays, with the change, and the file is as it was.
commit_fails() { # WHEN
  local status=0
  "$wim" unmount m --commit >"$work/said" 2>&1 || status=$?
  [ "$status" = 2 ] && grep -q '^error: ' "$work/said" || fail "commit, $1: exit code $status: $(cat "$work/said")"
  cmp -s m/elevens three/elevens || fail "commit, $1: the change is gone from the mount"
  quietly "$wim" unmount m
  finish commit
  cmp -s base.wim x/t.wim || fail "commit, $1: the file was changed"
  [ "$(ls -A x)$(ls -A staging)" = t.wim ] || fail "commit, $1: $(ls -A x staging | tr '\n' ' ')"
  failed=$((failed + 1))
}
if [ "$killed" != "$verbs" ]; then
  for call in write sync; do
    from=0
    [ $call = sync ] || from=$(($(stat -c %s base.wim) + 1000))
    under=(env LD_PRELOAD="$work/fault.so" FAULT_CALL=$call FAULT_PATH=x/t.wim FAULT_FROM=$from)
    begin commit
    under=()
    commit_fails "a failing $call"
  done
fi
echo "   $failed runs could not write or sync"

say "a full disk"
rm -rf x; mkdir x
# Room for the file and a part of what is added, but for no second file.
size=$(($(stat -c %s base.wim) / 1024 + 200))
failed=0 worked=0
if mount -t tmpfs -o "size=${size}k" none x 2>/dev/null; then
  mounted=$work/x
  for verb in capture append append-rebuild update recompress export join split; do
    find x -mindepth 1 -delete
    cp base.wim x/t.wim
    refused "$verb" "full disk"
  done
  if [ "$killed" != "$verbs" ]; then
    find x -mindepth 1 -delete
    cp base.wim x/t.wim
    mounted_copy
    commit_fails "a full disk"
  fi
  [ $worked = 0 ] || fail "$worked verbs had room on a full disk"
  say "a file system that is read only"
  find x -mindepth 1 -delete
  cp base.wim x/t.wim
  mount -o remount,ro x
  for verb in $verbs; do [ "$(base_of "$verb")" != base.wim ] || refused "$verb" "read-only file system"; done
  [ $worked = 0 ] || fail "$worked verbs wrote to a read-only file system"
  umount "$mounted"
  mounted=
  for verb in $verbs; do
    begin "$verb"
    after=${results[$verb]}
    again "$verb" "a full disk"
  done
else
  echo "skipped: mounting a small file system needs root"
fi

say "files that may have no more than so many bytes, folders and files that must not be written"
failed=0 worked=0
for verb in $verbs; do
  begin "$verb"
  # A signal says so first, which is ignored here.
  refused "$verb" "a limit of the size" bash -c "trap '' XFSZ; ulimit -f 400; exec \"\$@\"" bash
  is_done "$verb" || again "$verb" "a limit of the size"
done
echo "   size limit: $failed refused, $worked done"
[ $failed -ge 6 ] || fail "the limit was not felt"
# Permissions mean nothing to root, so that another user runs them then.
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
cp "$wim" wim-for-all
wim=$work/wim-for-all
for what in folder file both; do
  failed=0 worked=0
  for verb in $verbs; do
    begin "$verb"
    chmod 777 x
    chmod 666 x/t.wim
    case $what in folder | both) chmod 555 x ;; esac
    case $what in file | both) chmod 444 x/t.wim ;; esac
    refused "$verb" "a $what without permission" "${as[@]}"
    chmod 755 x
    chmod 644 x/t.wim
    is_done "$verb" || again "$verb" "a $what without permission"
  done
  echo "   $what without permission: $failed refused, $worked done"
  [ $failed -gt 0 ] || fail "permissions were not felt"
  [ $what != both ] || [ $worked = 0 ] || fail "something was written without permission"
done
begin append
if [ "$(id -u)" = 0 ] && chattr +i x/t.wim 2>/dev/null; then
  frozen=$work/x/t.wim
  failed=0 worked=0
  for verb in $verbs; do
    [ "$verb" != split ] && [ "$(base_of "$verb")" = base.wim ] || continue
    refused "$verb" "an immutable file"
  done
  [ $worked = 0 ] || fail "an immutable file was changed"
  chattr -i x/t.wim
  frozen=
  echo "   immutable file: $failed refused"
else
  echo "skipped: chattr +i needs root and a file system that has it"
fi

say "folders that are written"
quietly "$wim" apply base.wim 1 whole
quietly "$wim" extract base.wim 1 /dir --dest-dir=whole-dir
declare -A wholes=([apply]=whole [extract]=whole-dir)
into() { # VERB [COMMAND...]
  local verb=$1
  shift
  case $verb in
    apply) "$@" "$wim" apply base.wim 1 y/out --threads 2 ;;
    extract) "$@" "$wim" extract base.wim 1 /dir --dest-dir=y/out --threads 2 ;;
  esac
}
# The files that are not what they were to be, and those that nobody asked for.
halves() { # VERB
  [ ! -e y/out ] || diff -rq "${wholes[$1]}" y/out | grep -v "^Only in ${wholes[$1]}" || true
}
completed() { # VERB WHEN
  quietly into "$1"
  diff -r "${wholes[$1]}" y/out >/dev/null || fail "$1: the run after $2 is not whole"
}
clean() { find y -mindepth 1 -delete; }
mkdir y
for verb in apply extract; do
  from=$(milliseconds)
  quietly into "$verb"
  length=$(($(milliseconds) - from + 5))
  partial=0 unfinished=0
  for kill in $(seq 1 "$kills"); do
    clean
    wait=$((RANDOM * length / 32768))
    # One for each thread that decodes and writes, one for that which copies.
    signal=KILL most=3
    [ $((kill % 3)) != 0 ] || { signal=INT most=0; }
    into "$verb" exec >/dev/null 2>&1 &
    child=$!
    sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))"
    kill -$signal "$child" 2>/dev/null || true
    status=0
    wait "$child" 2>/dev/null || status=$?
    [ $signal = KILL ] || [ $status = 0 ] || [ $status = 130 ] || fail "$verb: exit code $status after Ctrl-C"
    left=$(halves "$verb")
    [ "$(grep -c . <<<"$left")" -le $most ] || fail "$verb, $signal after $wait ms: $left"
    partial=$((partial + $(grep -c . <<<"$left" || true)))
    diff -rq "${wholes[$verb]}" y/out >/dev/null 2>&1 || unfinished=$((unfinished + 1))
    completed "$verb" "kill $kill"
  done
  echo "   $verb, $length ms: stopped $unfinished times on the way, $partial files in parts"
done
# A run that must fail, name the file, and leave whole files only.
stopped() { # VERB WHEN WORDS COMMAND...
  local verb=$1 when=$2 words=$3 status=0
  shift 3
  into "$verb" "$@" >"$work/said" 2>&1 || status=$?
  [ "$status" = 2 ] || fail "$verb, $when: exit code $status: $(head -c 300 "$work/said")"
  grep -qE "^error: .*($words)" "$work/said" || fail "$verb, $when: $(head -c 300 "$work/said")"
  [ -z "$(halves "$verb")" ] || fail "$verb, $when: $(halves "$verb")"
  failed=$((failed + 1))
}
failed=0
for verb in apply extract; do
  under=(env LD_PRELOAD="$work/fault.so" FAULT_CALL=read FAULT_PATH=base.wim FAULT_FROM=100000)
  clean
  stopped "$verb" "a failing read" "base.wim.*Input/output error" "${under[@]}"
  completed "$verb" "a failing read"
  under=(env LD_PRELOAD="$work/fault.so" FAULT_CALL=write FAULT_PATH=y/out FAULT_FROM=1000)
  clean
  stopped "$verb" "a failing write" ".*: cannot write: Input/output error" "${under[@]}"
  completed "$verb" "a failing write"
  clean
  stopped "$verb" "a limit of the size" ".*: cannot write: File too large" bash -c "trap '' XFSZ; ulimit -f 400; exec \"\$@\"" bash
  completed "$verb" "a limit of the size"
  clean
  chmod 555 y
  [ "$(id -u)" = 0 ] && : || stopped "$verb" "a folder without permission" "y/out.*Permission denied"
  chmod 755 y
done
if mount -t tmpfs -o size=1500k none y 2>/dev/null; then
  mounted=$work/y
  for verb in apply extract; do
    clean
    stopped "$verb" "a full disk" ".*: cannot [a-z ]*: No space left"
  done
  mount -o remount,ro y
  for verb in apply extract; do
    stopped "$verb" "a read-only file system" "y/out.*Read-only file system"
  done
  umount "$mounted"
  mounted=
  for verb in apply extract; do
    clean
    completed "$verb" "a full disk"
  done
else
  echo "skipped: mounting a small file system needs root"
fi
echo "   $failed runs could not write or read to the end"
say "done"
