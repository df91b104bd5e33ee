"""Contenders in processes of their own, asked in turn."""

import sys

import pytest

from benchmarks import rounds
from benchmarks.rounds import Call, Case


def call(name, file, parameters=7, **fields):
    return Call(sys.executable, 'tests.benchmarks.contender', 'steady',
                {'name': name, 'file': str(file), 'parameters': parameters} | fields)


def test_they_are_asked_in_turn_and_what_is_skipped_is_not_timed(tmp_path):
    (tmp_path / 'logs').mkdir()
    file, said = tmp_path / 'asked', []
    contenders = {'a': call('a', file, seconds=0.005), 'b': call('b', file),
                  'absent': 'it was not given', 'broken': Call(sys.executable, 'tests.benchmarks.contender', 'broken')}
    found = rounds.run(Case('a net', contenders, rounds=2, count=2, skip=100), tmp_path / 'logs', said.append)
    started = ['a0 a1 a0 a1', 'b0 b1 b0 b1']
    assert file.read_text().split() == ' '.join([*started, *['a100 a2 b100 b2'] * 2]).split()
    assert set(found['seconds']) == {'a', 'b'} and len(found['seconds']['a']) == 2
    # Of one step: the skipped ones alone take half a second.
    assert all(0.005 <= seconds < 0.25 for seconds in found['seconds']['a'])
    assert found['absent'] == {'absent': 'it was not given', 'broken': 'failed: ValueError: no such net'}
    assert found['facts']['a']['parameters'] == 7 and found['facts']['a']['peak_bytes'] > 2**20
    assert found['facts']['a']['seconds_to_step_2'] >= 0
    assert len(said) == 3 + 2  # who starts, and each round


def test_nets_of_other_sizes_are_not_compared(tmp_path):
    (tmp_path / 'logs').mkdir()
    contenders = {'a': call('a', tmp_path / 'asked'), 'b': call('b', tmp_path / 'asked', 8)}
    with pytest.raises(ValueError, match=r"a net: .* parameters: {'a': 7, 'b': 8}"):
        rounds.run(Case('a net', contenders, rounds=1, count=1), tmp_path / 'logs', lambda line: None)


def test_a_ratio_compares_the_turns_of_a_round():
    # The second round was disturbed: both took three times as long.
    assert rounds.ratio([2.0, 6.0, 2.2], [1.0, 3.0, 1.1]) == 2.0
    # The ratio of the medians would be 3.
    assert rounds.ratio([3.0, 3.0, 8.0], [1.0, 2.0, 1.0]) == 3.0
    assert rounds.ratio([4.0, 1.0, 9.0], [2.0, 1.0, 3.0]) == 2.0


@pytest.mark.parametrize(('step', 'seconds', 'count'), [(0.5, 2.0, 4), (7.0, 2.0, 1), (1e-4, 2.0, 100)])
def test_a_round_takes_about_as_long_as_it_should(step, seconds, count):
    assert rounds.fitting(step, seconds) == count
