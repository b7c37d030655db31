"""Checkpoints that are complete or absent: manifest, commit protocol, selection, retention, export (contract 5)."""
