#!/usr/bin/env bash
# bash benchmarks/gpu.sh SHARDS [FEATURES], or `make gpu SHARDS=DIR`: what only a GPU can show, in under ten minutes, on any
# machine with one, from the project's root. Each part has its own limit and writes as it goes; one table comes last.
#
#   SHARDS, FEATURES   folders of media shards, and of feature shards (`dual-hpc extract`) made from them
#   OUT=gpu-out        logs, gpu.json and gpu.md; with a GPU also benchmarks/results/gpu.{json,md}
#   WHEELS=DIR         what `make gpu-wheels` has put there, for a machine without network; nothing else is installed
#   DEVICE=cpu         a rehearsal without a GPU: the same code, smaller, and no figure of it is a GPU's
#   PYTHON=python3     STEPS, WORKERS, JOBS, MINUTES: sizes; LIMITS=2: twice the time for each part; KINDS: of trainings
#
# One process and one GPU: neither the binding of several GPUs nor gloo beside NCCL is shown by this.
set -u
shards=${1:?"usage: bash benchmarks/gpu.sh SHARDS [FEATURES]"} features=${2:-} out=${OUT:-gpu-out} device=${DEVICE:-cuda}
root=$(cd "$(dirname "$0")/.." && pwd); cd "$root" || exit 2
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
mkdir -p "$out"; out=$(cd "$out" && pwd); rm -f "$out"/*.log "$out"/*.jsonl "$out"/*.code
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT  # not OUT: only logs and results are worth bringing back
limits=${LIMITS:-$([ "$device" = cuda ] && echo 1 || echo 8)}  # a machine that rehearses may be slow or busy
export PYTHONPATH=$root PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true DEVICE=$device LIMITS=$limits
[ "$device" = cpu ] && export CUDA_VISIBLE_DEVICES=
if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --target "$scratch/site" "$WHEELS"/*.whl || exit 2
    export PYTHONPATH=$root:$scratch/site
fi

part() {  # part NAME SECONDS COMMAND...: its output, the code that it ends with, and how long it took
    local name=$1 seconds=$(($2 * limits)) start=$SECONDS; shift 2
    echo "=== $name, at most $seconds s ($(date +%T))"
    timeout -k 10 "$seconds" "$@" >"$out/$name.log" 2>&1
    echo "$? $((SECONDS - start))" >"$out/$name.code"
    tail -n 6 "$out/$name.log" | cut -c1-200
}

part machine 40 "$python" -m benchmarks.gpu.machine --out "$out/machine.jsonl"
parallel=$("$python" -c 'import xdist' 2>/dev/null && [ "$device" = cuda ] && echo "-n ${JOBS:-6} --max-worker-restart 30")
# shellcheck disable=SC2086
part kernel-tests 150 "$python" -m pytest -q -p no:cacheprovider -m gpu $parallel -k "not sanitizer" tests/kernels/test_gpu.py
part training 190 "$python" -m benchmarks.gpu.training "$shards" "$scratch/runs" --out "$out/training.jsonl"
part step 75 "$python" -m benchmarks.gpu.step "$shards" ${features:+--features "$features"} "$scratch/runs" --out "$out/step.jsonl"
minutes=${MINUTES:-$([ "$device" = cuda ] && echo 1.5 || echo 0.3)}
part kernels 130 "$python" -m benchmarks.kernels --device "$device" --seconds 1 --minutes "$minutes" --out "$out"
if command -v compute-sanitizer >/dev/null && [ "$device" = cuda ]; then
    part memcheck 50 "$python" -m pytest -q -p no:cacheprovider -m gpu -k "sanitizer and memcheck" tests/kernels/test_gpu.py
else
    echo "compute-sanitizer, of the CUDA toolkit, is not here, or there is no GPU" >"$out/memcheck.log"
fi
echo "=== the table"
"$python" -m benchmarks.gpu.table "$out"
