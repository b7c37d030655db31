"""What the baselines have in common besides encoders and loss: a width and a depth, as large as DUAL unless said."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field, ValidationError

from dual_hpc.config.schema import ModelConfig, Section
from dual_hpc.config.validation_errors import explain
from dual_hpc.errors import UserError
from dual_hpc.model.emotion_config import EmotionConfig


class BaselineOptions(Section):
    """`model.options` of a baseline; what is left out is decided when a run begins, and written in its model.json.

    Without `width`, the parameters above the encoders are as many as those of DUAL with the same settings.
    """

    width: int | None = Field(None, ge=2, le=16_384, description="of the sequences; none: parameters as DUAL's")
    layers: int | None = Field(None, ge=1, le=100, description="none: the family's own number")


class BaselineConfig(EmotionConfig):
    """Of the section `model` a baseline takes the encoders, `use_*`, `grid_hz`, `num_heads`, `dropout` and the loss."""

    settings: ClassVar[tuple[str, ...]] = (
        *(name for name in EmotionConfig.settings if name != "hidden_size"),
        *("grid_hz", "num_heads"),
    )
    option_class: ClassVar[type[BaselineOptions]] = BaselineOptions
    default_width: ClassVar[int] = 128
    default_layers: ClassVar[int] = 2

    grid_hz: float
    num_heads: int

    @property
    def option(self) -> dict[str, Any]:
        """The options by name, with the defaults of a configuration that nobody has completed."""
        found = self.option_class.model_validate(self._own_options(getattr(self, "options", {}))).model_dump()
        defaults = {"width": self.default_width, "layers": self.default_layers}
        return {**found, **{name: value for name, value in defaults.items() if found[name] is None}}

    @classmethod
    def first_mistake(cls, content: dict[str, Any]) -> str | None:
        try:
            cls.option_class.model_validate(cls._own_options(content.get("options") or {}))
        except ValidationError as error:
            return f"options.{explain(error, cls.option_class)}"
        return super().first_mistake(content)

    @classmethod
    def _own_options(cls, said: Any) -> Any:
        """Without those that the family of a plugin, made of one of these, has besides."""
        if not isinstance(said, dict):
            return said
        return {name: value for name, value in said.items() if name in cls.option_class.model_fields}


def check_width(model: ModelConfig) -> None:
    """Refuse a width that does not divide into the attention's heads and the two directions of a recurrent layer.

    Raises:
        UserError: names both settings.
    """
    step = math.lcm(2, model.num_heads)
    if (width := model.options.get("width")) and width % step:
        why = f"of 2 and model.num_heads={model.num_heads}"
        raise UserError(f"model.options.width={width}: must be a multiple of {step} ({why})")
