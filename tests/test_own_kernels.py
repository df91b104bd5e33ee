"""train.py by kernels of our own, as users run it: killed and resumed, on two devices, evaluated, exported."""

import json
import os

import pytest

from deeplab.compat import tf
from tests.conftest import python
from tests.kernels import needed
from tests.test_training import STEPS, assert_same_weights, start, tensors, train, wait_for

pytestmark = [pytest.mark.slow, needed]
OWN = ('--precision', 'bfloat16')


@pytest.fixture(scope='module')
def uninterrupted(record_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp('own_kernels')
    said = train(record_dir, model_dir, *OWN).stderr
    assert 'kernels: our own batch norm, features in bfloat16' in said
    return model_dir


def test_a_killed_run_ends_in_the_same_weights(record_dir, uninterrupted, tmp_path):
    with start(record_dir, tmp_path, *OWN) as process:
        wait_for(process, f'step {STEPS // 2 + 2}/')
        process.kill()
    assert tensors(tmp_path)['global_step'] < STEPS
    train(record_dir, tmp_path, *OWN)
    assert_same_weights(tensors(uninterrupted), tensors(tmp_path))


@pytest.mark.parametrize('more', [
    ('--devices', 'cpu:0,cpu:1', '--batch_size', '2'), ('--batch_size', '2', '--train.accumulate_steps', '2')],
    ids=['two_devices', 'two_batches'])
def test_so_does_one_of_several_devices_or_batches(record_dir, tmp_path, more):
    more = [*OWN, *more, '--max_steps', '10']
    train(record_dir, tmp_path / 'whole', *more)
    with start(record_dir, tmp_path / 'killed', *more) as process:
        wait_for(process, 'step 7/')
        process.kill()
    train(record_dir, tmp_path / 'killed', *more)
    assert_same_weights(tensors(tmp_path / 'whole'), tensors(tmp_path / 'killed'))


def test_they_are_recorded_and_others_refused(record_dir, uninterrupted, tmp_path):
    assert json.loads((uninterrupted / 'recipe.json').read_text())['train']['kernels'] == 'own'
    for changed in (('--train.kernels', 'tensorflow'), ()):
        # Without a compiler auto is TensorFlow's.
        done = train(record_dir, uninterrupted, *OWN, *changed, check=False,
                     env=os.environ | ({} if changed else {'CXX': str(tmp_path / 'none')}))
        assert done.returncode and "train.kernels: 'own' -> 'tensorflow'" in done.stderr


def test_an_exported_model_has_tensorflows_operations_alone(uninterrupted, tmp_path):
    python('export_model.py', '--model_dir', uninterrupted, '--export_dir', tmp_path / 'exported')
    with tf.Graph().as_default() as graph, tf.Session() as session:
        folder = next((tmp_path / 'exported').rglob('saved_model.pb')).parent
        tf.saved_model.loader.load(session, ['serve'], str(folder))
        kinds = {op.type for op in graph.get_operations()}
    assert 'Conv2D' in kinds and not [kind for kind in kinds if kind.startswith('Deeplab')]
