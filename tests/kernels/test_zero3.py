"""Parameters that ZeRO-3 gathers for a forward and takes away before the backward."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.ports import free_port

pytest.importorskip("deepspeed")


@pytest.mark.distributed
def test_sharded_parameters_train_as_whole_ones_do():
    worker = Path(__file__).with_name("zero3_worker.py")
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "TRITON_INTERPRET": "1",
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, worker, "torch", "parallel", "triton"],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], outputs[0][1][-2000:]
    seen = []
    for line in outputs[0][0].splitlines():
        if line.startswith("["):
            try:
                name, sharded, whole = json.loads(line)
            except json.JSONDecodeError:
                continue  # DeepSpeed's own lines start with a bracket too
            seen.append(name)
            assert sharded == pytest.approx(whole, rel=1e-4), name
            assert sharded[-1] < sharded[0]
    assert seen == ["torch", "parallel", "triton"]
