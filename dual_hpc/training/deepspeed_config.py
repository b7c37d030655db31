"""DeepSpeed's own configuration, derived from the run's: there is nothing else to set."""

from __future__ import annotations

from typing import Any

from dual_hpc.config.schema import Precision, RunConfig

_BUCKETS = 8  # of a model's gradients, so that one is reduced while the next is computed
_SMALLEST = 2**20  # elements: below 4 MB a message costs its latency
_LARGEST = 50_000_000  # elements: 200 MB for a buffer, two of them where communication overlaps


def deepspeed_config(
    config: RunConfig, world_size: int, accumulation: int, trainable: int, device_type: str
) -> dict[str, Any]:
    """The whole of it.

    Args:
        accumulation: micro-batches per optimizer step and rank.
        trainable: number of parameters that are trained.
        device_type: of the ranks' devices, "cpu" or "cuda".
    """
    precision, stage = config.training.precision, config.training.zero_stage
    types = {"buffer_dtype": "fp32"}
    found = {
        "train_batch_size": config.data.global_batch,
        "train_micro_batch_size_per_gpu": config.data.global_batch // (world_size * accumulation),
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": 0.0 if needs_manual_clipping(precision, stage) else config.optim.clip_norm,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": bucket_elements(trainable),
            # In a stream of its own while the backward pass goes on; a CPU has no streams.
            "overlap_comm": device_type == "cuda" and world_size > 1,
        },
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": precision == "fp16"},
        "data_types": types,
        "steps_per_print": None,
    }
    if sums_in_fp32(config):
        found["communication_data_type"] = "fp32"
        if stage >= 2:  # it refuses this at stage 0, and takes another optimizer at stage 1: see `gradient_sums`
            types["grad_accum_dtype"] = "fp32"
    return found


def bucket_elements(trainable: int) -> int:
    """Gradients that are reduced in one message, as elements.

    DeepSpeed's own default, 5e8 for any model, is a buffer of 1 to 2 GB and a single bucket for most: its reduction
    begins when the last gradient is there.
    """
    return max(1, min(trainable, max(trainable // _BUCKETS, _SMALLEST), _LARGEST))


def needs_manual_clipping(precision: Precision, stage: int) -> bool:
    """True where DeepSpeed uses the optimizer unwrapped: it then reports no gradient norm and checks nothing."""
    return precision == "fp32" and stage == 0


def sums_in_fp32(config: RunConfig) -> bool:
    """True if gradients come in half precision and are to be summed in float32."""
    return config.training.precision != "fp32" and config.training.gradient_dtype == "fp32"
