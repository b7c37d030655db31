"""How a sample was prepared in training, and is in prediction: what config.json says of it must be possible."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from dual_hpc.config.schema import Section
from dual_hpc.config.validation_errors import explain

DEFAULTS = {"sample_rate": 16_000, "image_size": 112, "video_hz": 5.0, "max_seconds": 20.0, "max_tokens": 64}
_MEMORY = 1 << 34  # bytes of pictures of one sample


class Preprocessing(Section):
    """`EmotionConfig.preprocessing`; keys of later versions are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    sample_rate: Literal[16_000] = Field(16_000, description="Hz, of the audio")
    image_size: int = Field(112, ge=1, le=8_192, description="side of the square picture, in pixels")
    video_hz: float = Field(5.0, gt=0, le=1_000, description="pictures per second")
    max_seconds: float = Field(20.0, gt=0, le=86_400, description="longer clips are cut here")
    max_tokens: int = Field(64, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _fits(self) -> Preprocessing:
        if self.image_size**2 * 3 * self.video_hz * self.max_seconds > _MEMORY:
            raise ValueError(f"the pictures of one sample would take more than {_MEMORY >> 30} GiB")
        return self


def preprocessing_mistake(content: Any) -> str | None:
    """What is impossible in the `preprocessing` of a config.json, in one line that names the key; else None.

    What is no mapping at all makes no model, and is refused where it is made.
    """
    if not isinstance(content, dict):
        return None
    try:
        Preprocessing.model_validate(content, strict=True)
    except ValidationError as error:
        return f"preprocessing.{explain(error, Preprocessing)}".replace("preprocessing.: ", "preprocessing: ")
    return None
