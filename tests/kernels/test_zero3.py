"""Parameters that ZeRO-3 gathers for a forward and takes away before the backward."""

import json
from pathlib import Path

import pytest

from launch.job.ports import LOOPBACK, free_port
from tests.distributed.fork_server import shared

pytest.importorskip("deepspeed")


@pytest.mark.distributed
def test_sharded_parameters_train_as_whole_ones_do(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("zero3_worker.py")
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port()), "TRITON_INTERPRET": "1"}
    outputs = [tmp_path / str(rank) for rank in range(2)]
    ranks = [
        shared().start(
            worker, ["torch", "parallel", "triton"], where | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, output
        )
        for rank, output in enumerate(outputs)
    ]
    try:
        codes = [rank.wait(timeout=1200) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    said = outputs[0].read_text()
    assert codes == [0, 0], said[-2000:]
    seen = []
    for line in said.splitlines():
        if line.startswith("["):
            try:
                name, sharded, whole = json.loads(line)
            except json.JSONDecodeError:
                continue  # DeepSpeed's own lines start with a bracket too
            seen.append(name)
            assert sharded == pytest.approx(whole, rel=1e-4), name
            assert sharded[-1] < sharded[0]
    assert seen == ["torch", "parallel", "triton"]
