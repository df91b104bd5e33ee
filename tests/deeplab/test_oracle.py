"""Names, counts, initialisers and outputs of every recorded configuration of the official DeepLab."""

import re

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.resize import resize_bilinear, resize_nearest
from tests.deeplab import fill, oracle

# Every switch of the head once, every family once; the rest takes minutes.
FAST = (
    'mnv2_dec4_os16_ade20k', 'mnv2_dm05_os8_voc', 'opt_aspp_nosep', 'opt_decoder_8_4', 'opt_even_crop',
    'opt_v2_style', 'mnv3_small_nopoolcrop', 'edgetpu_slim_os16', 'resnet_v1_18_beta_mg_os16',
    'xception_41_os16_c21',
)
LARGEST_SIZE_IN_FAST = 100
SEED = 7


def configurations():
    names = list(oracle.manifests())
    assert len(names) == 66 and set(FAST) < set(names)
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


class Model:
    """A configuration's graph; built once for all tests of it."""

    def __init__(self, name):
        self.name = name
        self.manifest = oracle.manifests()[name]
        with tf.Graph().as_default() as self.graph:
            tf.set_random_seed(SEED)
            self.images = tf.placeholder(tf.float32, [None, None, None, 3])
            self.logits = oracle.build(self.manifest, self.images).logits
            size = tf.unstack(tf.shape(self.images)[1:3])
            if self.manifest['model_options']['prediction_with_upsampled_logits']:
                self.classes = tf.argmax(resize_bilinear(self.logits, size), 3)
            else:
                self.classes = resize_nearest(tf.argmax(self.logits, 3, output_type=tf.int32)[..., None], size)[..., 0]
            self.variables = tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)


@pytest.fixture(scope='module', params=configurations())
def model(request):
    return Model(request.param)


def test_variables_equal_the_manifest_in_creation_order(model):
    assert [[v.op.name, v.shape.as_list()] for v in model.variables] == model.manifest['variables']
    with model.graph.as_default():
        assert {v.op.name for v in tf.global_variables()} == {v.op.name for v in model.variables}


def test_parameter_counts_and_l2_lists_equal_the_manifest(model):
    with model.graph.as_default():
        trainable = tf.trainable_variables()
    assert sum(v.shape.num_elements() for v in model.variables) == model.manifest['num_params']
    assert sum(v.shape.num_elements() for v in trainable) == model.manifest['num_trainable_params']
    # The NAS backbones' separable convolutions are one layer each, and both of its kernels count.
    regularised = {v.op.name for v in model.variables if v.op.name.endswith('/weights') or (
        v.op.name.startswith(('pnasnet/', 'hnasnet/')) and v.op.name.endswith('_weights'))}
    assert regularised == set(model.manifest['l2_regularized'])


def describe(initial_value) -> str:
    """The distribution that an initial value is drawn from, as the manifests write it."""
    op = initial_value.op
    if op.type in ('Const', 'Fill'):
        value = tf.get_static_value(initial_value) if op.type == 'Const' else tf.get_static_value(op.inputs[1])
        return f'constant({np.unique(value).item():g})'
    scaled, offset = op.inputs
    offset = tf.get_static_value(offset).item()
    random, scale = scaled.op.inputs
    assert random.op.get_attr('seed') == SEED, 'an initialiser without a seed ignores set_random_seed'
    if random.op.type == 'TruncatedNormal':
        return f'truncated_normal(mean={offset:g}, stddev={tf.get_static_value(scale).item():.9g})'
    assert random.op.type == 'RandomUniform'
    return f'uniform({offset:.9g}, {-offset:.9g})'


def numbers(text):
    return [float(x) for x in re.findall(r'-?\d[\d.e-]*', text)]


def test_initialisers_equal_the_manifest(model):
    with model.graph.as_default():
        found = {v.op.name: describe(v.initial_value) for v in model.variables}
    expected = model.manifest['initializers']
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name].split('(')[0] == text.split('(')[0], name
        assert numbers(found[name]) == pytest.approx(numbers(text), rel=1e-6), name


def test_logits_and_classes_equal_the_oracle(model):
    recorded = oracle.cases(model.name)
    if not recorded:
        pytest.skip(f'{model.name} has a manifest only')
    if model.name in FAST:
        recorded = [case for case in recorded if max(case.size) < LARGEST_SIZE_IN_FAST]
    assert recorded
    with tf.Session(graph=model.graph) as session:
        for case in recorded:
            fill.fill(session, case.rule)
            logits, classes = session.run([model.logits, model.classes], {model.images: fill.images(*case.size)})
            logits = logits[:, ::case.every, ::case.every]
            assert logits.shape == case.logits.shape
            assert np.abs(logits - case.logits).max() <= 3e-5 * np.abs(case.logits).max(), (case.rule, case.size)
            if case.classes is not None:
                classes = classes[:, ::case.classes_every, ::case.classes_every]
                assert classes.shape == case.classes.shape
                assert (classes == case.classes).mean() > 0.999, (case.rule, case.size)
