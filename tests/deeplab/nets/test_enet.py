"""ENet: table 1's size, its two stages, and unpooling to any size."""

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.pool import max_pool_with_indices, unpool
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from tests.deeplab import fill


def build(images, training=False, num_classes=11, **options):
    with model_scope(training):
        return NETS['enet'](images, num_classes, BACKBONES['none'], training=training, output_stride=8, **options)


def trainable():
    return {v.op.name: int(np.prod(v.shape)) for v in tf.trainable_variables()}


def test_parameters_are_the_papers():
    """0.37 M: section 1 and table 5 give them for the 19 classes of Cityscapes, and one for void."""
    with tf.Graph().as_default():
        build(tf.zeros([1, 64, 64, 3]), num_classes=20)
        assert sum(trainable().values()) / 1e6 == pytest.approx(0.37, abs=0.01)


def test_the_second_stage_starts_from_the_whole_encoder():
    names = []
    for encoder_only in (True, False):
        with tf.Graph().as_default():
            logits = build(tf.zeros([1, 64, 48, 3]), encoder_only=encoder_only).logits
            assert logits.shape.as_list() == ([1, 8, 6, 11] if encoder_only else [1, 64, 48, 11])
            names.append({name for name in trainable() if name.startswith('encoder/')})
    assert names[0] == names[1] and len(names[0]) > 200


@pytest.mark.parametrize('size', [(64, 48), (37, 51), (8, 8)])
def test_any_size_gives_logits_of_that_size(size):
    image = fill.images(*size).astype(np.float32)
    found = []
    for shape in ([None, None, None, 3], [1, *size, 3]):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, shape)
            logits = build(images).logits
            fill.fill(session, 'B')
            found.append(session.run(logits, {images: image}))
    assert found[0].shape == (1, *size, 11)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[1]).max())


@pytest.mark.parametrize('shape', [(2, 6, 4, 3), (1, 5, 7, 2)])
def test_unpooling_puts_maxima_back(shape):
    random = np.random.RandomState(0).permutation(int(np.prod(shape))).reshape(shape).astype(np.float32) + 1
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(random)
        pooled, indices = max_pool_with_indices(images)
        gradient = tf.gradients(unpool(2 * pooled, indices, images), images)[0]
        found, gradient = session.run([unpool(pooled, indices, images), gradient])
    expected = np.zeros_like(random)
    for n, i, j, c in np.ndindex(shape[0], -(-shape[1] // 2), -(-shape[2] // 2), shape[3]):
        window = random[n, 2 * i:2 * i + 2, 2 * j:2 * j + 2, c]
        row, column = np.unravel_index(window.argmax(), window.shape)
        expected[n, 2 * i + row, 2 * j + column, c] = window.max()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(gradient, 2.0 * (expected > 0))


def test_spatial_dropout_drops_channels_in_training_only():
    with tf.Graph().as_default() as graph:
        build(tf.zeros([2, 32, 32, 3]), training=True)
        masks = [op for op in graph.get_operations() if op.type == 'StatelessRandomUniformV2']
        assert len(masks) == 27  # a bottleneck each of stages 1 to 5: 5 + 9 + 8 + 3 + 2
        with tf.Session() as session:
            assert session.run(masks[0].inputs[0]).tolist()[1:3] == [1, 1]
    with tf.Graph().as_default() as graph:
        build(tf.zeros([2, 32, 32, 3]))
        assert not [op for op in graph.get_operations() if 'Random' in op.type]
