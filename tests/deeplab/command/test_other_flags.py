"""Every flag of four other systems has its effect here, on the recipe by meaning."""

import json
from pathlib import Path

import pytest

from tests.deeplab.command import others
from tests.deeplab.command.parsed import assert_seen, command, meaning

FLAGS = json.loads((Path(__file__).parent / 'other_flags.json').read_text())
EVERY = [(system, row) for system, rows in others.ROWS.items() for row in rows]


pytestmark = pytest.mark.usefixtures('tables_read_once')


@pytest.mark.parametrize(('system', 'row'), EVERY, ids=[f'{system} {row.flags[:40]}' for system, row in EVERY])
def test_a_flag_is_seen(system, row, capsys):
    main, always = others.MAINS[system]
    if str(row.seen).startswith('this is recipe'):
        _, recipe = command(main, [*always, row.flags])
        assert recipe.name == row.seen.split()[-1] and row.seen in capsys.readouterr().err
    else:
        assert_seen(row, main, always, capsys)


def test_every_flag_has_its_row():
    wanted = {(system, script): {flag.replace('-', '_') for flag in flags} for system, scripts in FLAGS.items()
              for script, flags in scripts.items() if script != 'source'}
    assert {system: {row.name for row in rows} for system, rows in others.ROWS.items()} == wanted
    assert len(EVERY) > 120


# Here the catalog has the weights, TensorBoard shows other pictures, and xlmou's data is a folder without a slash. A
# network is always named; without --epochs irvingzhang0512's steps end the run, and poly.
OTHER_DEFAULTS = {'pre_trained_model', 'tensorboard_images_max_outputs', 'save_num_images', 'data_dir', 'model_dir',
                  'snapshot_dir', 'logs_root_path', 'segmentation_model', 'epochs'}


@pytest.mark.parametrize('system', [system for system in others.MAINS if others.MAINS[system][0] == 'train'][:3],
                         ids=lambda system: system[0])
def test_a_flag_with_its_default_changes_nothing(system):
    main, always = others.MAINS[system]
    _, plain = command(main, always)
    for name, default in FLAGS[system[0]][system[1]].items():
        if name.replace('-', '_') in OTHER_DEFAULTS or default in (None, '') or type(default) is bool:
            continue
        _, recipe = command(main, [*always, f'--{name}={default}'])
        changed = {path: value for path, value in meaning(recipe).items() if value != meaning(plain)[path]}
        assert not changed, name
