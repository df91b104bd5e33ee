"""The catalog: every entry, and faults of it named."""

import re

import pytest

from pretrained import catalog
from tests.paths import ROOT

ROW = {'source': 'a', 'url': 'http://x/a.tgz', 'scope': 's', 'trained_on': 't'}


def test_every_entry_is_complete_and_has_a_file_of_its_own():
    entries = catalog.load()
    assert len(entries) > 30
    assert len({entry.url for entry in entries.values()}) == len({entry.archive for entry in entries.values()})
    assert len({entry.url for entry in entries.values()}) == len(entries)
    for entry in entries.values():
        assert entry.scope and entry.trained_on and entry.source.licence
        assert entry.archive.endswith(('.tar.gz', '.tgz'))
        for figure in entry.figures:
            scores = [figure.mean_iou, figure.pixel_accuracy, figure.top_1, figure.top_5]
            assert any(score is not None for score in scores)
            assert all(1 < score < 100 for score in scores if score is not None)


def test_what_is_verified_names_a_page_at_a_commit():
    sources = {entry.source for entry in catalog.load().values()}
    assert sources
    for source in sources:
        assert not source.verified or re.search('/blob/[0-9a-f]{40}/', source.page)


def test_weights_are_ignored_by_git():
    assert '/pretrained/weights/' in (ROOT / '.gitignore').read_text().split()


def written(path, **changes):
    row = {**ROW, **changes}
    lines = ['[sources.a]', 'page = "p"', 'licence = "l"', 'verified = true', '[checkpoints.one]']
    path.write_text('\n'.join(lines + [f'{key} = {value!r}' for key, value in row.items() if value is not None]))
    return path


def test_an_entry_is_read(tmp_path):
    entry = catalog.load(written(tmp_path / 'c.toml'))['one']
    assert (entry.name, entry.archive, entry.source.page) == ('one', 'a.tgz', 'p')


@pytest.mark.parametrize(('changes', 'message'), [
    ({'sorce': 'a'}, "unknown key of one 'sorce'; did you mean source"),
    ({'source': 'b'}, "one: source = 'b' is unknown; choices: a"),
    ({'scope': None}, 'one: .*scope'),
    ({'url': 'file:///etc/passwd'}, 'one: url .* is not http'),
    ({'url': 'http://x/'}, "one: '' is not a plain file name"),
    ({'url': 'http://x/..'}, "one: '..' is not a plain file name"),
    ({'sha256': 'abc'}, 'one: sha256'),
])
def test_a_faulty_entry_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=f'c.toml: {message}'):
        catalog.load(written(tmp_path / 'c.toml', **changes))
