"""Libraries refuse a dangerous file, and tell in the same breath how to take it all the same. We do not repeat that.

What refuses to unpickle, to run a model's code or to trust a certificate explains in its message which switch turns
the protection off. Whoever was sent a malicious file would follow it. The clauses that name such a switch are left out
of every error that is shown; the complete text stands in the trace.
"""

from __future__ import annotations

import re

# Switches of torch, NumPy, pandas, transformers, huggingface_hub, MLflow, pickle, ssl, requests, curl, pip, PIL, lxml,
# ssh, git and Python itself; whoever meets another one adds it here.
_SWITCHES = re.compile(
    r"(?<![\w/])(?:weights_only|add_safe_globals|safe_globals|TORCH_FORCE_\w*WEIGHTS_ONLY\w*|allow_pickle"
    r"|allow_dangerous_\w+|trust_remote_code|trust_repo|MLFLOW_ALLOW_\w+|unsafe_load|use_safetensors"
    r"|CERT_NONE|check_hostname|verify_ssl|ssl_verify|http\.sslVerify|_create_unverified_context|PYTHONHTTPSVERIFY"
    r"|\w*INSECURE_TLS|--insecure|--no-check-certificate|--trusted-host|MAX_IMAGE_PIXELS|LOAD_TRUNCATED_IMAGES"
    r"|huge_tree|set_int_max_str_digits|PYTHONINTMAXSTRDIGITS|setrecursionlimit|field_size_limit"
    r"|StrictHostKeyChecking|safe\.directory|HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE|--break-system-packages)\b(?![\w-]*/)"
    r"|\bverify\s*=\s*(?:False|0|no)\b|\btrusted source|\btrust the (?:source|authors?|checkpoint|repo)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?<=[.!?;:])\s+|\s+(?=\()|\n+")
_NOTHING_LEFT = "the file was refused: it holds, or needs, more than plain data"


def without_unsafe_advice(text: str) -> str:
    """The text without the clauses that name such a switch, or ask for trust; other text as it is."""
    if _SWITCHES.search(text) is None:
        return text
    kept = [part.strip() for part in _CLAUSE.split(text) if part.strip() and _SWITCHES.search(part) is None]
    rest = " ".join(kept).rstrip(" :,;(")
    return rest + ")" * (rest.count("(") - rest.count(")")) or _NOTHING_LEFT
