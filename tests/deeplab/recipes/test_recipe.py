"""Recipes: typed overrides, helpful errors, round trips, and every row of the table."""

import json
import subprocess
import sys

import pytest

from deeplab.command import flags
from deeplab.recipes import recipe
from deeplab.recipes.schema import Recipe
from tests.paths import ROOT


@pytest.mark.parametrize(('path', 'text', 'value'), [
    ('train.max_steps', '12', 12),
    ('schedule.learning_rate', '1', 1.0),
    ('data.crop_size', '321,480', (321, 480)),
    ('data.crop_size', '[321, 480]', (321, 480)),
    ('train.max_steps', '30000.0', 30000),
    ('train.max_steps', '3e4', 30000),
    ('train.max_steps', 5.0, 5),
    ('data.flip', 'false', False),
    ('batch_norm.decay', '0.99', 0.99),
    ('batch_norm.decay', 'none', None),
    ('model.net', 'deeplabv3', 'deeplabv3'),
    ('loss.label_weights', '1, 2.5', (1.0, 2.5)),
])
def test_override_reads_strings_as_the_type_of_the_field(path, text, value):
    got = recipe.get(recipe.override(Recipe(), {path: text}), path)
    assert got == value and type(got) is type(value)


def test_override_sets_one_entry_of_a_dictionary_field():
    base = recipe.override(Recipe(), {'model.options': {'a': 1}})
    for text in ('[6, 12]', '6,12'):
        assert recipe.override(base, {'model.options.rates': text}).model.options == {'a': 1, 'rates': [6, 12]}
    assert recipe.override(base, {'model.options.name': 'a,b'}).model.options['name'] == 'a,b'
    assert base.model.options == {'a': 1}


@pytest.mark.parametrize(('path', 'value', 'message'), [
    ('train.max_step', 1, 'did you mean train.max_steps'),
    ('train.max_steps', 'many', "train.max_steps = 'many' is not a int"),
    ('train.max_steps', 1.5, 'is not a int'),
    ('train.max_steps', 'inf', 'is not a int'),
    ('data.flip', 1, 'is not a bool'),
    ('data.crop_size', '3,x', 'data.crop_size'),
    ('optimizer.name', 'adm', "optimizer.name = 'adm' is unknown; did you mean adam?"),
])
def test_override_names_path_value_and_choices(path, value, message):
    with pytest.raises(ValueError, match=message):
        recipe.override(Recipe(), {path: value})


def test_every_row_survives_json(tmp_path):
    rows = recipe.table()
    assert rows
    for row in rows.values():
        recipe.write_json(row, tmp_path / 'recipe.json')
        assert recipe.read_json(tmp_path / 'recipe.json') == row


def test_a_field_is_read_by_the_name_that_it_had(tmp_path):
    assert recipe.FORMERLY.items() >= {('data.data_dir', 'data.record_dir')}
    (tmp_path / 'recipe.json').write_text('{"name": "mine", "data": {"data_dir": "records"}}')
    (tmp_path / 'mine.toml').write_text('[rows.mine]\ndata.data_dir = "records"\n')
    expected = recipe.override(Recipe(), {'name': 'mine', 'data.record_dir': 'records'})
    assert recipe.load(str(tmp_path / 'mine.toml')) == expected
    assert recipe.read_json(tmp_path / 'recipe.json') == recipe.override(expected, recipe.BEFORE)


def test_a_field_that_is_gone_is_left_out(tmp_path, capsys):
    """A status was typed into recipes. Of a file that somebody wrote, it is said."""
    (tmp_path / 'recipe.json').write_text('{"name": "mine", "status": "ported", "train": {"batch_size": 7}}')
    (tmp_path / 'mine.toml').write_text('[rows.mine]\nstatus = "reproduced"\ntrain.batch_size = 7\n')
    expected = recipe.override(Recipe(), {'name': 'mine', 'train.batch_size': 7})
    assert recipe.read_json(tmp_path / 'recipe.json') == recipe.override(expected, recipe.BEFORE)
    assert capsys.readouterr().err == ''
    assert recipe.load(str(tmp_path / 'mine.toml')) == expected
    assert capsys.readouterr().err.startswith(f'note: {tmp_path / "mine.toml"}: status is computed')
    with pytest.raises(ValueError, match='status'):
        recipe.override(Recipe(), {'status': 'reproduced'})


def test_a_run_of_before_a_field_is_read_as_what_it_did(tmp_path):
    assert recipe.BEFORE
    for path, value in recipe.BEFORE.items():
        values = recipe.to_dict(Recipe())
        section, field = path.split('.')
        del values[section][field]
        (tmp_path / 'recipe.json').write_text(json.dumps(values))
        assert recipe.get(Recipe(), path) != value == recipe.get(recipe.read_json(tmp_path / 'recipe.json'), path)


def test_a_net_is_read_by_the_name_that_it_had(tmp_path):
    assert recipe.FORMER_VALUES
    for path, renamed in recipe.FORMER_VALUES.items():
        for old, new in renamed.items():
            section, field = path.split('.')
            (tmp_path / 'recipe.json').write_text(json.dumps({section: {field: old}}))
            (tmp_path / 'mine.toml').write_text(f'[rows.mine]\n{path} = "{old}"\n')
            for read in (recipe.read_json(tmp_path / 'recipe.json'), recipe.load(str(tmp_path / 'mine.toml')),
                         recipe.override(Recipe(), {path: old})):
                assert recipe.get(read, path) == new


def test_difference_lists_what_decides_the_weights_only():
    old = Recipe()
    new = recipe.override(old, {'train.batch_size': 8, 'data.record_dir': '/elsewhere'})
    assert recipe.difference(old, new) == ['train.batch_size: 16 -> 8']


@pytest.mark.parametrize('number, owner', enumerate(recipe.OWNERS))
def test_a_row_answers_to_the_name_that_it_had(number, owner, tmp_path, capsys):
    """And says once what it is called now."""
    recipe.current_name.cache_clear()
    names = [name for name in recipe.table() if f'_{owner}' in name]
    assert names
    for name in names:
        old = name.replace(f'_{owner}', f'_seed{number:03}')
        assert recipe.load(old) == recipe.load(old) == recipe.load(name)
        assert capsys.readouterr().err == f'note: recipe {old} is called {name} now\n'
        recorded = tmp_path / 'recipe.json'
        recipe.write_json(recipe.override(recipe.load(name), {'name': old}), recorded)
        assert recipe.read_json(recorded) == recipe.load(name)


@pytest.mark.parametrize('name', ['mine_seed{}', 'deeplabv3_resnet101_voc_473_seed{}1', 'mine'])
def test_other_names_with_a_number_stay(name, capsys):
    name = name.format('003')
    assert recipe.current_name(name) == name and not capsys.readouterr().err
    with pytest.raises(ValueError, match='is unknown'):
        recipe.load(name)


def test_a_file_with_an_unknown_choice_is_named(tmp_path):
    (tmp_path / 'x.toml').write_text('[rows.a]\nschedule.policy = "polly"\n')
    with pytest.raises(ValueError, match=r"x\.toml: schedule.policy = 'polly' is unknown; did you mean poly?"):
        recipe.table(tmp_path)
    (tmp_path / 'recipe.json').write_text('{"train": {"precision": "float64"}}')
    with pytest.raises(ValueError, match=r"recipe\.json: train.precision = 'float64' is unknown; did you mean float"):
        recipe.read_json(tmp_path / 'recipe.json')


def test_a_file_with_an_unknown_table_is_named(tmp_path):
    (tmp_path / 'x.toml').write_text('[row.a]\n')
    with pytest.raises(ValueError, match=r"x\.toml: unknown table 'row'"):
        recipe.table(tmp_path)


def test_flags_accept_dashes_short_names_and_fields():
    parser = flags.Parser('test')
    parser.add_argument('--model_dir')
    own, overrides = parser.parse(['--model-dir', 'm', '--batch-size=3', '--train.max-steps', '7', '--data.flip=false'])
    assert own.model_dir == 'm'
    assert overrides == {'train.batch_size': '3', 'train.max_steps': '7', 'data.flip': 'false'}


def test_an_unknown_flag_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as stopped:
        flags.Parser('test').parse(['--batch_sise', '3'])
    assert stopped.value.code == 2
    assert '--batch_size' in capsys.readouterr().err


def test_help_lists_every_field():
    text = flags.Parser('test').format_help()
    assert all(f'--{path}' in text for path in recipe.fields())


def test_recipes_import_no_tensorflow():
    code = ('import sys, deeplab.recipes.recipe, deeplab.command.flags, json; '
            'print(json.dumps([m for m in sys.modules]))')
    modules = json.loads(subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True,
                                        text=True).stdout)
    assert 'deeplab.recipes.recipe' in modules and 'tensorflow' not in modules


def test_evaluations_go_by_steps_or_by_the_clock_whichever_was_given():
    assert Recipe().train.eval_steps and not Recipe().train.eval_secs
    by_clock = recipe.override(Recipe(), {'train.eval_secs': '600'})
    assert (by_clock.train.eval_steps, by_clock.train.eval_secs) == (0, 600)
    assert recipe.override(by_clock, {'train.eval_steps': '1000'}) == Recipe()
    assert recipe.from_dict({'train': {'eval_secs': 600}}) == by_clock  # as runs were recorded before there were steps
    for chosen in (by_clock, Recipe()):
        assert recipe.from_dict(recipe.to_dict(chosen)) == chosen
