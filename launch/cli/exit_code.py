"""A command's exit code, and one printable line on standard error for whatever it raises."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dual_hpc.errors import DualError, UserError, one_line
from dual_hpc.files.ownership import is_others, owner
from dual_hpc.printable import printable_output
from launch.cli.trace import keep_trace

_CONTINUE = ("pack", "extract", "evaluate")  # verbs that keep what they had done


def exit_code(command: Callable[[], int | None], words: Sequence[str]) -> int:
    """Run a command, whose output is made printable.

    Args:
        words: what it was called with; words that are not UTF-8 are refused, as no record could name them.

    Returns:
        0 done, 1 the machine's fault, 2 the user's to fix, 3 a training was stopped, 130 interrupted, 141 broken pipe.
    """
    with printable_output():
        try:
            _check_words(words)
            return command() or 0
        except KeyboardInterrupt:
            keeps = words[:1] and words[0] in _CONTINUE and not ("--model" in words and "--out" not in words)
            again = "; the same command continues where it ended" if keeps else ""
            print(f"dual-hpc: interrupted{again}", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The reader of a pipe (`| head`) has exited; what is still buffered must not be flushed into it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except DualError as error:
            return _report(str(error), error.exit_code)
        except UnicodeEncodeError as error:
            text = error.object[max(0, error.start - 60) : error.end + 20]
            return _report(f"a name or text that is not valid Unicode cannot be used: {text}", UserError.exit_code)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            whose = f" (it belongs to {owner(Path(error.filename))})" if _is_denied(error) else ""
            return _report(f"{where}{error.strerror or error}{whose}", 1)
        except MemoryError:
            return _report("this machine has not enough memory for it", 1)
        except Exception as error:
            trace = keep_trace()
            reason = one_line(error, 1000)
            return _report(f"internal error: {type(error).__name__}: {reason} (trace in {trace})", 1, trace_kept=True)


def _is_denied(error: OSError) -> bool:
    """True where a file or folder of another user may not be used."""
    return isinstance(error, PermissionError) and isinstance(error.filename, str) and is_others(Path(error.filename))


def _check_words(words: Sequence[str]) -> None:
    for number, word in enumerate(words, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"argument {number}, {word}: is not UTF-8; rename the file, or write it in UTF-8") from None


def _report(message: str, code: int, trace_kept: bool = False) -> int:
    if not trace_kept:
        keep_trace()
    print(f"dual-hpc: error: {one_line(message)}", file=sys.stderr)
    return code
