"""Work in a thread of its own, whose result or failure is asked for later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(act: Callable[[], T]) -> Future[T]:
    """Run `act` in a thread. A process that ends does not wait for it, as an executor would make it."""
    promise: Future[T] = Future()
    threading.Thread(target=_keep, args=(promise, act), name="checkpoint", daemon=True).start()
    return promise


def at_once(act: Callable[[], T]) -> Future[T]:
    """Run `act` here; for the same caller."""
    promise: Future[T] = Future()
    _keep(promise, act)
    return promise


def _keep(promise: Future[T], act: Callable[[], T]) -> None:
    try:
        promise.set_result(act())
    except BaseException as error:
        promise.set_exception(error)
