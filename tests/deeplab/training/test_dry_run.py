"""What a dry run counts, against hand counts and the figures of the model zoo."""

import math

import pytest

from console.progress import duration
from datasets import row as rows
from deeplab import run
from deeplab.compat import tf
from deeplab.layers.conv import biases, conv2d, conv2d_transpose, depthwise_conv2d
from deeplab.recipes import recipe as recipes
from deeplab.training import dry_run, estimators, peak
from tests import models
from tests.conftest import python

PLAIN = {'normalizer': biases, 'activation': None, 'initializer': tf.zeros_initializer()}


@pytest.mark.parametrize(('layer', 'expected'), [
    (lambda x: conv2d(x, 5, 3, scope='a', stride=2, **PLAIN), 4 * 6 * 5 * 9 * 3),
    (lambda x: depthwise_conv2d(x, 3, scope='a', **PLAIN), 8 * 12 * 3 * 9),
    (lambda x: conv2d_transpose(x, 5, 2, scope='a', size=(16, 24), **PLAIN), 8 * 12 * 3 * 4 * 5),
    (lambda x: tf.matmul(x[0, 0], tf.zeros([3, 7])), 12 * 7 * 3)])
def test_multiply_adds_are_those_of_a_hand_count(layer, expected):
    with tf.Graph().as_default() as graph:
        layer(tf.zeros([1, 8, 12, 3]))
        assert dry_run.multiply_adds(graph) == expected


@pytest.mark.parametrize(('recipe', 'published'), [
    ('deeplabv3_mnv2_voc_os16', 2.75e9),
    pytest.param('deeplabv3plus_xception65_voc_os16', 54.17e9, marks=pytest.mark.slow)])
def test_multiply_adds_are_those_of_the_zoo(recipe, published):
    """The column Multiply-Adds of research/deeplab/g3doc/model_zoo.md."""
    assert dry_run._one_view(run.resolve(recipes.load(recipe))) == pytest.approx(published, rel=0.01)


def test_a_cost_is_measured_of_what_a_training_runs(monkeypatch):
    """By its Estimator, with its determinism, which can't be taken back, and its options of a session."""
    made, switched = [], []
    monkeypatch.setattr(estimators.tensorflow.config.experimental, 'enable_op_determinism', lambda: switched.append(1))
    monkeypatch.setattr(estimators, 'session_config', lambda *given: made.append(given) or tf.ConfigProto())
    monkeypatch.setattr(peak, 'SIDE', 64)
    tiny = models.tiny(train__batch_size=2, train__deterministic=True, train__precision='bfloat16',
                       train__data_format='channels_last', train__kernels='tensorflow')
    cost = dry_run.measure(run.resolve(tiny))
    assert 0 < cost.trainable < cost.parameters
    assert min(cost.multiply_adds, cost.step_seconds, cost.evaluation_seconds, cost.peak) > 0
    assert switched and set(made) == {('bfloat16', 'channels_last')}


def test_a_peak_is_multiply_adds_a_second_of_the_fastest_product(monkeypatch):
    seconds = iter([0.5, 0.25, 4.0, 1.0, 2.0])
    monkeypatch.setattr(peak, '_seconds', lambda *given: next(seconds))
    assert peak.peak('float32', side=8) == 8 ** 3 / 0.25


def test_the_rate_is_told_in_pixels_and_as_a_share_of_the_peak(monkeypatch):
    """20 GMAC an image, 3 times that a step, 4 images in 2 seconds: 120 GMAC/s of 480 that a product reaches."""
    monkeypatch.setattr(dry_run, 'measure', lambda run: dry_run.Cost(2, 1, 20 * 10**9, 2.0, 480e9, 1.0, 1))
    said = '\n'.join(dry_run.dry_run(run.resolve(models.tiny(train__batch_size=4, data__crop_size=(500, 1000))))[0])
    assert '2.00 s a step, 2.0 images/s, 1.00 M pixels/s' in said
    assert '240 GFLOP/s' in said and "25.0% of this machine's 960, measured by a matrix product in float32" in said


SIZE = rows.load('synthetic').splits['train'].num_images


@pytest.mark.parametrize(('records', 'changes', 'images'), [
    (True, {}, 12),  # of `raw`
    (True, {'data__limit': 5}, 5),
    (False, {}, SIZE),
    (False, {'data__limit': 5}, 5),
])
def test_an_epoch_has_the_images_at_hand_else_those_of_the_dataset(records, changes, images, request, monkeypatch):
    assert SIZE not in (12, 5)
    changes = changes | {'data__record_dir': str(request.getfixturevalue('record_dir')) if records else ''}
    lines, missing = whole_recipe(monkeypatch, train__epochs=3, train__batch_size=2, **changes)
    steps = math.ceil(3 * images / 2)
    assert lines == [(f'the whole recipe    {steps} steps: about {duration(2 * steps)} on this machine, '
                      f'without evaluations')]
    assert bool(missing) is not records


@pytest.mark.parametrize(('changes', 'steps'), [
    ({'train__epochs': 3}, None), ({'train__max_steps': 7}, 7),
    ({'train__max_steps': 7, 'schedule__unit': 'epochs'}, 7)])
def test_epochs_of_unknown_size_are_not_guessed(changes, steps, monkeypatch):
    lines, missing = whole_recipe(monkeypatch, data__train_split='mine', **changes)
    assert [line.split()[3] for line in lines] == ([str(steps)] if steps else [])
    found = [line for line in missing if 'unknown number of steps' in line]
    assert len(found) == (steps is None)
    assert all(line.startswith('the size of split mine: synthetic has no such split') for line in found)


def whole_recipe(monkeypatch, **changes):
    """The line about the whole recipe, if there is one, and what is missing; a step takes 2 seconds."""
    monkeypatch.setattr(dry_run, 'measure', lambda run: dry_run.Cost(2, 1, 1, 2.0, 1.0, 1.0, 1))
    lines, missing = dry_run.dry_run(run.resolve(models.tiny(**changes)))
    assert len(lines) >= 5
    return [line for line in lines if line.startswith('the whole recipe')], missing


def test_the_command_says_what_is_missing(tmp_path):
    found = python('train.py', '--recipe', 'enet_camvid', '--dry_run', '--record_dir', tmp_path, '--batch_size', 1,
                   '--data.crop_size', '32,32', '--init', 'catalog:resnet_v2_50', check=False)
    assert found.returncode == 2 and '363,098 trainable' in found.stdout
    missing = [line for line in found.stdout.splitlines() if line.startswith('missing: ')]
    assert [line.split(':')[1].strip() for line in missing] == ['split train', 'split test', 'init.checkpoint']
    assert '11010 steps: about' in found.stdout
