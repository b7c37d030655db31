"""A model as a graph for other programs, of any batch size and any lengths: `torch.export`, and from it ONNX.

In the graph is all that `forward` does without labels, spectrogram and pictures' normalisation included: the tensors
of a batch (docs/house.md, "A batch") -> logits, and dimensions where the model has them. Decoding, cropping and the
tokenizer are not; a model of features is the network after its encoders. A graph is compared with the model before it
is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from dual_hpc.errors import EnvironmentFault, UserError, one_line
from dual_hpc.modality import Modality
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.masking import pad_steps

FILE = "model.pt2"
LARGEST_DIFFERENCE = 1e-4  # of a logit, relative to the largest of the model's where that is above 1
Batch = dict[str, torch.Tensor]


class ClipGraph(nn.Module):
    """A model whose inputs have an order, and whose only output is f32 [B, C + D]: logits, then dimensions."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The tensors of a batch in the order of `names`."""
        batch = dict(zip(self.names, tensors, strict=True))
        for name, more in _MORE.items():
            if name in batch:
                x = batch[name]
                batch[name] = torch.cat([x, x.new_zeros(x.shape[0], more, *x.shape[2:])], dim=1)
        for name in _TOKENS & batch.keys():
            batch[name] = pad_steps(batch[name], 2)
        return _joined(self.model(**batch))


def _joined(output: Any) -> torch.Tensor:
    dimensions = getattr(output, "dimensions", None)  # the output of a plugin may have none
    parts = [output.logits, *([] if dimensions is None else [dimensions])]
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


# What every sequence is continued by: a graph is for several steps, and one step would be another graph. Nothing valid
# depends on padding. Tokens have a limit, and are continued only where they are fewer than two.
_MORE = {"waveform": 1_280, "frames": 1, "audio": 2, "video": 2, "text": 2}
_TOKENS = {"input_ids", "attention_mask"}


def input_names(model: Any) -> list[str]:
    """What the graph of a model takes: `durations`, and the contents and lengths of the modalities that it reads."""
    config = model.config
    names = ["durations"]
    for one in Modality:
        if getattr(config, f"use_{one}"):
            names += (
                [one.feature_key, one.feature_length_key]
                if config.reads_features
                else [one.raw_key, one.raw_length_key]
            )
    return [name for name in names if name in FAMILIES.get(config.model_type).inputs]


def export_graph(model: Any) -> torch.export.ExportedProgram:
    """Trace a model on the CPU, in evaluation mode.

    Raises:
        UserError: it does something that no graph for any lengths can hold; names it.
    """
    from torch.fx.experimental import _config as shapes

    names, sizes = input_names(model), cast(Any, shapes)
    graph = ClipGraph(model, names).eval()
    example = example_batch(model, (2.2, 1.7, 1.1))
    batch = torch.export.Dim("batch")
    dims = {name: {0: batch, **({1: torch.export.Dim.DYNAMIC} if example[name].dim() > 1 else {})} for name in names}
    arguments = tuple(example[name] for name in names)
    with torch.no_grad():
        model(**example)  # fills caches that depend on no input
        try:
            with sizes.patch(backed_size_oblivious=True):  # else sizes 0 and 1 would need graphs of their own
                return torch.export.export(graph, arguments, dynamic_shapes=(tuple(dims[n] for n in names),))
        except Exception as error:  # whatever the tracer meets in a model
            reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 300)
            kind = model.config.model_type
            told = f"the {kind!r} model has no graph for any lengths ({reason})"
            raise UserError(f"--torch-export, --onnx: {told}") from error


def save_graph(program: torch.export.ExportedProgram, folder: Path) -> Path:
    """Write `model.pt2`."""
    torch.export.save(program, folder / FILE)
    return folder / FILE


def load_graph(folder: str | Path) -> Callable[..., torch.Tensor]:
    """What `save_graph` wrote: takes the tensors of `input_names` in their order.

    Another program does the same by `torch.export.load` after `import dual_hpc.kernels.sdm` and, for `concat_gru` and
    `mmin`, `import dual_hpc.model.baselines.gru_op`, which know the recurrences by name.
    """
    import dual_hpc.kernels.sdm
    import dual_hpc.model.baselines.gru_op  # noqa: F401

    return torch.export.load(Path(folder) / FILE).module()


def check_equal(model: Any, run: Callable[[Batch], torch.Tensor], what: str) -> float:
    """Compare a graph with its model on clips of unlike lengths, some of which lack what others have.

    Args:
        run: tensors by name -> logits [B, C].

    Returns:
        The largest difference of a logit.

    Raises:
        EnvironmentFault: they differ by more than rounding.
    """
    worst = 0.0
    for seconds, missing in _CASES:
        batch = example_batch(model, seconds, missing)
        with torch.no_grad():
            wanted = _joined(model(**batch))
        found = run(batch)
        difference = float((found.detach() - wanted).abs().max()) if found.shape == wanted.shape else math.inf
        if not difference <= LARGEST_DIFFERENCE * max(1.0, float(wanted.abs().max())):  # NaN as well
            raise EnvironmentFault(f"{what}: its answers differ from the model's by {difference:g}; it is not written")
        worst = max(worst, difference)
    return worst


# Seconds of the clips of a batch, and the letters of what each lacks.
_CASES: Sequence[tuple[Sequence[float], Sequence[str]]] = (
    ((1.3,), ()),
    ((0.7, 1.9, 1.2, 0.4), ("t", "", "v", "a")),
    ((0.9,), ("avt",)),
    ((1.6, 0.8), ("vt", "av")),
)


def example_batch(model: Any, seconds: Sequence[float], missing: Sequence[str] = ()) -> Batch:
    """Drawn clips as the model takes them; always the same for the same arguments."""
    config, random = model.config, torch.Generator().manual_seed(len(seconds))
    prepared = config.preprocessing
    durations = torch.tensor([min(each, prepared["max_seconds"]) for each in seconds])
    lacks = [*missing, *[""] * (len(seconds) - len(missing))]
    batch: Batch = {"durations": durations}
    for one in Modality:
        if not getattr(config, f"use_{one}"):
            continue
        there = torch.tensor([one.letter not in letters for letters in lacks])
        counts = torch.tensor(list(_counts(model, one, durations.tolist()))) * there
        size = max(int(counts.max()), 1)
        valid = torch.arange(size) < counts[:, None]
        if config.reads_features:
            width = getattr(config, one)["config"]["width"]
            content = torch.randn(len(seconds), size, width, generator=random) * valid[..., None]
            batch |= {one.feature_key: content, one.feature_length_key: counts}
        elif one is Modality.AUDIO:
            wave = torch.randn(len(seconds), size, generator=random) * 0.1 * valid
            batch |= {one.raw_key: wave, one.raw_length_key: counts}
        elif one is Modality.VIDEO:
            shape = (len(seconds), size, 3, prepared["image_size"], prepared["image_size"])
            frames = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
            batch |= {one.raw_key: frames, one.raw_length_key: counts}
        else:
            ids = torch.randint(0, _FEW_WORDS, (len(seconds), size), generator=random)
            batch |= {one.raw_key: ids * valid, one.raw_length_key: valid.long()}
    names = input_names(model)
    return {name: batch[name] for name in names}


_FEW_WORDS = 4  # of any vocabulary


def _counts(model: Any, one: Modality, durations: Sequence[float]) -> Iterator[int]:
    """How many samples, pictures, tokens or features clips of so many seconds have."""
    prepared = model.config.preprocessing
    for number, seconds in enumerate(durations):
        if one is Modality.TEXT:
            yield min(prepared["max_tokens"], 3 + 2 * number)
        elif one is Modality.VIDEO:
            yield max(1, int(seconds * prepared["video_hz"]))
        elif model.config.reads_features:
            yield max(1, int(seconds * model.config.audio["config"]["rate_hz"]))
        else:
            yield int(seconds * prepared["sample_rate"])
