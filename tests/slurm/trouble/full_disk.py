"""A plugin: from its import on the disk is full for checkpoints. The shim of tests/faults must be preloaded."""

from __future__ import annotations

import ctypes
import errno
import os

if "FULL_DISK" in os.environ and "SLURM_PROCID" in os.environ:
    arm = ctypes.CDLL(None).fault_arm
    arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_long]
    arm(os.fsencode(f"{os.environ['FULL_DISK']}/end-disk-full/checkpoints"), 1, errno.ENOSPC, 1)
