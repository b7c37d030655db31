"""Any corpus: every label found is a class; its own splits, or else its sessions, say what is held out."""

from __future__ import annotations

from dual_hpc.evaluation.protocols.protocol import Protocol

ALL = Protocol("all", None, (), {})
