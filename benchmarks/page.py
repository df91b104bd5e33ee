"""Writes docs/performance.md from benchmarks/performance.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.machine import warning
from benchmarks.sections import SECTIONS
from console.checkout import required
from console.files import write_whole

TIMES = Path(__file__).with_name('performance.json')
PROSE = Path(__file__).with_name('performance.md')
MARK = '<!-- {} -->'


def read() -> dict[str, Any]:
    """The timed sections, {name: what was timed}; empty before the first run."""
    return json.loads(TIMES.read_text(encoding='utf8')) if TIMES.exists() else {}


def write() -> None:
    write_whole(required() / 'docs' / 'performance.md', render(read()))


def render(sections: Mapping[str, Any]) -> str:
    """The prose, with a table in place of every mark."""
    text = PROSE.read_text(encoding='utf8')
    for mark, table in _tables(sections):
        assert MARK.format(mark) in text, mark
        text = text.replace(MARK.format(mark), table)
    return text


def _tables(sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield 'aims', report.aims(sections)
    for name in SECTIONS:
        section = sections.get(name)
        yield name, f'{report.table(name, section)}\n\n{_taken(section)}' if section else 'Not timed yet.'
    training = sections.get('training')
    yield 'starts', report.starts(training) if training else 'Not timed yet.'
    yield 'memory', report.memory(training) if training else 'Not timed yet.'


def _taken(section: Mapping[str, Any]) -> str:
    """On what, at which commit, with which versions."""
    machine = section['machine']
    versions = {package: version for case in section['cases'] for facts in case['facts'].values()
                for package, version in facts['versions'].items()}
    kernels = sorted({facts['kernels'] for case in section['cases'] for column, facts in case['facts'].items()
                      if column.endswith('bfloat16') and 'kernels' in facts})
    commit = (section['commit'] or 'no commit')[:10] + (', with changes' if section['dirty'] else '')
    parts = [
        f'{section["date"]}, commit {commit}; {machine["cpu"]}, {machine["cores"]} cores, {machine["memory_gib"]} GiB',
        f'with {", ".join(machine["flags"])}' if machine['flags'] else '',
        ', '.join(f'{package} {version}' for package, version in sorted(versions.items())),
        f'images: {section["images"]}', f'kernels in bfloat16: {", ".join(kernels)}' if kernels else '',
        warning(section['load'])]
    return f'*{"; ".join(part for part in parts if part)}.*'
