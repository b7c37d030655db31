"""Passwords and tokens are written nowhere."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dual_hpc.config import load_config, require_no_secret
from dual_hpc.credentials import (
    first_secret,
    secret_in_shell_line,
    without_secrets,
    without_secrets_in_argument,
)
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/'\"&;,#"), min_size=6).map(
    lambda text: f"S3{text}"
)


@given(SECRETS)
def test_a_login_or_token_in_a_text_is_left_out(secret: str) -> None:
    for text in (
        f"Invalid URL 'http://bob:{secret}@host:5000': no host",
        f"https://{secret}@host",
        f"Max retries exceeded with url: /api/2.0?access_token={quote(secret)}&x=1",
        f"password={secret} is wrong",
        f'{{"api_key": "{secret}"}}',
        f"Authorization: Bearer {quote(secret, safe='')}".replace("%", "_"),
    ):
        said = without_secrets(text)
        assert secret not in said and quote(secret) not in said and "***" in said


def test_other_text_is_left_as_it_is() -> None:
    for text in (
        "store: /scratch/a@b cannot be made: Permission denied",
        "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning",
        "tracking.uri: a login stands in the address; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        "data.max_tokens=64, augment.token_drop_prob=0.05, keyboard?monkey=1",
        "mail to me@example.org",
    ):
        assert without_secrets(text) == text


def test_the_values_of_the_environment_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"{name}-p%w /x")
        assert without_secrets(f"it was {name}-p%w /x, or {name}-p%25w%20%2Fx") == "it was ***, or ***"
        monkeypatch.setenv(name, "1")
        assert without_secrets("step 1") == "step 1"
        monkeypatch.delenv(name)


def test_a_word_of_a_command_line_may_hold_blanks() -> None:
    assert without_secrets_in_argument("tracking.uri=http://a:b c\n@d@host") == "tracking.uri=http://***@host"


def test_hostile_text_takes_linear_time() -> None:
    for text in ("a" * 10**6, "://" * 300_000, "?" * 10**6, "password" * 100_000, "?a_" * 300_000, "bearer " * 10**5):
        began = time.monotonic()
        without_secrets(text)
        assert time.monotonic() - began < 20


REFUSED = (
    "tracking.uri=http://bob:S3cret-w0rd@host:5000",
    "tracking.uri=https://S3cret-w0rd@host",
    "tracking.uri=https://host/?access_token=S3cret-w0rd",
    "tracking.uri=https://bob:S3cret-w0rd/x@host",
    "tracking.uri=postgresql://bob:S3cret-w0rd@host/db",
    "tracking.tags.source=https://bob:S3cret-w0rd@git.host/x.git",
    "tracking.tags.api_key=S3cret-w0rd",
    "tracking.tags={note: [hf_S3cretw0rdS3cretw0rdS3]}".replace("[", "").replace("]", ""),
    "model.options={auth: {password: S3cret-w0rd}}",
    "data.shards=['https://host/a.tar?X-Amz-Signature=S3cret-w0rd']",
)


@pytest.mark.parametrize("override", REFUSED)
def test_a_secret_in_a_configuration_is_refused_and_not_repeated(override: str, tmp_path: Path) -> None:
    config = load_config("demo", [f"store={tmp_path}", override])
    for refuse in (lambda: require_no_secret(config), lambda: RunDir.create(tmp_path / "run", config)):
        with pytest.raises(UserError) as caught:
            refuse()
        said = str(caught.value)
        assert said.startswith(override.split("=")[0].split("{")[0]) and "S3cret" not in said and "\n" not in said
        assert "environment" in said and ("MLFLOW_TRACKING_PASSWORD" in said) == override.startswith("tracking.uri")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_value_of_what_is_called_a_password_is_not_shown() -> None:
    with pytest.raises(UserError, match=r"tags\.api_key: .*\(got \*\*\*\)") as caught:
        load_config("demo", ["tracking.tags.api_key=1234567"])
    assert "1234567" not in str(caught.value)


def test_what_is_no_secret_is_accepted(tmp_path: Path) -> None:
    for override in (
        "tracking.uri=https://mlflow.our.lab/sub",
        "tracking.tags.mail=me@example.org",
        "tracking.tags.token_count=12k",
        "tracking.tags.page=https://wiki.our.lab/?page=keys",
        "data.shards=[/scratch/me@lab/shards]",
    ):
        require_no_secret(load_config("demo", [f"store={tmp_path}", override]))
    assert first_secret(load_config("demo").model_dump(mode="json")) is None


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [
        ("export WANDB_API_KEY=abc", True),
        ('export HF_TOKEN="abc"', True),
        ("git clone https://bob:abc@host/x", True),
        ("export HF_TOKEN=$(cat ~/.token)", False),
        ("export HF_TOKEN=$MY_TOKEN", False),
        ('export HF_TOKEN="$MY_TOKEN"', False),
        ("export OMP_NUM_THREADS=1", False),
        ("source activate mine", False),
    ],
)
def test_a_shell_line_reads_a_secret_and_does_not_hold_it(line: str, is_secret: bool) -> None:
    assert secret_in_shell_line(line) == is_secret
