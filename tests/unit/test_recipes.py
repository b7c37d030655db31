"""The recipes of CONTRIBUTING are true: each one's code, put into a module of its own, is a plugin that works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("corpus", "encoder", "model", "metric", "perturbation")
# Each recipe is loaded as a configuration would load it, and used once.
PROGRAM = """
import json
import numpy as np, torch
from pathlib import Path
from dual_hpc.config import load_config
from dual_hpc.plugins import load_plugins

load_plugins([f"recipes.{kind}" for kind in %r])
from dual_hpc.evaluation.metrics import METRICS
from dual_hpc.evaluation.perturbations import PERTURBATIONS, Context
from dual_hpc.evaluation.protocols import PROTOCOLS
from dual_hpc.model.encoders.registry import VIDEO
from dual_hpc.model.family import FAMILIES
from shards.corpora import CORPORA, read_corpus

found = {}
clips = Path("raw") / "JE"
clips.mkdir(parents=True)
for name in ("sa01.avi", "h02.avi"):
    (clips / name).touch()
plan = read_corpus("savee_av", Path("raw"))
found["corpus"] = [(one.key, one.fields["label"], one.fields["session"]) for one in plan.utterances]
found["protocol"] = list(PROTOCOLS.get("savee_av4").classes)

encoder = VIDEO.get("mean_colour").build({"config": {"width": 8}}, {})
frames = torch.full((2, 3, 3, 4, 4), 255, dtype=torch.uint8)
features = encoder(frames, torch.tensor([3, 1]))
found["encoder"] = [list(features.shape), features[1, 1:].abs().max().item(), encoder.output_size]

family = FAMILIES.get("plain_concat")
spec = {"kind": "mean_colour", "trainable": "all", "config": {}}
config = family.config_class(video=spec, use_audio=False, use_text=False, labels=["a", "b", "c"])
batch = {"frames": frames, "frame_lengths": torch.tensor([3, 0]), "durations": torch.ones(2)}
output = family.model_class(config)(**batch, labels=torch.tensor([0, 2]))
output.loss.backward()
found["model"] = [list(output.logits.shape), output.loss.item() > 0]

confusion = np.array([[[3, 1, 0], [1, 1, 0], [0, 0, 0]]])
found["metric"] = METRICS.get("worst_recall").of_confusion(confusion).tolist()

darker = PERTURBATIONS.get("darkness").apply(batch, 50.0, Context(seed=0))["frames"]
found["perturbation"] = [str(darker.dtype), int(darker.max()), int(frames.max())]
owners = [CORPORA.plugin_of("savee_av"), VIDEO.plugin_of("mean_colour"), FAMILIES.plugin_of("plain_concat")]
found["owners"] = [*owners, METRICS.plugin_of("worst_recall"), PERTURBATIONS.plugin_of("darkness")]
print(json.dumps(found))
"""


def recipes() -> dict[str, str]:
    """Kind of thing -> the Python code of its recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.split(r"^### Add an? ", text, flags=re.M)[1:]
    found = {section.split("\n")[0]: re.search(r"```python\n(.*?)```", section, re.S) for section in sections}
    return {kind: code.group(1) for kind, code in found.items() if code}


def test_there_is_one_recipe_for_each_thing_that_can_be_added() -> None:
    assert tuple(recipes()) == KINDS


@pytest.mark.slow
def test_the_code_of_each_recipe_is_a_plugin_that_works(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    for kind, code in recipes().items():
        (tmp_path / "recipes" / f"{kind}.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM % (KINDS,)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "corpus": [["JE_h02", "h", 2], ["JE_sa01", "sa", 2]],
        "protocol": ["angry", "happy", "neutral", "sad"],
        "encoder": [[2, 3, 8], 0.0, 8],
        "model": [[2, 3], True],
        "metric": [0.5],
        "perturbation": ["torch.uint8", 127, 255],
        "owners": [f"recipes.{kind}" for kind in KINDS],
    }
