"""Checkpoints by their catalog name."""

import json

import pytest

from pretrained import catalog, released


def test_a_fetched_checkpoint_is_found_by_name(tmp_path):
    (tmp_path / 'resnet_v2_50').mkdir()
    (tmp_path / 'resnet_v2_50/model.ckpt.index').touch()
    (tmp_path / 'resnet_v2_50.json').write_text(json.dumps({'checkpoint': 'model.ckpt'}))
    assert released.locate('catalog:resnet_v2_50', tmp_path) == str(tmp_path / 'resnet_v2_50/model.ckpt')
    assert released.locate(tmp_path / 'resnet_v2_50/model.ckpt.index') == str(tmp_path / 'resnet_v2_50/model.ckpt')


@pytest.mark.parametrize(('source', 'message'), [
    ('catalog:resnet_v2_101', 'run `python -m pretrained.fetch resnet_v2_101`, or give the path'),
    ('catalog:resnet_v2_102', "'resnet_v2_102' is unknown; did you mean resnet_v2_1"),
    ('nowhere/model.ckpt', 'there is no checkpoint nowhere/model.ckpt')])
def test_what_is_not_there_is_said_with_the_next_step(tmp_path, source, message):
    with pytest.raises(ValueError, match=message):
        released.locate(source, tmp_path)


def test_a_published_row_knows_its_checkpoint():
    rows = {figure.recipe: name for name, entry in catalog.load().items() for figure in entry.figures if figure.recipe}
    assert len(rows) > 20
    assert {row: released.measured_by(row) for row in rows} == {row: f'catalog:{name}' for row, name in rows.items()}
    assert released.measured_by('deeplabv3plus_mnv2_camvid') is None
