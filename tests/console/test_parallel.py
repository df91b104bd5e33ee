import os
import time

import pytest

from console.exits import Failed
from console.parallel import ordered_map


def slow_square(number: int) -> tuple[int, int]:
    time.sleep(0.02 * (number % 3 == 0))
    return number * number, os.getpid()


def fail_at_five(number: int) -> int:
    if number == 5:
        raise ValueError('five')
    return number


@pytest.mark.parametrize('workers', [1, 2])
def test_results_come_in_order(workers):
    results = list(ordered_map(slow_square, range(30), workers))
    assert [square for square, _ in results] == [number * number for number in range(30)]
    assert ({process for _, process in results} == {os.getpid()}) == (workers == 1)


def test_only_a_few_items_are_taken_ahead():
    taken = []
    stream = ordered_map(slow_square, (taken.append(number) or number for number in range(100)), 2)
    for done in range(1, 6):
        next(stream)
        assert len(taken) <= done + 8
    stream.close()


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_arrives_at_its_place(workers):
    stream = ordered_map(fail_at_five, range(9), workers)
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match='five'):
        next(stream)


def end_process(number: int) -> int:
    os._exit(number)


def test_a_killed_worker_is_said():
    with pytest.raises(Failed, match='a worker process was killed, perhaps for its memory'):
        list(ordered_map(end_process, [1, 2], 2))
