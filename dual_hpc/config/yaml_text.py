"""YAML as configurations are written in it: YAML 1.1 without its surprises.

`1e-4` is a number; `1:30`, `010` and `2020-01-01` are text (YAML 1.1 reads 90, 8 and a date). A mapping must
not repeat a key (PyYAML silently takes the last one). A tree that aliases make too large is refused.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from dual_hpc.errors import one_line

_LARGEST = 10_000  # nodes of a tree with its aliases written out; the whole schema has some hundred
_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)",
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:(?:0|[1-9][0-9_]*)(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
    ),
}


def read_yaml(text: str) -> Any:
    """Plain data.

    Raises:
        ValueError: not YAML, a key given twice, or a tree too large or too deep; one line, with the place.
    """
    try:
        tree = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not _is_small(tree):
        raise ValueError(f"it has more than {_LARGEST} values, aliases written out")
    return tree


def write_yaml(tree: Any) -> str:
    """Text from which `read_yaml` gives the same plain data; keys stay in their order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False)


def _is_small(tree: Any) -> bool:
    waiting, seen = [tree], 0
    while waiting and seen <= _LARGEST:
        node = waiting.pop()
        seen += 1
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return not waiting


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if tag not in (*_NUMBERS, "tag:yaml.org,2002:timestamp")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for _tag, _form in _NUMBERS.items():
        _class.add_implicit_resolver(_tag, re.compile(f"(?:{_form})$"), list("-+.0123456789"))
