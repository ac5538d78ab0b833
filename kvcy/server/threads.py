"""Threads as trio tasks."""

from __future__ import annotations

from collections.abc import Callable

import trio


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
