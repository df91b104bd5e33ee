"""An ordered map over processes in constant memory."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from console.exits import Failed

Item = TypeVar('Item')
Result = TypeVar('Result')


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int = 4
                ) -> Iterator[Result]:
    """function(item) in the order of items; `function` and items must pickle when workers > 1.

    Only `ahead` results per worker are in flight, unlike `Executor.map`, which takes all items at once. `Failed` when a
    worker was killed.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: the caller may already run TensorFlow's threads.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                with _signals_held():  # submit starts the processes
                    waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise Failed('a worker process was killed, perhaps for its memory: try fewer workers') from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait until a process is started whole, which never sees Ctrl-C: its parent, which does, ends it.

    A terminal sends Ctrl-C to both. Of this process's threads any may receive it, so that a mask alone holds nothing.
    """
    arrived: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: arrived.append(number))
                for number in (signal.SIGINT, signal.SIGTERM)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a started process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
