"""An iterator whose items are made in a thread of its own, a few before they are asked for."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class RunAhead(Iterator[T]):
    """The items of `items`, in their order; what it raises is raised here, at the place of the item.

    Args:
        items: advanced in the thread alone.
        depth: so many items are made before they are taken, at most; then the thread waits.
        interrupt: makes an `items` that waits for something end soon; called once, when this is closed.
    """

    def __init__(self, items: Iterator[T], depth: int, interrupt: Callable[[], None] = lambda: None) -> None:
        self._shelf: _Shelf[T] = _Shelf(depth)
        # A daemon: one that is stuck must not keep the process from ending. It knows the shelf and not this object,
        # so one that nobody closes ends with the last reference to it, or at the end of the interpreter.
        thread = threading.Thread(target=_fill, args=(self._shelf, items), name="run ahead", daemon=True)
        self._close = weakref.finalize(self, _end, self._shelf, thread, interrupt)
        thread.start()

    def __next__(self) -> T:
        return self._shelf.take()

    def close(self) -> None:
        """End the thread, and drop what it has made."""
        self._close()


class _Shelf(Generic[T]):
    """Where the thread puts what it has made."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended: BaseException | None = None  # why there will be no further items
        self._closed = False

    def wait_for_room(self) -> bool:
        """Until another item may be made; False if none is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            return not self._closed

    def put(self, item: T) -> None:
        with self._changed:
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    def end(self, reason: BaseException) -> None:
        with self._changed:
            if not self._closed:
                self._ended = reason
            self._changed.notify_all()

    def take(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._closed)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            raise self._ended or StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed, self._ended = True, None  # whose traceback would keep the thread's frame alive, and `items`
            self._items.clear()
            self._changed.notify_all()


def _fill(shelf: _Shelf[T], items: Iterator[T]) -> None:
    try:
        while shelf.wait_for_room():
            shelf.put(next(items))  # in one expression: this frame keeps no item alive
    except BaseException as error:  # StopIteration among them; the thread that takes the items raises it
        shelf.end(error)


def _end(shelf: _Shelf[T], thread: threading.Thread, interrupt: Callable[[], None]) -> None:
    shelf.close()
    interrupt()
    if thread is not threading.current_thread():  # whose garbage collection may have called this
        thread.join()
