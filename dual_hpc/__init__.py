"""dual_hpc: train DUAL, a low-text emotion recognition model, on SLURM clusters.

What a script or a notebook needs is here, and is loaded when it is first used: `import dual_hpc` alone is light.

    import dual_hpc

    dual_hpc.pack("manifest", "clips.csv", "shards/clips")
    config = dual_hpc.load_config("demo", ["data.protocol=all", "data.shards=[shards/clips]"])
    run = dual_hpc.train(config)
    print(dual_hpc.evaluate(run).subsets["av"].scores.values)
    print(dual_hpc.Predictor.from_pretrained(run.exports / "best").predict("clip.mp4", text="I am fine."))

After it, `transformers.AutoModel.from_pretrained(folder)` reads saved models as well, and runs no code of theirs.

The rooms, in the order data passes through them: ``data`` reads shards, ``model`` is DUAL (its fused operations in
``kernels``), ``training`` runs it under DeepSpeed, ``checkpoint`` and ``tracking`` keep what it learns,
``evaluation`` measures it, ``inference`` serves it. ``config`` and ``errors`` are used by all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dual_hpc.model.auto_classes import announce as _announce

if TYPE_CHECKING:
    from dual_hpc.api import evaluate, load_config, open_run, pack, train
    from dual_hpc.config.schema import RunConfig
    from dual_hpc.errors import DualError, EnvironmentFault, UserError
    from dual_hpc.evaluation.result import EvaluationResult
    from dual_hpc.inference.predictor import Prediction, Predictor
    from dual_hpc.run.directory import RunDir

__version__ = "0.1.0"

_HOMES = {
    "dual_hpc.api": ("evaluate", "load_config", "open_run", "pack", "train"),
    "dual_hpc.config.schema": ("RunConfig",),
    "dual_hpc.errors": ("DualError", "EnvironmentFault", "UserError"),
    "dual_hpc.evaluation.result": ("EvaluationResult",),
    "dual_hpc.inference.predictor": ("Prediction", "Predictor"),
    "dual_hpc.run.directory": ("RunDir",),
}

__all__ = [
    "DualError",
    "EnvironmentFault",
    "EvaluationResult",
    "Prediction",
    "Predictor",
    "RunConfig",
    "RunDir",
    "UserError",
    "evaluate",
    "load_config",
    "open_run",
    "pack",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for from the module that defines it, once."""
    import importlib

    for home, names in _HOMES.items():
        if name in names:
            thing = getattr(importlib.import_module(home), name)
            globals()[name] = thing
            return thing
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_announce()
