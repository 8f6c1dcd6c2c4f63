"""Stop Python code that does not stop by itself."""

from __future__ import annotations

import ctypes
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class TimeUp(BaseException):
    """The time is over. Not an Exception, so `except Exception` lets it through."""


def call_within(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, or TimeUp raised inside it after ``seconds``.

    In the main thread of Unix a signal interrupts Python code and sleeps. Elsewhere
    (other threads, Windows) the interpreter raises between two of its instructions,
    so a sleep ends first. What was set before, handler and timer, is put back.

    Not stopped: one long call in C, such as the product of two huge matrices, before
    it returns. Code that catches TimeUp too (a bare `except:` in a loop) is hit again
    and again until that is outside of its `try`, which may take seconds.
    """
    alarm = _SignalAlarm() if _can_use_signals() else _ThreadAlarm()
    try:
        try:
            alarm.on(seconds)
            return function(*args)
        finally:
            alarm.over = True
            alarm.off()
    finally:  # again: what rang just before it was over may have cut off() short
        alarm.off()


def _pauses(seconds: float) -> Iterator[float]:
    """Seconds before each ring. The second one comes late: what the code clears up
    on its way out should not be hit."""
    return itertools.chain([seconds, 0.2, 0.1], itertools.repeat(0.003))


def _can_use_signals() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and hasattr(signal, "setitimer")


class _SignalAlarm:
    """SIGALRM; an outer timer waits meanwhile and goes on with what it had left."""

    over = False

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGALRM)
        self.outer = signal.getitimer(signal.ITIMER_REAL)  # (seconds left, interval)
        self.started = time.monotonic()

    def on(self, seconds: float) -> None:
        self.pauses = _pauses(seconds)
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, next(self.pauses))

    def off(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.handler or signal.SIG_DFL)
        left, interval = self.outer
        if left:
            left = max(left - (time.monotonic() - self.started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)

    def _ring(self, number: int, frame: object) -> None:
        if not self.over:
            signal.setitimer(signal.ITIMER_REAL, next(self.pauses))
            raise TimeUp


class _ThreadAlarm:
    """A second thread that asks the interpreter to raise in the first one."""

    over = False

    def __init__(self) -> None:
        self.target = ctypes.c_ulong(threading.get_ident())
        self.finished = threading.Event()
        self.lock = threading.Lock()

    def on(self, seconds: float) -> None:
        threading.Thread(target=self._watch, args=(seconds,), daemon=True).start()

    def off(self) -> None:
        with self.lock:
            self.finished.set()
            self._raise_in_target(None)  # takes back what was asked for but not done

    def _watch(self, seconds: float) -> None:
        for pause in _pauses(seconds):
            if self.finished.wait(pause):
                return
            with self.lock:
                if not self.over:
                    self._raise_in_target(TimeUp)

    def _raise_in_target(self, error: type[TimeUp] | None) -> None:
        value = ctypes.py_object(error) if error else None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self.target, value)
