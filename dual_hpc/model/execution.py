"""How a model's parts are executed: activations computed again, encoders compiled, channels last in memory.

None of it changes what is computed, nor the names of a model's weights. It is said before DeepSpeed wraps the model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dual_hpc.config.schema import TrainingConfig
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.image import ImageEncoder

_log = logging.getLogger(__name__)


def prepare_execution(model: EmotionModel, training: TrainingConfig, device_type: str) -> None:
    """Do what the settings ask for.

    Args:
        device_type: of the device that the model will be on, "cpu" or "cuda".
    """
    channels_last = {"auto": device_type == "cuda", "always": True, "never": False}[training.channels_last]
    for encoder in _encoders(model):
        if isinstance(encoder, ImageEncoder):
            encoder.channels_last = channels_last
        if training.compile == "encoders" and encoder.frozen:
            compile_with_fallback(getattr(encoder, "backbone", encoder))
    if training.activation_checkpointing != "none":
        for module in recomputed_modules(model, with_blocks=training.activation_checkpointing == "all"):
            recompute(module)


def recomputed_modules(model: EmotionModel, with_blocks: bool) -> list[nn.Module]:
    """The layers of the encoders that are trained, and the model's own blocks."""
    trained = [e for e in _encoders(model) if any(p.requires_grad for p in e.parameters())]
    layers = [module for encoder in trained for layer in encoder.layers() for module in _callable(layer)]
    return [*layers, *(model.blocks() if with_blocks else [])]


def recompute(module: nn.Module) -> None:
    """Keep only the inputs of a module; its backward pass runs it again, with the same random numbers."""
    forward = module.forward

    def run(*arguments: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments, **options)
        return checkpoint(forward, *arguments, use_reentrant=False, **options)

    module.forward = run  # below the hooks of ZeRO 3, and without another name


def compile_with_fallback(module: nn.Module) -> None:
    """Compile the module when it first runs, for inputs of any size; if that fails, say so and run it as it is."""
    module.forward = _Compiled(module.forward, type(module).__name__)


class _Compiled:
    def __init__(self, forward: Callable[..., Any], name: str) -> None:
        self._forward, self._name = forward, name
        self._compiled: Callable[..., Any] | None = torch.compile(forward, dynamic=True)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self._compiled is not None:
            try:
                return self._compiled(*arguments, **options)
            except _compile_errors() as error:
                self._compiled = None
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                _log.warning("training.compile: %s is not compiled and runs as it is: %s", self._name, reason)
        return self._forward(*arguments, **options)


def _compile_errors() -> tuple[type[Exception], ...]:
    """What torch raises where it cannot compile: no compiler, no kernel for this device, code that it does not know."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    return TorchDynamoException, InductorError


def _encoders(model: EmotionModel) -> Iterator[Encoder]:
    return (module for module in model.children() if isinstance(module, Encoder))


def _callable(layer: nn.Module) -> Iterator[nn.Module]:
    """The layer, or where it is only a list, its parts."""
    if isinstance(layer, nn.ModuleList):
        for part in layer:
            yield from _callable(part)
    else:
        yield layer
