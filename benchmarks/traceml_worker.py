"""One rank of a planted case under TraceML; `benchmarks.traceml` starts it by `traceml run`.

The same network, engine and loader as `tests/distributed/workers/slow_rank.py`. TraceML is told the steps, the loader
and the optimizer, and patches forward and backward by itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from dual_hpc.data.run_ahead import RunAhead
from dual_hpc.training import saving
from dual_hpc.training.distributed import init_distributed, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import set_learning_rates
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState
from tests.distributed.workers.slow_rank import BACKWARD, FORWARD, LOAD, SAVE_EVERY, STEPS, Network, batches, config

if __name__ == "__main__":
    import traceml_ai as traceml

    who, phase, milliseconds, stage = sys.argv[1].split(":")
    os.environ["MASTER_PORT"] = sys.argv[2]  # torchrun keeps its own to itself
    with init_distributed(5) as world, tempfile.TemporaryDirectory() as own:
        mine = int(milliseconds) / 1000 if who in ("all", str(world.rank)) else 0.0
        slow = {phase: mine}
        settings = config(int(stage), world.size)
        seed_everything((1,))
        network = Network(FORWARD + slow.get("forward", 0.0), BACKWARD + slow.get("backward", 0.0))
        engine = Engine(network, settings, world.size, 1)
        engine.family = SimpleNamespace(inputs=("waveform",), losses=("loss",))  # type: ignore[assignment]
        set_learning_rates(engine.deepspeed.optimizer, engine.peak_lrs, 1.0)
        saver = Saver(Path(world.broadcast(own)), settings, engine, world)
        write = saving.write_file
        saving.write_file = lambda content, path: (
            time.sleep(slow.get("disk", 0.0) * SAVE_EVERY),
            write(content, path),
        )[1]
        source = RunAhead(batches(LOAD + slow.get("loader", 0.0)), 2)
        traceml.init(mode="selective", patch_dataloader=False, patch_forward=True, patch_backward=True, patch_h2d=False)
        traceml.wrap_optimizer(engine.deepspeed.optimizer)
        loader = traceml.wrap_dataloader_fetch(source)
        waiting = iter(loader)
        for step in range(1, 2 * STEPS + 1):
            batch = next(waiting)
            with traceml.trace_step(engine.deepspeed):
                output = engine.deepspeed(waveform=batch["waveform"], labels=batch["labels"])
                engine.backward(output.loss)
                engine.finish_step(apply=True)
                if phase == "disk" and step % SAVE_EVERY == 0:
                    saver.start(TrainingState(step=step))
                    saver.wait()
        source.close()
