"""Contenders timed in turn: each round asks every one of them once, so that what disturbs the machine disturbs all."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from console.checkout import FOLDER

TIMEOUT = 600  # seconds of one answer
PAUSE = 0.2  # between two turns, in which threads that still spin come to rest


class Failed(Exception):
    """A contender ended or didn't answer; says what it said last."""


@dataclass(frozen=True)
class Call:
    """How a contender is started: by an interpreter, as a function of a module that serves its fields."""

    python: str
    module: str
    function: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Process:
    """A contender in a process of its own; its standard error goes to the file `log`."""

    def __init__(self, call: Call, log: Path):
        self._log, self._begun = log, time.monotonic()
        code = f'from {call.module} import {call.function}; {call.function}()'
        with log.open('w', encoding='utf8') as errors:
            self._process = subprocess.Popen(
                [call.python, '-c', code], stdin=subprocess.PIPE, text=True,
                stdout=subprocess.PIPE, stderr=errors, cwd=FOLDER, env=os.environ | {'PYTHONPATH': str(FOLDER)})
        self._tell(dict(call.fields))

    def start(self) -> dict[str, Any]:
        """Its facts, with the seconds from the start of the process to its second step (image, batch)."""
        facts = self._answer()['facts']
        self.ask(0, 1)
        self.ask(0, 1)
        return facts | {'seconds_to_step_2': round(time.monotonic() - self._begun, 1)}

    def ask(self, skip: int, count: int) -> dict[str, Any]:
        self._tell({'skip': skip, 'count': count})
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it said last is the reason
            self._process.stdin.write(json.dumps(message) + '\n')
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(TIMEOUT, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            said = [each for each in self._log.read_text(errors='replace').splitlines() if each.strip()]
            raise Failed(said[-1].strip()[:200] if said else f'it ended with status {self._process.wait()}')
        return json.loads(line)


@dataclass(frozen=True)
class Case:
    """What is timed side by side: {column: how it is started, or why it is absent}.

    `count` steps a round, or as many as take about `seconds`; `skip` more before them untimed, where a contender may
    have worked ahead while others had their turn.
    """

    name: str
    contenders: Mapping[str, Call | str]
    rounds: int
    count: int = 0
    skip: int = 0
    seconds: float = 2.0


class Race:
    """The contenders of a case that are still there; one that fails is out, with its reason."""

    def __init__(self, case: Case, logs: Path, say: Callable[[str], None]):
        self.case, self.say = case, say
        self.absent = {column: call for column, call in case.contenders.items() if isinstance(call, str)}
        self.facts: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.counts: dict[str, int] = {}
        self.processes: dict[str, Process] = {}
        self._logs = logs

    def run(self) -> dict[str, Any]:
        try:
            for column, call in self.case.contenders.items():
                if isinstance(call, Call):
                    self._turn(self._start, column)
            _check_equal(self.case.name, self.facts)
            for index in range(1, self.case.rounds + 1):
                for column in list(self.processes):
                    self._turn(self._round, column)
                self.say(f'{self.case.name}: round {index} of {self.case.rounds}: ' + ', '.join(
                    f'{column} {1e3 * self.seconds[column][-1]:.4g} ms' for column in self.processes))
        finally:
            for process in self.processes.values():
                process.close()
        there = self.processes
        return {'name': self.case.name, 'absent': self.absent, 'facts': {each: self.facts[each] for each in there},
                'seconds': {each: [round(value, 6) for value in self.seconds[each]] for each in there}}

    def _turn(self, act: Callable[[str], None], column: str) -> None:
        try:
            act(column)
        except Failed as reason:
            self.processes.pop(column).close()
            self.absent[column] = f'failed: {reason}'
        time.sleep(PAUSE)

    def _start(self, column: str) -> None:
        """Starts it and warms it up."""
        call = self.case.contenders[column]
        assert isinstance(call, Call)
        self.say(f'{self.case.name}: {column} starts')
        self.seconds[column] = []
        self.processes[column] = process = Process(call, self._logs / f'{len(list(self._logs.iterdir()))}.log')
        self.facts[column] = process.start()
        self.counts[column] = self.case.count or fitting(process.ask(1, 1)['seconds'], self.case.seconds)

    def _round(self, column: str) -> None:
        answer = self.processes[column].ask(self.case.skip, self.counts[column])
        self.seconds[column].append(answer['seconds'] / self.counts[column])
        self.facts[column]['peak_bytes'] = answer['peak_bytes']


def run(case: Case, logs: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of a step in each round, {column: [...]}, and what is known of each contender."""
    return Race(case, logs, say).run()


def _check_equal(name: str, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Nets are compared only where they are equal to the parameter."""
    counts = {column: each['parameters'] for column, each in facts.items() if 'parameters' in each}
    if len(set(counts.values())) > 1:
        raise ValueError(f'{name}: these nets have different numbers of parameters: {counts}')


def fitting(step: float, seconds: float) -> int:
    """How many steps take about that long, 1 at least."""
    return max(1, min(100, round(seconds / step)))


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as fast: the median over the rounds, each of which compares its own two turns."""
    return median(a / b for a, b in zip(slower, faster, strict=True))
