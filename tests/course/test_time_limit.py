"""Endless code is stopped, in the main thread and elsewhere, and nothing is left."""

import signal
import threading
import time

import pytest

from moe_lib.course.checking.time_limit import TimeUp, call_within


def endless():
    while True:
        pass


def catching():
    while True:
        try:
            sum(range(100))
        except Exception:
            pass


def catching_all():
    while True:
        try:
            sum(range(100))
        except:  # noqa: E722
            pass


def short_sleeps():
    while True:
        time.sleep(0.01)


def in_main(function, *args):
    return function(*args)


def in_a_thread(function, *args):
    """What the function gives or raises in another thread."""
    result = []

    def run():
        try:
            result.append((function(*args), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert result, "not stopped after 60 s"
    value, error = result[0]
    if error:
        raise error
    return value


EVERYWHERE = pytest.mark.parametrize("where", [in_main, in_a_thread])


@EVERYWHERE
@pytest.mark.parametrize("code", [endless, catching, catching_all, short_sleeps])
def test_endless_code_is_stopped(where, code):
    started = time.monotonic()
    with pytest.raises(TimeUp) as caught:
        where(call_within, 0.1, code)
    assert time.monotonic() - started < 40
    assert any(entry.name == code.__name__ for entry in caught.traceback)


def test_a_long_sleep_is_interrupted():
    started = time.monotonic()
    with pytest.raises(TimeUp):
        call_within(0.1, time.sleep, 30)
    assert time.monotonic() - started < 10


@EVERYWHERE
def test_what_ends_in_time_is_let_through(where):
    assert where(call_within, 5, max, 2, 3) == 3
    with pytest.raises(ZeroDivisionError):
        where(call_within, 5, lambda: 1 / 0)
    with pytest.raises(KeyboardInterrupt):
        where(call_within, 5, signal.default_int_handler, signal.SIGINT, None)


@EVERYWHERE
def test_no_alarm_comes_late(where):
    """Calls that end at about their limit; whatever comes of one, later code runs."""

    def many():
        for _ in range(60):
            try:
                call_within(0.002, time.sleep, 0.002)
            except TimeUp:
                pass
            sum(range(1000))
        time.sleep(0.3)
        return "whole"

    assert where(many) == "whole"


@EVERYWHERE
def test_an_inner_limit_does_not_end_the_outer_one(where):
    def outer():
        with pytest.raises(TimeUp):
            call_within(0.05, endless)
        endless()

    started = time.monotonic()
    with pytest.raises(TimeUp):
        where(call_within, 0.4, outer)
    assert 0.3 < time.monotonic() - started < 10


def test_handler_and_timer_of_others_are_put_back():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeUp):
            call_within(0.05, endless)
        assert not rung
        deadline = time.monotonic() + 10
        while not rung and time.monotonic() < deadline:
            time.sleep(0.01)
        assert rung
        call_within(1, max, 1, 2)
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_no_thread_is_left():
    def threads():
        in_a_thread(call_within, 5, max, 1, 2)
        time.sleep(0.1)
        return threading.active_count()

    before = threading.active_count()
    assert threads() == before
