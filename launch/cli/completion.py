"""`dual-hpc completion bash|zsh`: what a shell needs to complete verbs, options, settings and names of runs."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Mapping, Sequence

EXAMPLES = """\
examples:
  source <(dual-hpc completion bash)           # in this shell; in ~/.bashrc for all
  source <(dual-hpc completion zsh)            # the same in ~/.zshrc, after compinit

It completes verbs, their options, settings (optim.lr=), presets, profiles, and the runs, sweeps and jobs of the store.
Nothing of dual-hpc is started when a key is pressed; the line in the shell's file reads it again after an update.
"""

NAMED = {"NAME", "RUN", "SWEEP"}  # in the metavars of what lies in a store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"))


def run(args: argparse.Namespace) -> int:
    from dual_hpc.config import preset_names
    from dual_hpc.config.reference import settings
    from launch.cli.main import ALIASES, VERBS
    from launch.cluster.profiles import profile_names

    options: dict[str, list[str]] = {}
    named: list[str] = []
    for word in (*VERBS, *ALIASES):
        parser = parser_of(ALIASES.get(word, word))
        options[word] = sorted(option for action in parser._actions for option in action.option_strings)
        if any(_takes_a_name(action) for action in parser._actions):
            named.append(word)
    choices = {
        "--preset": preset_names(),
        "--profile": profile_names(),
    }
    keys = [f"{one.key}=" for one in settings()]
    print(script(options, named, choices, keys, zsh=args.shell == "zsh"), end="")
    return 0


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The parser of a verb."""
    from launch.cli.main import build_parser

    return build_parser(verb, importlib.import_module(f"launch.cli.{verb}"))


def _takes_a_name(action: argparse.Action) -> bool:
    return not action.option_strings and bool(NAMED & set(re.split(r"[| ]", str(action.metavar))))


def script(
    options: Mapping[str, Sequence[str]],
    named: Sequence[str],
    choices: Mapping[str, Sequence[str]],
    keys: Sequence[str],
    zsh: bool = False,
) -> str:
    """The text that a shell sources. Pure.

    Args:
        options: of each verb.
        named: verbs that take the name of a run.
        choices: option -> the words that may follow it.
        keys: settings, each with its `=`.
    """
    cases = "\n".join(f'    {verb}) options="{" ".join(words)}" ;;' for verb, words in options.items())
    follow = "\n".join(f'    {option}) words="{" ".join(values)}" ;;' for option, values in choices.items())
    begin = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{begin}_dual_hpc() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}"
  local options="" words="" store kind
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(options)} --help --version" -- "$current"))
    return
  fi
  case "$verb" in
{cases}
  esac
  case "$before" in
    --run) words="$(_dual_hpc_names)" ;;
{follow}
  esac
  if [ -z "$words" ]; then
    case "$current" in
      -*) words="$options" ;;
      *)
        case " {" ".join(named)} " in *" $verb "*) words="$(_dual_hpc_names)" ;; esac
        case "$options" in *--settings*) words="$words {" ".join(keys)}" ;; esac
        case "$verb" in resume|ablate|extract|baseline|config) words="$words {" ".join(keys)}" ;; esac
        ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "${{COMPREPLY[0]}}" in *=) compopt -o nospace 2>/dev/null ;; esac
}}
_dual_hpc_names() {{
  local store="${{DUAL_STORE:-${{SCRATCH:+$SCRATCH/dual_hpc}}}}"
  store="${{store:-${{WORK:+$WORK/dual_hpc}}}}"
  store="${{store:-store}}"
  for kind in runs sweeps jobs; do
    [ -d "$store/$kind" ] && command ls -- "$store/$kind"
  done
}}
complete -o default -F _dual_hpc dual-hpc
"""
