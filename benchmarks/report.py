"""Tables of what was timed: of each section with the ratios of ours to the peers, and which aims hold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.rounds import ratio
from benchmarks.sections import BASE_CASE, LOADERS, OFFICIAL, ONE_SCALE, OURS, TORCH

OURS_OF_INPUT = 'ours'
NONE = '-'


class Unit(NamedTuple):
    name: str
    of: Callable[[float], str]  # seconds of a step, an image or an example


MILLISECONDS = Unit('ms', lambda seconds: f'{1e3 * seconds:,.0f}')
SECONDS = Unit('s', lambda seconds: f'{seconds:.2f}')
A_SECOND = Unit('a second', lambda seconds: f'{1 / seconds:,.1f}')
TITLES = {
    'training': 'A training step of DeepLabv3+ at output stride 16 (ms)',
    'forward': 'Inference (ms an image)',
    'evaluation': 'Evaluation',
    'input': 'Input (examples a second)',
    'rows': 'Rows to be reproduced (s a step)',
    'growth': 'How time and memory grow'}


class Aim(NamedTuple):
    """Ours is to be `times` as fast as the fastest of `peers`; without peers, to take `seconds` of a step at most."""

    section: str
    peers: tuple[str, ...]
    times: float = 0.0
    case: str = ''
    seconds: float = 0.0


AIMS = (
    Aim('training', (OFFICIAL,), 2.0), Aim('training', TORCH, 1.3),
    Aim('forward', (OFFICIAL,), 1.5), Aim('forward', TORCH, 1.0),
    Aim('evaluation', (OFFICIAL,), 1.5),
    Aim('input', LOADERS[1:], 1.0),
    # Half of what they took, on two cores with AMX, before there were kernels for them.
    Aim('rows', (), case='ENet encoder', seconds=0.71), Aim('rows', (), case='ENet', seconds=0.97),
    Aim('rows', (), case='dense30k36', seconds=3.55))


def unit_of(section: str, case: str) -> Unit:
    if section in ('training', 'forward'):
        return MILLISECONDS
    return A_SECOND if section == 'input' or case == ONE_SCALE else SECONDS


def fastest(case: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """The column of the smallest median among those that were timed."""
    timed = [column for column in columns if case['seconds'].get(column)]
    return min(timed, key=lambda column: median(case['seconds'][column]), default=None)


def times(case: Mapping[str, Any], peers: Sequence[str]) -> float | None:
    """How many times as fast our fastest is as theirs; None where one of the two is absent."""
    ours, theirs = fastest(case, (*OURS, OURS_OF_INPUT)), fastest(case, peers)
    return ratio(case['seconds'][theirs], case['seconds'][ours]) if ours and theirs else None


def table(name: str, section: Mapping[str, Any]) -> str:
    """Markdown of a section; the reasons of absent columns follow below it."""
    cases = section['cases']
    if name == 'growth':
        return _growth(cases)
    columns = list(dict.fromkeys(column for case in cases for column in (*case['seconds'], *case['absent'])))
    columns = [column for column in (OFFICIAL, *OURS, OURS_OF_INPUT, *TORCH, *LOADERS) if column in columns]
    peers = [(title, those) for title, those in (
        ('official', (OFFICIAL,)), ('torch', TORCH), *((each, (each,)) for each in LOADERS)) if set(those) & {*columns}]
    heads = ['', *columns, *(f'ours / {title}' for title, _ in peers)]
    lines = [_row(*heads), _row(*['---'] * len(heads))]
    for case in cases:
        unit = unit_of(name, case['name'])
        cells = [unit.of(median(case['seconds'][column])) if case['seconds'].get(column) else NONE
                 for column in columns]
        label = case['name'] + (f' ({_per(unit)})' if name == 'evaluation' else '') + _hours(case)
        lines.append(_row(label, *cells, *(_times(times(case, those)) for _, those in peers)))
    return '\n'.join([*lines, *_absent(cases)])


def aims(sections: Mapping[str, Any]) -> str:
    """Which of AIMS hold, and by how much the others fall short."""
    lines = [_row('', 'aim', 'measured', 'holds'), _row(*['---'] * 4)]
    for aim in AIMS:
        for case in sections.get(aim.section, {}).get('cases', []):
            if aim.case in ('', case['name']):
                lines.append(_row(case['name'], *_held(aim, case)))
    return '\n'.join(lines)


def _held(aim: Aim, case: Mapping[str, Any]) -> tuple[str, str, str]:
    if not aim.peers:
        ours = fastest(case, OURS)
        found = median(case['seconds'][ours]) if ours else None
        holds = _holds(aim.seconds / found) if found else 'not measured'
        return f'at most {aim.seconds:.2f} s', SECONDS.of(found) + ' s' if found else NONE, holds
    named = 'torch' if aim.peers == TORCH else aim.peers[0]
    reached = times(case, aim.peers)
    return (f'{aim.times:.1f} x {named}', _times(reached),
            _holds(reached / aim.times) if reached else 'not measured')


def _holds(share: float) -> str:
    return 'yes' if share >= 1 else f'no: {100 * (1 - share):.0f} % too slow'


def _growth(cases: Sequence[Mapping[str, Any]]) -> str:
    column = OURS[1]
    timed = [case for case in cases if case['seconds'].get(column)]
    base = next((median(case['seconds'][column]) for case in timed if case['name'] == BASE_CASE), None)
    lines = [_row('', 'ms a step', 'of the first', 'MiB'), _row(*['---'] * 4)]
    for case in timed:
        seconds = median(case['seconds'][column])
        lines.append(_row(case['name'], MILLISECONDS.of(seconds), f'{seconds / base:.2f}' if base else NONE,
                          f'{case["facts"][column]["peak_bytes"] / 2**20:,.0f}'))
    return '\n'.join([*lines, *_absent(cases)])


def starts(section: Mapping[str, Any]) -> str:
    """Seconds from the start of a process to its second step."""
    cases = section['cases']
    columns = [column for column in (OFFICIAL, *OURS, *TORCH) if any(column in case['facts'] for case in cases)]
    lines = [_row('', *columns), _row(*['---'] * (1 + len(columns)))]
    for case in cases:
        facts = case['facts']
        lines.append(_row(case['name'], *(f'{facts[column]["seconds_to_step_2"]:.0f}' if column in facts else NONE
                                          for column in columns)))
    return '\n'.join(lines)


def memory(section: Mapping[str, Any]) -> str:
    """The most MiB that each process ever had."""
    cases = section['cases']
    columns = [column for column in (OFFICIAL, *OURS, *TORCH) if any(column in case['facts'] for case in cases)]
    lines = [_row('', *columns), _row(*['---'] * (1 + len(columns)))]
    for case in cases:
        facts = case['facts']
        lines.append(_row(case['name'], *(f'{facts[column]["peak_bytes"] / 2**20:,.0f}' if column in facts else NONE
                                          for column in columns)))
    return '\n'.join(lines)


def _per(unit: Unit) -> str:
    return 'images/s' if unit is A_SECOND else 's an image'


def _hours(case: Mapping[str, Any]) -> str:
    """The whole recipe at our fastest, where a case is a published row."""
    column = fastest(case, OURS)
    steps = case['facts'][column].get('max_steps') if column else None
    return f' ({median(case["seconds"][column]) * steps / 3600:.1f} h for {steps:,} steps)' if steps else ''


def _absent(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for case in cases:
        for column, reason in case['absent'].items():
            reasons.setdefault(reason, []).append(column)
    return ['', *(f'{", ".join(dict.fromkeys(columns))}: {reason}' for reason, columns in reasons.items())
            ] if reasons else []


def _times(value: float | None) -> str:
    return NONE if value is None else f'{value:.2f} x'


def _row(*cells: str) -> str:
    return f'| {" | ".join(cells)} |'
