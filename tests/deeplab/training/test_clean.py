"""--clean_model_dir deletes a run after a yes, and nothing else ever."""

import pytest

from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.run import resolve
from deeplab.training.clean import clean, restart
from deeplab.training.model_dir import locked


def run_folder(folder):
    recipes.write_json(Recipe(), folder / 'recipe.json')
    (folder / 'eval').mkdir()
    (folder / 'eval' / 'events').write_text('x')
    return folder


def test_a_run_is_deleted_after_a_yes(tmp_path, capsys):
    outside = tmp_path / 'precious'
    outside.mkdir()
    (outside / 'file').write_text('x')
    run = run_folder(tmp_path / 'run')
    (run / 'link').symlink_to(outside)
    clean(run, yes=True)
    assert not run.exists() and (outside / 'file').read_text() == 'x'
    assert 'deleted' in capsys.readouterr().err


@pytest.mark.parametrize(('answer', 'kept'), [('yes', False), ('no', True), ('', True)])
def test_a_terminal_is_asked(tmp_path, monkeypatch, answer, kept):
    run = run_folder(tmp_path / 'run')
    monkeypatch.setattr('sys.stdin.isatty', lambda: True, raising=False)
    questions = []
    if kept:
        with pytest.raises(ValueError, match='was kept'):
            clean(run, yes=False, ask=lambda question: questions.append(question) or answer)
    else:
        clean(run, yes=False, ask=lambda question: questions.append(question) or answer)
    assert f'{run} and the 2 files' in questions[0]
    assert run.exists() == kept


def test_without_a_terminal_or_a_yes_nothing_is_deleted(tmp_path, monkeypatch):
    run = run_folder(tmp_path / 'run')
    monkeypatch.setattr('sys.stdin.isatty', lambda: False, raising=False)
    with pytest.raises(ValueError, match='add --yes'):
        clean(run, yes=False, ask=pytest.fail)
    assert (run / 'eval' / 'events').exists()


def test_what_is_not_a_run_is_left_alone(tmp_path, monkeypatch):
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'a.jpg').write_text('x')
    with pytest.raises(ValueError, match='no recipe.json'):
        clean(folder, yes=True)
    run = run_folder(tmp_path / 'run')
    (tmp_path / 'link').symlink_to(run)
    with pytest.raises(ValueError, match='is a link'):
        clean(tmp_path / 'link', yes=True)
    monkeypatch.chdir(run / 'eval')
    with pytest.raises(ValueError, match='the current folder'):
        clean(run, yes=True)
    assert (folder / 'a.jpg').exists() and (run / 'recipe.json').exists()


def test_a_run_in_use_is_left_alone(tmp_path):
    run = run_folder(tmp_path / 'run')
    with locked(run), pytest.raises(ValueError, match='in use'):
        clean(run, yes=True)
    assert (run / 'recipe.json').exists()


def test_what_cannot_train_deletes_nothing(tmp_path):
    run = run_folder(tmp_path / 'run')
    demo = recipes.override(recipes.load('demo'), {'data.record_dir': str(tmp_path / 'nowhere')})
    with pytest.raises(ValueError, match='nowhere'):
        restart(resolve(demo), run, yes=True)
    assert (run / 'recipe.json').exists()


def test_nothing_there_is_nothing_to_clean(tmp_path):
    clean(tmp_path / 'run', yes=False, ask=pytest.fail)
    assert not (tmp_path / 'run').exists()
