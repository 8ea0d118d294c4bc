#!/usr/bin/env bash
# Makes .venv beside pyproject.toml, with everything pinned in docker/constraints.txt, and proves that mmcv's ops load.
# Says what the machine lacks before anything long begins; goes on where an interrupted set-up stopped; takes no time
# when all is there. Progress goes to stderr, the output of pip and the compiler to .venv/setup.log.
set -euo pipefail

usage="usage: docker/setup.sh [--dev] [--rebuild]

  --dev       also what tests and checks need
  --rebuild   compile mmcv's ops again (after a CUDA toolkit was installed, or when they fail)

  PYTHON=python3.12   the Python of a new .venv (default: the first of python3.11, python3.12, python3.13, python3)
  MMCV_CPU_ONLY=1     mmcv's ops for the CPU alone, on a machine with a GPU too
  MMCV_CUDA=1         mmcv's ops for GPUs, on a machine that has none (where an image is built); TORCH_CUDA_ARCH_LIST
                      says for which ones
  MAX_JOBS=4          compilers at once (default: one a core, as far as memory reaches)"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
log=$venv/setup.log
stamp=$venv/setup.stamp
extra="" rebuild=""
for word in "$@"; do
    case $word in
        --dev) extra="[dev]" ;;
        --rebuild) rebuild=yes ;;
        -h | --help) echo "$usage"; exit 0 ;;
        *) echo "$usage" >&2; exit 2 ;;
    esac
done

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
fail() { printf 'docker/setup.sh: %s\n' "$*" >&2; exit 1; }

# ---- is there anything to do? -----------------------------------------------------------------------------------

# The hash of all that decides what .venv holds. Its place is part of it: a moved .venv has scripts that point elsewhere.
fingerprint() {
    "$venv/bin/python" -IS -c 'import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
text = b"\0".join((root / name).read_bytes() for name in ("pyproject.toml", "docker/constraints.txt", "docker/setup.sh"))
print(hashlib.sha256(text + repr((sys.version, *sys.argv[1:])).encode()).hexdigest())' "$root" "$1" 2>/dev/null
}

# An environment with the test tools serves a plain set-up as well.
up_to_date() {
    [[ -z $rebuild && -s $stamp && -x $venv/bin/python ]] || return 1
    local done_; done_=$(<"$stamp")
    [[ $done_ == "$(fingerprint '[dev]')" ]] || [[ -z $extra && $done_ == "$(fingerprint '')" ]]
}

up_to_date && exit 0
if command -v flock >/dev/null; then # two set-ups at once would write into each other's environment
    exec 9<"${BASH_SOURCE[0]}"
    flock -n 9 || { say "another set-up is running here; waiting for it"; flock 9; }
    up_to_date && exit 0
fi

# ---- what the machine lacks, all of it at once --------------------------------------------------------------------

missing=() apt=()
lack() { missing+=("$1"); shift; apt+=("$@"); }

# Printed by a Python: its version, then a word for each thing it lacks. Read by any Python, as old as 2.7.
probe='import sys
print("%d.%d.%d" % sys.version_info[:3])
if sys.version_info < (3, 11): print("old"); sys.exit()
import os, sysconfig
try: import venv, ensurepip
except ImportError: print("venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")): print("headers")'

find_python() { # sets python to the first that will do, else to the first that lacks no more than packages
    local name found version lacks old="" poor=() names=(python3.11 python3.12 python3.13 python3)
    [[ -z ${PYTHON:-} ]] || names=("$PYTHON")
    for name in "${names[@]}"; do
        found=$("$name" -c "$probe" 2>/dev/null) || continue # not there, or a pyenv shim of one that is not switched on
        version=${found%%$'\n'*} lacks=${found#*"$version"}
        case $lacks in
            "") python=$name; return ;;
            *old*) old=${old:-"$name is $version"} ;;
            *) ((${#poor[@]})) || poor=("$name" "$version" "$lacks") ;;
        esac
    done
    if ((${#poor[@]} == 0)); then
        lack "Python 3.11 or newer: ${old:-"none found (${names[*]})"}; install one with its venv module and headers, or name \
it: PYTHON=/path/to/python3.11 docker/setup.sh"
        return
    fi
    python=${poor[0]} version=${poor[1]%.*}
    [[ ${poor[2]} != *venv* ]] || lack "Python's venv module, which $python ${poor[1]} has not" "python$version-venv"
    [[ ${poor[2]} != *headers* ]] || lack "Python's headers (Python.h), which $python ${poor[1]} has not" "python$version-dev"
}

loads() { # a shared library; where no Python can try, what the linker knows
    if [[ -n $python ]]; then "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
    else { PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || echo "$1"; } | grep -F "$1" >/dev/null; fi
}
compiles() { printf '#include <vector>\nint main() {}\n' | "${CXX:-c++}" -x c++ -std=c++17 -fsyntax-only - 2>/dev/null; }
has_gpu() { [[ -e /dev/nvidia0 ]] || nvidia-smi -L 2>/dev/null | grep '^GPU ' >/dev/null; }
cuda_home() { # where torch looks for the CUDA compiler
    local nvcc=/usr/local/cuda/bin/nvcc
    if [[ -n ${CUDA_HOME:-${CUDA_PATH:-}} ]]; then nvcc=${CUDA_HOME:-$CUDA_PATH}/bin/nvcc
    elif command -v nvcc >/dev/null; then nvcc=$(command -v nvcc); fi
    [[ -x $nvcc ]] && dirname "$(dirname "$nvcc")"
}
free_gb() { df -Pk "$1" | awk 'NR == 2 {print int($4 / 1048576)}'; }
need_disk() { # folder, GB, what for
    local free; free=$(free_gb "$1")
    ((free >= $2)) || lack "disk: $free GB are free in $1, $3 takes $2 GB"
}
# In an environment of this place with pip in it; one that was moved, or broken off while it was made, is made anew.
usable() {
    [[ -x $venv/bin/python ]] && grep -qF "$venv/bin/python" "$venv/bin/pip" 2>/dev/null &&
        "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}
has_file() { compgen -G "$venv/lib/python3*/site-packages/$1" >/dev/null; }

check_machine() {
    if usable; then python=$venv/bin/python; else find_python; fi
    if [[ -n $rebuild ]] || ! has_file "mmcv/_ext*.so"; then
        compiles || lack "C++ compiler: ${CXX:-c++} compiles no C++17, and mmcv's ops are compiled here" build-essential
        [[ -z $gpu ]] || cuda_home >/dev/null || lack "CUDA compiler: $why, but there is no nvcc, which \
compiles mmcv's ops for it; install the CUDA toolkit 13.0 (torch's own version) and put nvcc on PATH or set CUDA_HOME; to go \
on without the GPU, on the CPU alone: MMCV_CPU_ONLY=1 docker/setup.sh"
        need_disk "${TMPDIR:-/tmp}" 2 "compiling"
    fi
    loads libGL.so.1 || lack "libGL.so.1, which OpenCV loads" libgl1
    loads libgthread-2.0.so.0 || lack "libgthread-2.0.so.0 of GLib, which OpenCV loads" libglib2.0-0
    has_file "torch/version.py" || need_disk "$root" 6 "the environment"
    [[ ! -d $venv || -e $venv/pyvenv.cfg ]] || lack ".venv is there and no virtual environment: move it away"
    ((${#missing[@]})) || return 0
    echo "docker/setup.sh: nothing was installed; this machine lacks:" >&2
    printf '  - %s\n' "${missing[@]}" >&2
    ((${#apt[@]} == 0)) || echo "On Debian or Ubuntu: apt-get update && apt-get install -y ${apt[*]}" >&2
    exit 1
}

python="" gpu="" why="" # gpu: where the ops shall run on one: here, elsewhere
cpu_only=$venv/cpu-only # the choice holds for later set-ups of this .venv, until --rebuild
if [[ ${MMCV_CPU_ONLY:-0} == 0 ]] && [[ ! -e $cpu_only || -n $rebuild ]]; then
    if has_gpu; then gpu=here why="this machine has an NVIDIA GPU"
    elif [[ ${MMCV_CUDA:-0} != 0 ]]; then gpu=elsewhere why="MMCV_CUDA is set"; fi
fi
check_machine
unset PYTHONPATH PYTHONHOME # packages from elsewhere would hide missing ones

# ---- the work -----------------------------------------------------------------------------------------------------

if ! usable; then
    [[ ! -d $venv ]] || say ".venv was moved here or is incomplete: making it anew"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "cannot make .venv with $python"
fi
rm -f "$stamp"
if [[ ${MMCV_CPU_ONLY:-0} != 0 ]]; then touch "$cpu_only"; elif [[ -n $gpu ]]; then rm -f "$cpu_only"; fi
: >"$log" || fail "cannot write $log"

# A line each half minute, with how far the compiler is. The shell must not wait for it, nor a pipe for its sleep.
tick() {
    local count
    while sleep 30 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        count=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 || true)
        say "  still at it${count:+: compiled ${count// /}}"
    done
}
ticker=""
stop_ticker() { [[ -z $ticker ]] || { kill "$ticker" 2>/dev/null || true; wait "$ticker" 2>/dev/null || true; ticker=""; }; }
trap stop_ticker EXIT
trap 'say "interrupted; run it again to go on from here"; exit 130' INT TERM

pip() { # what for, then pip's arguments; pip stays in the foreground, so that Ctrl-C reaches the compilers too
    local what=$1; shift
    echo "== $what: pip install $*" >>"$log"
    tick 9<&- & ticker=$!
    if ! "$venv/bin/python" -m pip install --no-input -c docker/constraints.txt "$@" >>"$log" 2>&1; then
        stop_ticker
        tail -n 25 "$log" >&2
        fail "$what failed, its last lines are above, all of them in $log; run it again to go on from here"
    fi
    stop_ticker
}
python_says() { "$venv/bin/python" -c "$@" 2>>"$log"; }

cd "$root"
[[ $("$venv/bin/python" -V) == "Python 3.11."* ]] || say "note: these versions were run together on Python 3.11 only"
say "torch 2.13.0 (log: .venv/setup.log)"
pip "installing torch" torch==2.13.0 "setuptools<81" wheel ninja psutil

# The ops run, and on the GPU too if they are to: a wheel from pip's cache may stem from another torch or a CPU machine.
ops_run() {
    python_says 'import mmcv.ops, sys, torch
assert sys.argv[1] != "elsewhere" or mmcv.ops.get_compiling_cuda_version() != "not available"
for device in ["cpu", "cuda"] if sys.argv[1] == "here" else ["cpu"]:
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]], device=device)
    assert len(mmcv.ops.nms(boxes, boxes[:, 2], 0.5)[1]) == 1' "$gpu"
}

check_cuda() { # what would make the compiling for the GPU vain
    local home built nvcc="" go_on="to go on without the GPU: MMCV_CPU_ONLY=1 docker/setup.sh"
    home=$(cuda_home) || fail "there is no CUDA compiler (nvcc) to build mmcv's ops with; $go_on"
    built=$(python_says 'import torch; print(torch.version.cuda or "")') || fail "torch cannot be imported, see $log"
    [[ -n $built ]] || fail "$why, but pip found a torch for the CPU alone; name an index with the CUDA build \
(PIP_INDEX_URL) and remove .venv; $go_on"
    [[ $gpu == elsewhere || $(python_says 'import torch; print(torch.cuda.is_available())') == True ]] ||
        fail "torch, built for CUDA $built, cannot use this machine's GPU; update the NVIDIA driver ($log says more); $go_on"
    nvcc=$("$home/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
    [[ ${nvcc%%.*} == "${built%%.*}" ]] ||
        fail "nvcc is of CUDA $nvcc, torch of CUDA $built: install the CUDA toolkit $built (CUDA_HOME names it); $go_on"
    export CUDA_HOME=$home
}

# mmcv's build looks whether there is a GPU
if [[ $gpu == elsewhere ]]; then export FORCE_CUDA=1; elif [[ -z $gpu ]]; then export CUDA_VISIBLE_DEVICES="" FORCE_CUDA=0; fi
if [[ -z ${MAX_JOBS:-} ]]; then # a compiler takes up to 2 GB
    jobs=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo 2>/dev/null || echo 1) cores=$(nproc 2>/dev/null || echo 1)
    export MAX_JOBS=$((jobs < 1 ? 1 : jobs < cores ? jobs : cores))
fi
export CFLAGS="-O2 -g0" MMCV_WITH_OPS=1
mmcv() { pip "building mmcv" -v --no-build-isolation "$@" mmcv==2.1.0; }
if [[ -n $rebuild ]] || ! ops_run; then
    [[ -z $gpu ]] || check_cuda
    say "mmcv 2.1.0 and its ops: seconds if pip's cache has them, else 5 to 8 minutes of compiling on 2 cores"
    if [[ -z $rebuild ]]; then mmcv; fi
    if [[ -n $rebuild ]] || ! ops_run; then
        say "compiling mmcv's ops anew, without pip's cache"
        mmcv --no-cache-dir --force-reinstall --no-deps
    fi
    ops_run || fail "mmcv was built, but its ops do not run: $(tail -n 1 "$log") (all of it in $log)"
fi

say "the project and what it needs${extra:+, with the test tools}"
pip "installing the project" --no-build-isolation -e ".${extra:-[train]}"
ops_run || fail "mmcv's ops no longer run: $(tail -n 1 "$log") (all of it in $log)"
fingerprint "$extra" >"$stamp.tmp" && mv "$stamp.tmp" "$stamp"
say "done: .venv is ready"
