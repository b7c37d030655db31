"""Models to compare DUAL with; each is one module and a line in `dual_hpc/model/family.py`."""
