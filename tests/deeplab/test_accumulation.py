"""A step of several batches, one after the other: the weights of one large batch, the memory of a small one."""

import dataclasses

import numpy as np
import pytest
from tensorflow.python.client import timeline

from deeplab import model_fn, run
from deeplab.compat import slim, tf
from deeplab.layers.conv import batch_norm, biases, conv2d, dropout
from deeplab.nets.net import Net, Outputs
from tests.deeplab import fill
from tests.models import tiny

SIDE = 17
IMAGES = np.random.RandomState(0).uniform(0, 255, (8, SIDE, SIDE, 3)).astype(np.float32)
LABELS = np.random.RandomState(1).randint(0, 4, (8, SIDE, SIDE)).astype(np.int32)
FROZEN = {'batch_norm__mode': 'freeze_statistics'}


def net(images, num_classes, backbone, *, training, dropout_rate=0.0, **_):
    """A small one, so that steps cost nothing."""
    features = images / 255
    with slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-3), \
            slim.arg_scope([conv2d], initializer=tf.zeros_initializer()):
        for index in range(6):
            features = conv2d(features, 8, 3, scope=f'conv{index}')
        features = dropout(features, dropout_rate, training=training, scope='dropout')
        return Outputs(conv2d(features, num_classes, 1, scope='logits', normalizer=biases, activation=None), {})


def step_of(batch, count, labels=LABELS, images=IMAGES, size=SIDE, trace=False, options=None, **changes):
    """({variable: value after a step on `batch` x `count` images}, loss), or with `trace` the bytes at the peak."""
    chosen = run.resolve(tiny(train__batch_size=batch, train__accumulate_steps=count, optimizer__name='sgd',
                              schedule__learning_rate=0.1, data__crop_size=(size, size), **changes))
    chosen = dataclasses.replace(chosen, net=Net(net), net_options=options or {})
    number = batch * count
    images = np.resize(images, (number, size, size, 3))
    with tf.Graph().as_default(), tf.Session() as session:
        features = {'image': tf.constant(images), 'filename': tf.constant(['a'] * number),
                    'number': tf.range(number, dtype=tf.int64)}
        spec = model_fn.model_fn(features, tf.constant(np.resize(labels, (number, size, size))),
                                 model_fn.MODES.TRAIN, {'run': chosen})
        session.run(tf.global_variables_initializer())
        fill.fill(session)
        metadata = tf.RunMetadata()
        level = tf.RunOptions.FULL_TRACE if trace else tf.RunOptions.NO_TRACE
        loss, _ = session.run([spec.loss, spec.train_op], options=tf.RunOptions(trace_level=level),
                              run_metadata=metadata)
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
    if not trace:
        return values, loss
    analysis = timeline.Timeline(metadata.step_stats).analyze_step_stats(show_memory=True)
    return sum(maximum.num_bytes for maximum in analysis.allocator_maximums.values())


def assert_close(found, expected):
    assert found.keys() == expected.keys() and found['global_step'] == 1
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_batches_of_a_step_give_the_weights_of_one_large_batch():
    large, loss = step_of(4, 1, **FROZEN)
    small, mean_loss = step_of(2, 2, **FROZEN)
    np.testing.assert_allclose(mean_loss, loss, rtol=1e-5)
    assert_close(small, large)


def test_each_batch_counts_as_much_as_a_replica_would_whatever_is_ignored():
    """With SGD the step of two batches is the mean of the steps of each."""
    labels = LABELS.copy()
    labels[0, 5:] = 255
    both, loss = step_of(1, 2, labels, **FROZEN)
    first, second = (step_of(1, 1, labels[i:i + 1], IMAGES[i:i + 1], **FROZEN) for i in range(2))
    assert first[1] != second[1]
    np.testing.assert_allclose(loss, (first[1] + second[1]) / 2, rtol=1e-5)
    assert_close(both, {name: (value + second[0][name]) / 2 for name, value in first[0].items()})


def test_batch_norm_updates_its_averages_once_a_batch():
    name = 'conv0/BatchNorm/moving_mean'
    start = fill.value(name, [8])
    first, both = (step_of(2, count)[0][name] for count in (1, 2))
    statistics = (first - 0.9 * start) / 0.1
    second = (both - 0.9 * first) / 0.1
    # The second batch has other images, but of the same distribution.
    assert not np.allclose(both, first, rtol=1e-4) and not np.allclose(second, statistics, rtol=1e-4)
    np.testing.assert_allclose(second, statistics, rtol=0.2, atol=0.05)


def test_the_batches_of_a_step_have_dropout_masks_of_their_own():
    """Frozen, with the same image four times: the losses of the batches differ by their masks alone."""
    options = {'options': {'dropout_rate': 0.5}, **FROZEN}
    once, twice = (step_of(1, count, **options)[1] for count in (1, 2))
    again = step_of(1, 2, **options)[1]
    assert once != twice and again == twice


def test_the_memory_is_that_of_one_batch():
    large, small, one = (step_of(batch, count, trace=True, size=129) for batch, count in ((8, 1), (2, 4), (2, 1)))
    assert one > 0 and small < 0.6 * large, (one, small, large)


def test_a_step_without_batches_is_refused():
    with pytest.raises(ValueError, match='train.accumulate_steps = 0'):
        run.resolve(tiny(train__accumulate_steps=0))
