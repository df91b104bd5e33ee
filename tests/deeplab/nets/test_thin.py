"""What PSPNet, GCN, ICNet and FC-DenseNet have in common: any size, the mode, every head and every gradient."""

import math

import numpy as np
import pytest

from deeplab.compat import tf
from tests.deeplab import fill
from tests.deeplab.thin import NUM_CLASSES, THIN, build

LOGITS_STRIDE = {'fc_densenet': 1, 'gcn': 1, 'icnet': 4, 'pspnet': 8}
HEADS = {'fc_densenet': {}, 'gcn': {}, 'icnet': {'stride_16': 0.16, 'stride_8': 0.4}, 'pspnet': {'auxiliary': 0.4}}


def test_every_thin_net_is_described():
    assert set(THIN) == set(LOGITS_STRIDE) == set(HEADS) != set()


@pytest.mark.parametrize('net', THIN)
def test_any_size_gives_the_same_logits_in_a_graph_of_unknown_size(net):
    with tf.Graph().as_default(), tf.Session() as session:
        unknown = tf.placeholder(tf.float32, [None, None, None, 3])
        dynamic = build(net, unknown).logits
        fill.fill(session, 'B')
        for size in ((64, 96), (45, 71)):
            image = fill.images(*size).astype(np.float32)
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                static = build(net, tf.constant(image)).logits
            found, wanted = session.run([dynamic, static], {unknown: image})
            assert static.shape.as_list() == [1, *(math.ceil(n / LOGITS_STRIDE[net]) for n in size), NUM_CLASSES]
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize('net', THIN)
def test_every_head_starts_at_ln_classes_and_every_variable_has_a_gradient(net):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        outputs = build(net, tf.constant(fill.images(65, 65, batch=2), tf.float32), training=True)
        heads = [outputs.logits, *(logits for logits, _ in outputs.aux.values())]
        starts = [-tf.reduce_mean(tf.nn.log_softmax(logits)) for logits in heads]
        losses = [tf.reduce_mean(tf.nn.log_softmax(logits)[..., 0]) for logits in heads]
        variables = tf.trainable_variables()
        session.run(tf.global_variables_initializer())
        found, gradients = session.run([starts, tf.gradients(losses, variables)])
    assert found == pytest.approx([math.log(NUM_CLASSES)] * len(heads), rel=0.01)
    dead = [v.op.name for v, g in zip(variables, gradients, strict=True) if not np.isfinite(g).all() or not np.any(g)]
    assert variables and dead == []


@pytest.mark.parametrize('net', THIN)
def test_auxiliary_heads_dropout_and_batch_statistics_belong_to_training(net):
    names = {}
    for training in (True, False):
        with tf.Graph().as_default() as graph:
            outputs = build(net, tf.zeros([2, 65, 65, 3]), training=training)
            assert {name: weight for name, (_, weight) in outputs.aux.items()} == (HEADS[net] if training else {})
            dropouts = [op for op in graph.get_operations() if 'dropout' in op.name]
            assert bool(dropouts) == (training and net in ('fc_densenet', 'pspnet'))
            statistics = [op.get_attr('is_training') for op in graph.get_operations() if 'FusedBatchNorm' in op.type]
            assert statistics and set(statistics) == {training}
            assert bool(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == training
            names[training] = {v.op.name for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
    more = names[True] - names[False]
    assert names[False] <= names[True] and bool(more) == bool(HEADS[net])
    assert all(name.startswith('auxiliary') for name in more)
