"""Progress with rate and time left: one rewritten line on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

BAR_WIDTH = 24
TERMINAL_SECONDS = 0.1
PLAIN_SECONDS = 10.0


class Progress:
    """Counts up to `total` items; use as a context manager and call `update` for each item done."""

    def __init__(self, total: int, label: str, stream: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic):
        self._total = total
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._start = self._last = clock()
        self._done = 0
        self._width = 0

    def update(self, count: int = 1) -> None:
        self._done += count
        now = self._clock()
        interval = TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS
        # The line of the last item is left to close().
        if self._done < self._total and now - self._last >= interval:
            self._last = now
            self._write(self._line(now))

    def close(self) -> None:
        """Writes the last line with the totals."""
        self._write(self._line(self._clock()))
        if self._terminal:
            self._stream.write('\n')
        self._stream.flush()

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, now: float) -> str:
        seconds = now - self._start
        rate = self._done / seconds if seconds > 0 else 0.0
        fraction = self._done / self._total if self._total else 1.0
        if self._done < self._total and rate > 0:
            timing = f'{duration((self._total - self._done) / rate)} left'
        else:
            timing = f'took {duration(seconds)}'
        counts = f'{self._done}/{self._total} {100 * fraction:3.0f} % · {rate:.1f}/s · {timing}'
        if not self._terminal:
            return f'{self._label}: {counts}'
        filled = round(BAR_WIDTH * min(fraction, 1.0))
        return f'{self._label} [{"#" * filled}{"." * (BAR_WIDTH - filled)}] {counts}'

    def _write(self, line: str) -> None:
        if self._terminal:
            # Blanks cover what a longer line left behind.
            self._stream.write('\r' + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + '\n')
        self._stream.flush()


def duration(seconds: float) -> str:
    """Such as '3:07' or '1:02:45'."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f'{hours}:{minute:02d}:{second:02d}' if hours else f'{minute}:{second:02d}'


def say(line: str) -> None:
    """One status line, on the error stream so that results can be piped."""
    print(line, file=sys.stderr, flush=True)
