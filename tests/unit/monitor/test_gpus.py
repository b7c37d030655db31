"""Values of GPUs through NVML: a card that cannot tell something costs that value alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dual_hpc.monitor.gpus import Gpus


class Nvml:
    """As `pynvml` answers for a card that is hot and has a memory error; the second one tells little."""

    NVML_TEMPERATURE_GPU = 0
    NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 0, 1, 0

    class NVMLError(Exception):
        pass

    def __init__(self, driver: bool = True) -> None:
        self.driver = driver

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, card: int) -> Any:
        return SimpleNamespace(used=20_000_000, total=80_000_000)

    def _first(self, card: int, value: Any) -> Any:
        if card:
            raise self.NVMLError("not supported")
        return value

    def nvmlDeviceGetUtilizationRates(self, card: int) -> Any:
        return self._first(card, SimpleNamespace(gpu=93))

    def nvmlDeviceGetPowerUsage(self, card: int) -> Any:
        return self._first(card, 350_000)

    def nvmlDeviceGetEnforcedPowerLimit(self, card: int) -> Any:
        return self._first(card, 700_000)

    def nvmlDeviceGetTemperature(self, card: int, kind: int) -> Any:
        return self._first(card, 84)

    def nvmlDeviceGetTotalEccErrors(self, card: int, kind: int, counter: int) -> Any:
        return self._first(card, 3 if kind == self.NVML_MEMORY_ERROR_TYPE_CORRECTED else 1)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: int) -> Any:
        return self._first(card, 0x40 | 0x1)


def test_a_card_tells_use_memory_power_temperature_errors_and_throttling() -> None:
    found = Gpus(Nvml()).values()
    assert {key: value for key, value in found.items() if key.startswith("gpu_0_")} == {
        "gpu_0_memory_usage_megabytes": 20.0,
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_utilization_percentage": 93.0,
        "gpu_0_power_usage_watts": 350.0,
        "gpu_0_power_usage_percentage": 50.0,
        "gpu_0_temperature_celsius": 84.0,
        "gpu_0_ecc_corrected_errors": 3.0,
        "gpu_0_ecc_uncorrected_errors": 1.0,
        "gpu_0_throttled_by_power": 0.0,
        "gpu_0_throttled_by_thermal": 1.0,
    }
    assert {key for key in found if key.startswith("gpu_1_")} == {
        "gpu_1_memory_usage_megabytes",
        "gpu_1_memory_usage_percentage",
    }


def test_a_node_without_a_driver_has_no_gpus() -> None:
    assert Gpus(Nvml(driver=False)).values() == {}
