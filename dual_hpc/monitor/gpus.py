"""What the GPUs of a node do, through NVML where `nvidia-ml-py` is installed. Names and units are MLflow's.

NVML shows the GPUs that the job may use where Slurm constrains devices, else all of the node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MEGA = 1e6
# Why the clock is lower than it could be, as bits: those that tell of heat or power, not of an idle card.
_THROTTLES = {"power": 0x4 | 0x80, "thermal": 0x8 | 0x20 | 0x40}


class Gpus:
    """The GPUs of this node; none where there is no NVML."""

    def __init__(self, nvml: Any = None) -> None:
        """`nvml`: the module `pynvml`; imported where it is installed."""
        self._nvml, self._handles = nvml or _installed(), []
        if self._nvml is None:
            return
        try:
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        except self._nvml.NVMLError:  # no driver
            self._handles = []

    def values(self) -> dict[str, float]:
        """Metrics now; what a card does not tell is left out."""
        return {
            f"gpu_{number}_{name}": value
            for number, handle in enumerate(self._handles)
            for name, value in self._of(handle).items()
        }

    def _of(self, handle: Any) -> dict[str, float]:
        nvml, found = self._nvml, {}

        def ask(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except (nvml.NVMLError, AttributeError):  # not of this card, or not of this driver
                return None

        if (memory := ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))) is not None:
            found["memory_usage_megabytes"] = memory.used / _MEGA
            found["memory_usage_percentage"] = 100 * memory.used / memory.total if memory.total else 0.0
        if (rates := ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))) is not None:
            found["utilization_percentage"] = float(rates.gpu)
        if (milliwatts := ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))) is not None:
            found["power_usage_watts"] = milliwatts / 1000
            if limit := ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle)):
                found["power_usage_percentage"] = 100 * milliwatts / limit
        if (celsius := ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))) is not None:
            found["temperature_celsius"] = float(celsius)
        for name, kind in (("corrected", "CORRECTED"), ("uncorrected", "UNCORRECTED")):
            kind_of = getattr(nvml, f"NVML_MEMORY_ERROR_TYPE_{kind}", None)
            counter = getattr(nvml, "NVML_VOLATILE_ECC", None)
            count = ask(lambda k=kind_of, c=counter: nvml.nvmlDeviceGetTotalEccErrors(handle, k, c))  # type: ignore[misc]
            if count is not None:
                found[f"ecc_{name}_errors"] = float(count)
        if (reasons := ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))) is not None:
            found |= {f"throttled_by_{name}": float(bool(reasons & bits)) for name, bits in _THROTTLES.items()}
        return found


def _installed() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
