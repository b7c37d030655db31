"""One rank of a ZeRO-3 run of the kernels' modules: prints its losses, and the same steps' without DeepSpeed."""

import importlib.util
import json
import sys
from pathlib import Path

import deepspeed
import torch

from dual_hpc.training.distributed import init_distributed

spec = importlib.util.spec_from_file_location("test_operators", Path(__file__).with_name("test_operators.py"))
operators = importlib.util.module_from_spec(spec)
spec.loader.exec_module(operators)

ZERO3 = {
    "train_micro_batch_size_per_gpu": 3,
    "gradient_clipping": 0.0,  # DeepSpeed clips to 1 where nothing is said
    "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
}


def losses(implementation: str, sharded: bool) -> list[float]:
    """Five steps on fixed data."""
    model = operators.Modules(implementation)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    if sharded:
        model, optimiser, _, _ = deepspeed.initialize(model=model, optimizer=optimiser, config=ZERO3)
    a, v = operators.randn(3, 5, 4).detach(), operators.randn(3, 5, 4, seed=1).detach()
    out = []
    for _ in range(5):
        logits, aligned = model(a, v, operators.LENGTHS)
        loss = logits.square().mean() + aligned
        out.append(loss.item())
        if sharded:
            model.backward(loss)
            model.step()
        else:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return out


if __name__ == "__main__":
    with init_distributed(10):
        for name in sys.argv[1:]:
            print(json.dumps([name, losses(name, True), losses(name, False)]), flush=True)
