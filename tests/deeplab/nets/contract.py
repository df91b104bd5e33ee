"""What every net promises with every backbone that goes with it, as checks of a pair of names."""

import math

import numpy as np
import pytest

from deeplab.backbones import BACKBONES, Backbone
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS, Net
from deeplab.options import signature
from tests.deeplab import fill

NUM_CLASSES = 7
RELEASED = ('deeplabv3', 'deeplabv3plus')  # weights were released for these with many backbones


def strides(net: Net, backbone: Backbone) -> set[int]:
    """Output strides that both have, without options."""
    plain = set(backbone.output_strides) - set(backbone.needs)
    return plain & set(net.output_strides) if net.output_strides else plain


def fits(net: Net, backbone: Backbone) -> bool:
    return (net.needs_backbone != backbone.pixels_only and set(net.taps) <= set(backbone.taps)
            and set(net.backbone_options) <= set(signature(backbone.build))
            and bool(strides(net, backbone)))


def goes_with(net: str, backbone: str) -> bool:
    """Whether they fit and are tested together; of a family with many nets one backbone is enough."""
    tested = BACKBONES[backbone].tested
    return fits(NETS[net], BACKBONES[backbone]) and (
        tested in ('always', 'for_its_family') or tested == 'with_deeplab' and net in RELEASED)


def last_net(backbone: str) -> str:
    """The last net that the backbone fits."""
    return next(name for name in reversed(NETS) if fits(NETS[name], BACKBONES[backbone]))


def build(net, backbone, images, training=False, batch_norm='train', output_stride=16, **options):
    """Outputs of the pair, at the smallest output stride that it has where `output_stride` isn't one."""
    allowed = strides(NETS[net], BACKBONES[backbone])
    output_stride = output_stride if output_stride in allowed else min(allowed)
    with model_scope(training, batch_norm):
        return NETS[net](images, NUM_CLASSES, BACKBONES[backbone], training=training, output_stride=output_stride,
                         **options)


def cross_entropy(logits):
    labels = np.random.RandomState(0).randint(0, NUM_CLASSES, logits.shape.as_list()[:3])
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def check_training(net: str, backbone: str) -> None:
    """Every head starts at ln(classes), and every variable has a gradient and, where it is due, an update."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        images = tf.constant(fill.images(65, 65, batch=2), tf.float32)
        outputs = build(net, backbone, images, training=True)
        heads = [outputs.logits, *(logits for logits, _ in outputs.aux.values())]
        for logits in heads:
            assert logits.dtype == tf.float32 and logits.shape.as_list()[-1] == NUM_CLASSES
        loss = tf.add_n([cross_entropy(logits) for logits in heads])
        # Over all labels, not over a drawn few: what remains beside ln(classes) is half the logits' variance.
        expected_loss = [-tf.reduce_mean(tf.nn.log_softmax(logits)) for logits in heads]
        variables = tf.trainable_variables()
        gradients = tf.gradients(loss, variables)
        assert [v.op.name for v, g in zip(variables, gradients, strict=True) if g is None] == []
        normalised = [v for v in variables if v.op.name.endswith('/gamma')]
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * len(normalised)
        session.run(tf.global_variables_initializer())
        found, values = session.run([expected_loss, gradients])
    assert found == pytest.approx([math.log(NUM_CLASSES)] * len(heads), rel=0.01)
    dead = [v.op.name for v, g in zip(variables, values, strict=True) if not np.isfinite(g).all() or not np.any(g)]
    assert dead == []


def check_inference_graph(net: str, backbone: str) -> None:
    """It has no updates, nothing that looks trainable and isn't, and no variable beside the model's."""
    with tf.Graph().as_default():
        build(net, backbone, tf.placeholder(tf.float32, [1, None, None, 3]))
        assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
        assert all(not v.trainable for v in tf.global_variables() if 'moving_' in v.op.name)
        assert set(tf.global_variables()) == set(tf.get_collection(tf.GraphKeys.MODEL_VARIABLES))
