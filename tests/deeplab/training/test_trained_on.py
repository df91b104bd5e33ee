"""What a run recorded of its training data, and what a restart makes of others."""

import json

import numpy as np
import pytest

from datasets.input.index import RecordIndex
from deeplab import run
from deeplab.training import trained_on
from tests import models

MANIFEST = {'list_sha256': 'a' * 64, 'class_pixels': [3, 4], 'ignored_pixels': 1}


@pytest.fixture
def described(tmp_path):
    """(counts of the shards' records, manifest, replicas) -> what is recorded of them."""
    chosen = run.resolve(models.tiny(train__batch_size=4, train__accumulate_steps=3))

    def describe(counts=(5, 5), manifest=None, replicas=1, folder='records'):
        (tmp_path / folder).mkdir(exist_ok=True)
        files = [tmp_path / folder / f'{number}-of-{len(counts)}' for number in range(len(counts))]
        for file, count in zip(files, counts, strict=True):
            file.write_bytes(b'.' * 10 * count)
        index = RecordIndex(tuple(map(str, files)), tuple(np.arange(count) for count in counts), manifest)
        return trained_on.describe(chosen, index, replicas)
    return describe


@pytest.fixture
def model_dir(tmp_path):
    models.save({'global_step': np.int64(7)}, tmp_path / 'run/model.ckpt-7')
    return tmp_path / 'run'


def begun(folder, data):
    """The run's records are those that it began with."""
    (folder / trained_on.RECORD).write_text(json.dumps([{'from_step': 0, **data}]))


def test_images_per_step_are_those_of_all_replicas_and_batches(described):
    found = described(replicas=2)
    assert (found['replicas'], found['images_per_step'], found['num_examples']) == (2, 4 * 3 * 2, 10)


@pytest.mark.parametrize(('manifest', 'other', 'message'), [
    (MANIFEST, {'manifest': MANIFEST | {'list_sha256': 'b' * 64}}, f'list_sha256: {"a" * 64} -> {"b" * 64}'),
    (MANIFEST, {'manifest': MANIFEST | {'class_pixels': [4, 3]}}, r'class_pixels: \[3, 4\] -> \[4, 3\]'),
    (MANIFEST, {'manifest': MANIFEST | {'ignored_pixels': 0}}, 'ignored_pixels: 1 -> 0'),
    (MANIFEST, {'manifest': MANIFEST, 'counts': (5, 4)}, 'num_examples: 10 -> 9'),
    (MANIFEST, {'manifest': MANIFEST, 'replicas': 2}, 'replicas: 1 -> 2\n  images_per_step: 12 -> 24'),
    (None, {'counts': (4, 6)}, 'shards: 50 bytes of 5 records, 50 .* -> 40 bytes of 4 records, 60 bytes of 6 records'),
    (None, {'manifest': MANIFEST, 'counts': (2,) * 5}, r'.*-> (20 bytes of 2 records, ){4}\.\.\.'),
])
def test_other_training_data_are_refused_with_the_difference(described, model_dir, manifest, other, message):
    first, second = described(manifest=manifest), described(**other)
    begun(model_dir, first)
    with pytest.raises(ValueError, match=f'other data:\n  {message}\n(?s:.*)--allow_recipe_change to go on'):
        trained_on.refuse_others(model_dir, second, allow_change=False)
    trained_on.refuse_others(model_dir, second, allow_change=True)
    trained_on.keep(model_dir, second)
    assert trained_on.of(str(model_dir / 'model.ckpt-7'), 7) == ({'from_step': 0, **first},)
    assert trained_on.of(str(model_dir / 'best/model.ckpt-9'), 9) == ({'from_step': 0, **first},
                                                                      {'from_step': 7, **second})


@pytest.mark.parametrize(('manifest', 'other'), [
    (MANIFEST, {'manifest': MANIFEST, 'folder': 'elsewhere'}), (MANIFEST, {'manifest': MANIFEST, 'counts': (3, 3, 4)}),
    (None, {'folder': 'elsewhere'}), (None, {'manifest': MANIFEST})])
def test_records_may_lie_elsewhere_and_those_of_a_list_in_other_shards(described, model_dir, manifest, other):
    begun(model_dir, described(manifest=manifest))
    before = (model_dir / trained_on.RECORD).read_bytes()
    trained_on.refuse_others(model_dir, described(**other), allow_change=False)
    trained_on.keep(model_dir, described(**other))
    assert (model_dir / trained_on.RECORD).read_bytes() == before


def test_a_run_of_before_records_its_data_from_where_it_goes_on(described, model_dir, capsys):
    data = described(manifest=MANIFEST)
    trained_on.refuse_others(model_dir, data, allow_change=False)
    trained_on.keep(model_dir, data)
    assert 'does not tell what it was trained on until step 7' in capsys.readouterr().err
    assert trained_on.of(str(model_dir / 'model.ckpt-7'), 7) == ()
    assert [each['from_step'] for each in trained_on.of(str(model_dir / 'model.ckpt-8'), 8)] == [7]


def test_a_new_run_records_its_data_from_the_start(described, tmp_path, capsys):
    trained_on.keep(tmp_path, described(manifest=MANIFEST))
    assert [each['from_step'] for each in trained_on.of(str(tmp_path / 'model.ckpt-1'), 1)] == [0]
    assert trained_on.of('/nowhere/model.ckpt', None) == () and not capsys.readouterr().err


def test_data_with_which_no_step_was_trained_are_forgotten(described, model_dir):
    begun(model_dir, described())
    for counts in ((1, 2), (3, 4)):
        trained_on.keep(model_dir, described(counts))
    assert [each['num_examples'] for each in trained_on.of(str(model_dir / 'model.ckpt-9'), 9)] == [10, 7]
