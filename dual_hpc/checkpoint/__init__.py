"""Checkpoints that are whole or absent: manifest, commit protocol, choice, retention, export (contract 5)."""
