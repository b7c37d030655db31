"""What other people's code raises at a model's files, and one line about it.

A directory of pretrained weights and the keys that a user puts on top of its configuration are the user's to correct;
transformers checks few of them, so they fail wherever they are first used.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from dual_hpc.errors import one_line
from dual_hpc.model.torchaudio_stub import install

install()

from huggingface_hub import constants  # noqa: E402
from huggingface_hub.errors import StrictDataclassError  # noqa: E402
from safetensors import SafetensorError  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.disable_progress_bar()  # reading or writing weights takes a moment, and logs are not terminals

CONFIG_ERRORS = (
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    StrictDataclassError,
)
LOAD_ERRORS = (OSError, EOFError, pickle.UnpicklingError, SafetensorError, *CONFIG_ERRORS)


def load_error_text(error: Exception) -> str:
    """What to tell the user of one of these errors."""
    if isinstance(error, pickle.UnpicklingError):
        return "a file that holds more than weights, or is damaged"
    if isinstance(error, KeyError):
        return f"unknown: {error}"
    if isinstance(error, StrictDataclassError):
        return one_line(error)
    if isinstance(error, RecursionError):
        return "a file that is nested too deeply"
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 500)


@contextmanager
def without_report() -> Iterator[None]:
    """Without transformers' table of the keys that it did not use: those that matter are looked at by the caller."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is asked of a model hub meanwhile, whatever a file in a directory of weights names."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
