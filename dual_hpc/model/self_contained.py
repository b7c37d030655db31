"""What the configuration of somebody else's model may not do: fetch code, need weights that are not there, fill memory.

The configuration of an encoder or of a saved model is plain data, but transformers lets it name kernels on a hub,
quantisers and adapters, and makes whatever sizes it gives. Models here are complete in their directory and no larger
than their weights; what says otherwise is refused before anything is made of it. (Classes that `auto_map` names are
never used: the architectures are ours or those of the installed transformers.)
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_KERNELS = ("attn_implementation", "experts_implementation")
_QUANTISED = ("quantization_config", "compression_config")
_WIDTHS = (
    *("hidden_size", "intermediate_size", "conv_dim", "hidden_sizes", "embedding_size"),
    *("channels", "output_size", "width"),
)
_LARGEST = 10_000_000  # of any number: a vocabulary of 10 million words would be the largest
_MOST_LAYERS = 1_000
_SLACK = 8  # times the size of the weights, in bytes, that the estimate of the parameters may be
_WEIGHTS = ("*.safetensors", "*.bin")


def first_danger(config: Mapping[str, Any], weights: int | None = None) -> str | None:
    """The first key that a complete and possible model cannot have, and why, in one line; None if there is none.

    Args:
        weights: bytes of the weights that belong to it; None for a new model.
    """
    for key, value in _values(config):
        name = key.rsplit(".", 1)[-1]
        if name.strip("_").removesuffix("_internal") in _KERNELS and "/" in str(value):
            return f"{key}: {str(value)!r} names code that would be downloaded; leave it out"
        if name in _QUANTISED and value:
            return f"{key}: quantised weights are not supported; give the model in fp32, fp16 or bf16"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{key}: {value} is not a number"
        if isinstance(value, int) and abs(value) > _LARGEST:
            return f"{key}: {_short(value)} is more than any model has"
        if isinstance(value, int) and name.endswith("layers") and value > _MOST_LAYERS:
            return f"{key}: {value} is more layers than any model has"
    for name, section in [("", config), *((key, value) for key, value in _values(config) if isinstance(value, dict))]:
        if weights is not None and _parameters(section) > weights * _SLACK + _LARGEST:
            where = f"{name}: " if name else ""
            return f"{where}it describes a model that is many times larger than the weights beside it"
    return None


def adapter_in(folder: str | os.PathLike[str]) -> str | None:
    """What to say of a directory that holds only the changes to a model that lies elsewhere; None for any other."""
    if (Path(folder) / "adapter_config.json").exists():
        return "adapter_config.json: it is an adapter of another model; merge the two and save the whole"
    return None


def bytes_of_weights(folder: str | os.PathLike[str]) -> int:
    """Size of the files of weights in a directory."""
    try:
        return sum(path.stat().st_size for form in _WEIGHTS for path in Path(folder).glob(form) if path.is_file())
    except OSError:
        return 0


def _values(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value of a tree of JSON with its dotted key; those of a list have its key."""
    waiting: deque[tuple[str, Any]] = deque((str(key), value) for key, value in tree.items())
    while waiting:
        key, value = waiting.popleft()
        yield key, value
        if isinstance(value, Mapping):
            waiting += [(f"{key}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]


def _parameters(section: Mapping[str, Any]) -> int:
    """About how many parameters these sizes make at least."""
    width = max((number for name in _WIDTHS for number in _numbers(section.get(name))), default=0)
    narrow = max(_numbers(section.get("hidden_size")), default=width)
    rows = sum(max(_numbers(section.get(name)), default=0) for name in ("vocab_size", "max_position_embeddings"))
    layers = max((max(_numbers(v), default=0) for k, v in section.items() if str(k).endswith("layers")), default=1)
    return rows * narrow + max(1, layers) * width * narrow


def _numbers(value: Any) -> list[int]:
    listed = value if isinstance(value, list) else [value]
    return [number for number in listed if isinstance(number, int) and not isinstance(number, bool)]


def _short(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**18 else "a number of many digits"
