"""What every backbone promises, as checks of a record, in the table or not."""

import inspect
import math

import numpy as np
import pytest

from deeplab.backbones import Backbone
from deeplab.backbones.backbone import TESTED
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.options import signature
from tests.deeplab import fill

# 2^k + 1 pixels: strided samples and corners coincide whatever the output stride.
SIZE = 65
NEVER = 12  # no backbone has this output stride


def side(stride: int) -> int:
    return math.ceil(SIZE / stride)


def build(backbone: Backbone, images, output_stride: int):
    return backbone.build(images, output_stride, **backbone.needs.get(output_stride, {}))


def check_record(backbone: Backbone) -> None:
    """Its fields agree with each other and with its walker."""
    assert backbone.output_strides and list(backbone.output_strides) == sorted(set(backbone.output_strides))
    assert backbone.tested in TESTED
    known = signature(backbone.build)
    assert set(backbone.needs) < set(backbone.output_strides)
    assert all(set(needed) <= set(known) for needed in backbone.needs.values())
    parameters = list(inspect.signature(backbone.build).parameters.values())
    assert [p.name for p in parameters[:2]] == ['images', 'output_stride']
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:])
    assert backbone.build.__name__ == backbone.name


def check_refusal(backbone: Backbone) -> None:
    """An output stride that it doesn't have is refused."""
    with tf.Graph().as_default(), pytest.raises(
            ValueError, match=f'output stride of {backbone.name} = {NEVER} is unknown; '):
        backbone.build(tf.zeros([1, 9, 9, 3]), NEVER)


def check_sizes(backbone: Backbone) -> None:
    """At its largest output stride features have the size that follows from it, and taps those of their names."""
    stride = max(backbone.output_strides)
    with tf.Graph().as_default(), model_scope(training=False):
        features = build(backbone, tf.zeros([1, SIZE, SIZE, 3]), stride)
    assert features.output.shape.as_list()[1:3] == [side(1 if backbone.pixels_only else stride)] * 2
    assert set(features.taps) == set(backbone.taps)
    for nominal, tap in features.taps.items():
        assert tap.shape.as_list()[1:3] == [side(nominal)] * 2


def check_dense_features(backbone: Backbone) -> None:
    """At every output stride it has the same variables, all in its scope, and subsampled the same features."""
    with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False):
        images, features, variables = tf.constant(fill.images(SIZE, SIZE), tf.float32), {}, []
        for output_stride in backbone.output_strides:
            with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
                output, taps, *_ = build(backbone, images, output_stride)
            features[output_stride] = {'output': output, **taps}
            variables.append([v.op.name for v in tf.global_variables()])
        assert variables[0] and all(name.startswith(backbone.scope + '/') for name in variables[0])
        assert variables == [variables[0]] * len(variables)
        fill.fill(session, 'B')
        found = session.run(features)
    largest = max(found)
    for output_stride, dense in found.items():
        for name, values in dense.items():
            nominal = found[largest][name]
            step = max((largest if name == 'output' else min(name, largest)) // output_stride, 1)
            np.testing.assert_allclose(values[:, ::step, ::step], nominal, rtol=0, atol=1e-5 * np.abs(nominal).max(),
                                       err_msg=f'{output_stride} {name}')
