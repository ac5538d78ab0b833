"""Threads as trio tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

_T = TypeVar("_T")


async def run_thread(run: Callable[[], None], stop: Callable[[], None]) -> None:
    """Runs `run` in a thread of its own; a cancellation calls `stop`, and waits until it has ended."""

    async def stop_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stop()

    async with trio.open_nursery() as thread_nursery:
        thread_nursery.start_soon(stop_when_cancelled, name="stop when cancelled")
        await trio.to_thread.run_sync(run, limiter=trio.CapacityLimiter(1), abandon_on_cancel=False)
        thread_nursery.cancel_scope.cancel()


async def call_thread(run: Callable[[], _T], stop: Callable[[], None]) -> _T:
    """What `run` answers or raises, in a thread. A cancellation calls `stop`, and waits until it has ended."""
    answers: list[_T] = []
    errors: list[BaseException] = []

    def keep() -> None:
        try:
            answers.append(run())
        except BaseException as error:
            errors.append(error)

    await run_thread(keep, stop)
    if errors:
        raise errors[0]
    return answers[0]
