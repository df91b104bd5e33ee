"""Tables of times, and the page that has them."""

import json

import pytest

from benchmarks import machine, page, report
from benchmarks.sections import LOADERS, OFFICIAL, OURS, SECTIONS, TORCH, Setup
from tests.paths import ROOT

WHY = 'no interpreter with torch was given'
NET = 'a net'


def case(seconds, absent=None, name=NET, **facts):
    shared = {'parameters': 1, 'seconds_to_step_2': 9.4, 'peak_bytes': 3 * 2**20, 'versions': {'tensorflow': '2.15.1'}}
    return {'name': name, 'seconds': seconds, 'absent': absent or {}, 'facts': {
        column: shared | facts | ({'kernels': 'own'} if column == OURS[1] else {}) for column in seconds}}


def section(*cases):
    return {'commit': '0123456789abcdef', 'dirty': False, 'load': 0.1, 'date': '2026-01-01', 'images': 'drawn',
            'minutes': 1.0, 'cases': list(cases), 'machine': {
                'cpu': 'A CPU', 'cores': 2, 'flags': ['amx_bf16'], 'memory_gib': 23, 'system': 'x', 'python': '3'}}


ALL = case({OFFICIAL: [1.0, 1.2, 1.1], OURS[0]: [0.9, 0.9, 0.9], OURS[1]: [0.5, 0.5, 0.5], TORCH[0]: [0.8] * 3,
            TORCH[1]: [0.6] * 3})


def test_a_row_has_medians_and_the_ratios_of_the_faster_precisions():
    lines = report.table('training', section(ALL)).splitlines()
    assert lines[0] == ('|  | official | ours float32 | ours bfloat16 | torch float32 | torch bfloat16 '
                        '| ours / official | ours / torch |')
    assert lines[2:] == [f'| {NET} | 1,100 | 900 | 500 | 800 | 600 | 2.20 x | 1.20 x |']


def test_the_columns_of_absent_peers_say_so():
    alone = case({OURS[0]: [0.9], OURS[1]: [0.5]}, dict.fromkeys(TORCH, WHY) | {OFFICIAL: 'failed: it ended'})
    text = report.table('training', section(alone))
    assert f'| {NET} | - | 900 | 500 | - | - | - | - |' in text
    assert text.endswith(f'torch float32, torch bfloat16: {WHY}\nofficial: failed: it ended')
    assert '| 2.0 x official | - | not measured |' in report.aims({'training': section(alone)})


def test_every_peer_may_be_absent_from_every_section():
    setup = Setup('', '', 'records', 'pictures', 'checkpoint')
    assert set(SECTIONS) == set(report.TITLES)
    for name, cases in SECTIONS.items():
        found = [case({column: [0.5] for column, call in each.contenders.items() if not isinstance(call, str)},
                      {column: call for column, call in each.contenders.items() if isinstance(call, str)}, each.name)
                 for each in cases(setup)]
        text = report.table(name, section(*found))
        assert all(each['name'] in text for each in found) and found
        assert all(set(each['seconds']) <= {*OURS, 'ours'} for each in found)


def test_aims_hold_or_say_by_how_much_not():
    lines = report.aims({'training': section(ALL)}).splitlines()[2:]
    assert lines == [f'| {NET} | 2.0 x official | 2.20 x | yes |',
                     f'| {NET} | 1.3 x torch | 1.20 x | no: 8 % too slow |']
    rows = report.aims({'rows': section(case({OURS[0]: [0.8], OURS[1]: [0.7]}, name='ENet encoder'),
                                        case({OURS[0]: [7.1], OURS[1]: [7.2]}, name='dense30k36'))}).splitlines()[2:]
    assert rows == ['| ENet encoder | at most 0.71 s | 0.70 s | yes |',
                    '| dense30k36 | at most 3.55 s | 7.10 s | no: 50 % too slow |']


def test_units_are_those_of_the_section():
    evaluated = section(case({OURS[0]: [0.05]}, name='one scale, 513'), case({OURS[0]: [1.1]}, name='six'))
    assert '| one scale, 513 (images/s) | 20.0 |' in report.table('evaluation', evaluated)
    assert '| six (s an image) | 1.10 |' in report.table('evaluation', evaluated)
    read = case({'ours': [1 / 160], LOADERS[1]: [1 / 200]})
    assert f'| {NET} | 160.0 | 200.0 | 0.80 x |' in report.table('input', section(read))
    assert '| ENet (2.0 h for 7,200 steps) | 1.00 |' in report.table(
        'rows', section(case({OURS[0]: [1.0]}, name='ENet', max_steps=7200)))
    grown = section(case({OURS[1]: [0.2]}, name=report.BASE_CASE), case({OURS[1]: [0.5]}, name='crop 385'))
    assert '| crop 385 | 500 | 2.50 | 3 |' in report.table('growth', grown)


def test_a_page_says_on_what_each_part_was_taken():
    text = page.render({'training': section(ALL)})
    assert ('*2026-01-01, commit 0123456789; A CPU, 2 cores, 23 GiB; with amx_bf16; tensorflow 2.15.1; images: drawn; '
            'kernels in bfloat16: own.*') in text
    assert text.count('Not timed yet.') == len(SECTIONS) - 1 and '<!--' not in text
    busy = section(ALL) | {'load': 3.0, 'dirty': True}
    assert 'commit 0123456789, with changes; ' in page.render({'training': busy})
    assert machine.warning(3.0) in page.render({'training': busy}) and 'busy' in machine.warning(3.0)


def test_the_committed_page_has_the_committed_times():
    """Otherwise run `python -m benchmarks.performance --page`."""
    assert (ROOT / 'docs' / 'performance.md').read_text(encoding='utf8') == page.render(page.read())


def test_a_part_that_is_timed_replaces_that_part_alone(tmp_path, monkeypatch):
    from benchmarks import performance
    monkeypatch.setattr(page, 'TIMES', tmp_path / 'times.json')
    old = {'input': section(), 'training': section(ALL)}
    page.TIMES.write_text(json.dumps(old))
    performance._keep('input', section(case({'ours': [1.0]})))
    found = page.read()
    assert list(found) == ['training', 'input'] and found['training'] == old['training']
    assert found['input']['cases'] and page.TIMES.exists()


def test_this_machine_is_described():
    found = machine.machine()
    assert found['cores'] >= 1 and found['cpu'] and set(found['flags']) <= set(machine.FLAGS)
    assert machine.state()['load'] >= 0 and not machine.warning(0.0)


@pytest.mark.parametrize('aim', report.AIMS, ids=str)
def test_aims_name_what_is_timed(aim):
    cases = SECTIONS[aim.section](Setup('a', 'b', 'records', 'pictures', 'checkpoint'))
    assert aim.case in ('', *(each.name for each in cases)) and bool(aim.peers) != bool(aim.seconds)
    assert all(set(aim.peers) <= set(each.contenders) for each in cases)
