"""transformers' Auto classes know every family after `import dual_hpc`, whichever of the two is imported first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.model import build_model, build_tokenizer, save_model
from tests.unit.conftest import PREPROCESSING

READ = """
import json, sys
before = "transformers" in sys.modules
config = AutoConfig.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1])
print(json.dumps([type(config).__name__, type(model).__name__, float(sum(p.sum() for p in model.parameters()))]))
"""
ORDERS = {
    "ours first": "import dual_hpc, sys; assert 'transformers' not in sys.modules\n"
    "from transformers import AutoConfig, AutoModel",
    "transformers first": "from transformers import AutoConfig, AutoModel\nimport dual_hpc",
    "after a model was made": "import dual_hpc.model as m; m.DualConfig\n"
    "from transformers import AutoConfig, AutoModel",
}


@pytest.mark.parametrize(
    ("family", "order"),
    [("dual", "ours first"), ("late_fusion", "transformers first"), ("mult", "after a model was made")],
)
def test_a_saved_model_is_read_by_transformers_without_code_of_its_own(family: str, order: str, tmp_path: Path) -> None:
    tokenizer = build_tokenizer(["fine fine"])
    small = ModelConfig(family=family, hidden_size=16, num_heads=2)
    model = build_model(small, ["calm", "cross"], PREPROCESSING, None, tokenizer)
    save_model(model, tokenizer, tmp_path)
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())
    done = subprocess.run(
        [sys.executable, "-c", f"{ORDERS[order]}\n{READ}", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    config, made, total = json.loads(done.stdout)
    assert (config, made) == (type(model.config).__name__, type(model).__name__)
    with torch.no_grad():
        assert total == pytest.approx(float(sum(p.sum() for p in model.parameters())), rel=1e-4)
