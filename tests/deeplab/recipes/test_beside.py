"""Where the recipe of a checkpoint that is given by its path is found."""

import pytest

from deeplab.recipes import beside


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / 'run'
    for name in ('best', 'best.until-step-7', 'average', 'other'):
        (folder / name).mkdir(parents=True)
    (folder / 'recipe.json').write_text('{}')
    return folder


@pytest.mark.parametrize('path', ['', 'model.ckpt-7', 'model.ckpt-7.index', 'best', 'best/model.ckpt-3',
                                  'best.until-step-7/model.ckpt-3', 'average/model.ckpt-7-mean-2'])
def test_the_recipe_is_that_of_the_run_that_holds_the_checkpoint(run, path, monkeypatch):
    assert beside.find(str(run / path)) == run / 'recipe.json'
    monkeypatch.chdir(run.parent)
    assert beside.find(f'run/{path}') == run / 'recipe.json'
    monkeypatch.chdir(run)
    assert beside.find(f'./{path}') == run / 'recipe.json'


@pytest.mark.parametrize('path', ['other/model.ckpt-3', '../model.ckpt-3', 'nowhere/model.ckpt-3'])
def test_a_checkpoint_that_lies_elsewhere_has_none(run, path):
    assert beside.find(str(run / path)) is None


@pytest.mark.parametrize('choice', ['latest', 'best', 'all', 'average:2', 'catalog:name'])
def test_a_word_for_a_checkpoint_is_no_path_of_the_current_folder(run, choice, monkeypatch):
    monkeypatch.chdir(run)
    assert beside.find(choice) is None
