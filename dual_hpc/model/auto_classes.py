"""`AutoModel.from_pretrained(folder)` of transformers knows our models after `import dual_hpc`, in either order.

`import dual_hpc` must not load transformers, and whoever uses transformers must not wait for every family. So each
family is announced by a placeholder, as soon as transformers has its Auto classes, and loaded when a model of it is
read.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO = "transformers.models.auto.configuration_auto"


def announce() -> None:
    """Let transformers know the families of this package, now or when it is imported; harmless to repeat."""
    if (loaded := sys.modules.get(_AUTO)) is not None and hasattr(loaded, "AutoConfig"):
        _register(loaded)
    elif not any(isinstance(finder, _WaitForTransformers) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitForTransformers())


class _WaitForTransformers(MetaPathFinder):
    """Finds nothing itself: the module is found as ever, and registers our families once it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        _register(module)


def _register(auto: Any) -> None:
    """A placeholder for each family that is not loaded yet."""
    from dual_hpc.model.family import FAMILIES

    for name in FAMILIES:
        if name not in auto.CONFIG_MAPPING:
            auto.AutoConfig.register(name, _placeholder(name, auto.PreTrainedConfig))


def _placeholder(name: str, base: Any) -> Any:
    """A configuration class that reads as that of the family, which it loads, and which takes its place."""

    def from_dict(cls: Any, config_dict: dict[str, Any], **options: Any) -> Any:
        return _family(name).from_dict(config_dict, **options)

    def from_pretrained(cls: Any, folder: Any, **options: Any) -> Any:
        return _family(name).from_pretrained(folder, **options)

    parts = {"model_type": name, "from_dict": classmethod(from_dict), "from_pretrained": classmethod(from_pretrained)}
    return type(f"Unread{name.title().replace('_', '')}Config", (base,), {**parts, "__module__": __name__})


def _family(name: str) -> Any:
    """The configuration class of a family, whose model class is known to transformers as well."""
    from dual_hpc.model.family import FAMILIES

    found = FAMILIES.get(name)
    assert found.model_class is not None  # loading it registers both
    return found.config_class
