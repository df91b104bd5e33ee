"""Commit and docs are a checkout's; an installation has neither, wherever it stands."""

import subprocess

import pytest

from console import checkout
from datasets import docs
from deeplab.command import migration
from tests.paths import ROOT


def repository(folder):
    """A git repository with one commit, of the one file that marks a checkout."""
    (folder / 'pyproject.toml').touch()
    for arguments in (['init', '-q'], ['add', '.'],
                      ['-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-q', '-m', 'one']):
        subprocess.run(['git', '-C', str(folder), *arguments], check=True)
    return folder


def test_these_tests_run_in_a_checkout():
    assert ROOT == checkout.ROOT == checkout.required()


def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, 'ROOT', repository(tmp_path))
    assert len(checkout.git()['commit']) == 40 and checkout.git()['dirty'] is False
    (tmp_path / 'records').mkdir()
    (tmp_path / 'records' / 'of_a_user').touch()
    (tmp_path / 'mine.toml').touch()
    assert checkout.git()['dirty'] is False  # what somebody's work leaves beside the code isn't a change of it
    (tmp_path / 'pyproject.toml').write_text('changed')
    assert checkout.git()['dirty'] is True
    subprocess.run(['git', '-C', str(tmp_path), 'add', 'pyproject.toml'], check=True)
    assert checkout.git()['dirty'] is True


def test_the_repository_around_an_unpacked_archive_is_not_asked(tmp_path, monkeypatch):
    inner = repository(tmp_path) / 'unpacked'
    inner.mkdir()
    monkeypatch.setattr(checkout, 'ROOT', inner)
    assert checkout.git() == {'commit': None, 'dirty': None}


def test_an_installation_has_no_commit_and_no_docs(monkeypatch):
    monkeypatch.setattr(checkout, 'ROOT', None)
    assert checkout.git() == {'commit': None, 'dirty': None}
    with pytest.raises(ValueError, match='run this in a checkout'):
        checkout.required()


def test_what_an_installation_fetches_goes_to_the_cache_of_its_user(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert checkout.cache('weights') == tmp_path / 'deeplab' / 'weights'
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert checkout.cache('weights') == tmp_path / 'home' / '.cache' / 'deeplab' / 'weights'


@pytest.mark.parametrize('module', [docs, migration])
def test_a_page_is_written_in_a_checkout_only(module, monkeypatch, tmp_path):
    monkeypatch.setattr(checkout, 'ROOT', None)
    monkeypatch.setattr(module, 'PAGE', tmp_path / 'page.md')
    with pytest.raises(ValueError, match='run this in a checkout'):
        module.main([])
    assert not list(tmp_path.iterdir())
