"""What a dry run counts, against hand counts and the figures of the model zoo."""

import pytest

from deeplab import dry_run, run
from deeplab import recipe as recipes
from deeplab.compat import tf
from deeplab.layers.conv import biases, conv2d, conv2d_transpose, depthwise_conv2d
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


def test_a_cost_is_measured():
    cost = dry_run.measure(run.resolve(models.tiny(train__batch_size=2)))
    assert 0 < cost.trainable < cost.parameters
    assert min(cost.multiply_adds, cost.step_seconds, cost.evaluation_seconds) > 0


def test_the_command_says_what_is_missing(tmp_path):
    found = python('train.py', '--recipe', 'enet_camvid', '--dry_run', '--data_dir', tmp_path, '--batch_size', 1,
                   '--data.crop_size', '32,32', '--init', 'catalog:resnet_v2_50', check=False)
    assert found.returncode == 2 and '363,098 trainable' in found.stdout
    missing = [line for line in found.stdout.splitlines() if line.startswith('missing: ')]
    assert [line.split(':')[1].strip() for line in missing] == ['split train', 'split test', 'init.checkpoint']
    assert '11010 steps: about' in found.stdout
