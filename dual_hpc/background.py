"""Run a function in a thread, or here, behind the same `Future`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Run `function` in a daemon thread: unlike an executor's, it does not delay the end of the process."""
    future: Future[T] = Future()
    threading.Thread(target=_run, args=(future, function), name="background", daemon=True).start()
    return future


def inline(function: Callable[[], T]) -> Future[T]:
    """Run `function` in this thread; the future is done when this returns."""
    future: Future[T] = Future()
    _run(future, function)
    return future


def _run(future: Future[T], function: Callable[[], T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
