#!/usr/bin/env bash
# apt: wimtools python3
# Every level of every codec, chunk sizes in turn, over random, periodic, program and text data of odd lengths: wimlib reads what
# we encode, and we read what it encodes. The seed is printed; WIM_LEVELS_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-levels.XXXXXX")")
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - "$wim" "${WIM_LEVELS_SEED:-$(date +%s)}" <<'PY'
import filecmp, itertools, os, random, shutil, subprocess, sys, time

wim, seed = sys.argv[1], int(sys.argv[2])
print(f"-- seed {seed}", flush=True)
rng = random.Random(seed)
program = open(wim, "rb").read()
words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(500)]
SIZES = {
    "XPRESS": [1 << n for n in range(12, 17)],
    "LZX": [1 << n for n in range(15, 22)],
    "LZMS": [1 << n for n in range(15, 22)],
}
# An encoder of such chunks takes half a second for its memory alone.
LARGE = [1 << n for n in range(22, 27)]


def noise(n):
    return rng.randbytes(n)


def periodic(n):
    period = rng.randbytes(rng.choice([1, 2, 3, 7, 16, 255, 4096, 33000]))
    data = bytearray((period * (n // len(period) + 1))[:n])
    # Now and then a byte that breaks the period.
    for _ in range(rng.randint(0, n // 5000)):
        data[rng.randrange(n)] ^= 0x55
    return bytes(data)


def code(n):
    at = rng.randrange(max(1, len(program) - n))
    return program[at:at + n]


def text(n):
    return b" ".join(rng.choices(words, k=n // 3 + 1))[:n]


def length(chunk):
    """Around a chunk's bounds where that is short enough, else any."""
    near = [chunk - 1, chunk, chunk + 1, 2 * chunk + rng.randint(1, chunk)]
    return rng.choice([n for n in near if n <= 80_000] + [rng.randint(1, 80_000)])


def make(chunk, is_full):
    shutil.rmtree("in", ignore_errors=True)
    os.mkdir("in")
    for kind in (noise, periodic, code, text):
        open(f"in/{kind.__name__}", "wb").write(kind(length(chunk)))
    if is_full:
        # What is between its ends is soon passed over, so that the largest chunk takes seconds.
        n = chunk + rng.randint(-1, 1)
        start, end = code(min(n // 2, 1_000_000)), text(min(n // 2, 1_000_000))
        open("in/long", "wb").write(start + bytes(n - len(start) - len(end)) + end)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"FAILED: {' '.join(command)} (seed {seed})\n{done.stdout[-800:]}")


def check(codec, level, chunk, is_full=False):
    make(chunk, is_full)
    names = sorted(os.listdir("in"))
    for writer, reader in ((wim, "wimlib-imagex"), ("wimlib-imagex", wim)):
        shutil.rmtree("out", ignore_errors=True)
        if os.path.exists("f.wim"):
            os.remove("f.wim")
        run(writer, "capture", "in", "f.wim", "name", f"--compress={codec}:{level}", f"--chunk-size={chunk}", "--threads=1")
        run(reader, "apply", "f.wim", "1", "out")
        _, differ, errors = filecmp.cmpfiles("in", "out", names, shallow=False)
        if differ or errors:
            sys.exit(f"FAILED: {codec}:{level}, chunks of {chunk}, by {os.path.basename(writer)}: {differ + errors} differ (seed {seed})")


for codec, sizes in SIZES.items():
    begun = time.monotonic()
    order = itertools.chain.from_iterable(rng.sample(sizes, len(sizes)) for _ in range(100))
    for level, chunk in zip(range(1, 101), order):
        check(codec, level, chunk)
    sizes = sizes + LARGE if codec == "LZMS" else sizes
    for chunk in sizes:
        if chunk > 80_000:
            check(codec, rng.randint(1, 60), chunk, is_full=True)
    print(f"-- {codec}: levels 1 to 100, {len(sizes)} chunk sizes, both ways ({time.monotonic() - begun:.0f} s)", flush=True)
PY
echo "-- done"
