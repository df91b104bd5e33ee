"""A contender's process: tells that it is ready, then does as many steps as it is asked for. Needs Python alone.

Lines of JSON: its fields come first; `{"facts": …}` goes out when it is ready; `{"skip": n, "count": m}` asks for n
untimed and m timed steps, which `{"seconds": s, "peak_bytes": b}` answers. What a contender prints goes to the standard
error.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from console import memory


class Contender(NamedTuple):
    """What does `count` steps (images, examples), and what the result says of it."""

    act: Callable[[int], None]
    facts: dict[str, Any]


def serve(prepare: Callable[..., Contender]) -> None:
    """Makes the contender of the fields in the first line and answers until the input ends."""
    answers = os.fdopen(os.dup(1), 'w', encoding='utf8')
    os.dup2(2, 1)
    fields = json.loads(sys.stdin.readline())
    if fields.get('cores'):
        os.sched_setaffinity(0, range(fields['cores']))
    contender = prepare(**fields)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    tell({'facts': contender.facts})
    for line in sys.stdin:
        asked = json.loads(line)
        contender.act(asked['skip'])
        begun = time.perf_counter()
        contender.act(asked['count'])
        tell({'seconds': time.perf_counter() - begun, 'peak_bytes': memory.peak_bytes()})
    os._exit(0)  # threads of an input pipeline may wait for a long time before they end


def repeat(step: Callable[[], object]) -> Callable[[int], None]:
    def act(count: int) -> None:
        for _ in range(count):
            step()
    return act
