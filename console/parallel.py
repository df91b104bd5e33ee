"""An ordered map over processes in constant memory."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor


def ordered_map(function: Callable, items: Iterable, workers: int, ahead: int = 4) -> Iterator:
    """function(item) in the order of items; `function` and items must pickle when workers > 1.

    Only `ahead` results per worker are in flight, unlike `Executor.map`, which takes all items at once.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: the caller may already run TensorFlow's threads.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context, initializer=_leave_interrupts_to_parent) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
