"""DenseNet's options, heads of dongzhuoyao/tensorpack (branch deeplab), and its table's column of parameter counts."""

import functools
import math
import re

import numpy as np
import pytest

from datasets import row as rows
from deeplab import losses
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.recipes import recipe as recipes
from tests.deeplab import fill
from tests.paths import shared

CLASSES = 5
TINY = {'blocks': (2, 2, 2, 2), 'growth': 4}
HEADS = {
    'plain': {},
    'did': {'aggregation': 'resize', 'reduction': 8},
    'newdid': {'aggregation': 'bottom_up'},
    'newdid2': {'aggregation': 'bottom_up', 'preactivated': True},
    'newdid4': {'aggregation': 'top_down', 'filters': 8, 'smoothing': 3},
    'newdid6_senet': {'aggregation': 'top_down', 'filters': 8, 'lateral_squeeze': True, 'deep_supervision': True},
}
SEED = {'stem': '3x3', 'compression': 1.0, 'later_pooling': False, 'dilations': (1, 1, 2, 4), 'squeeze_ratio': 4}


def build(images, head, training=False, batch_norm='train', output_stride=16, **backbone_options):
    with model_scope(training, batch_norm):
        backbone = BACKBONES['densenet'].with_options(TINY | backbone_options)
        return NETS['dense_in_dense'](images, CLASSES, backbone, training=training, output_stride=output_stride,
                                      **HEADS[head])


@pytest.mark.parametrize(('head', 'options'), [
    pytest.param(head, options, marks=() if options == SEED else pytest.mark.slow) for head, options in (
        ('plain', SEED), ('plain', {'transition': 'residual', 'transition_squeeze_ratio': 2}),
        ('plain', {'transition_squeeze_ratio': 4}), *((head, {}) for head in HEADS))])
def test_training_starts_at_ln_classes_and_reaches_every_variable(head, options):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        outputs = build(tf.constant(fill.images(65, 49, batch=2), tf.float32), head, training=True, **options)
        every = [(outputs.logits, outputs.weight), *outputs.aux.values()]
        uniform = [-tf.reduce_mean(tf.nn.log_softmax(logits)) for logits, _ in every]
        labels = tf.constant(np.random.RandomState(0).randint(0, CLASSES, (2, 65, 49)), tf.int32)
        loss = tf.add_n([weight * losses.loss(logits, labels, 255) for logits, weight in every])
        variables = tf.trainable_variables()
        gradients = tf.gradients(loss, variables)
        assert [v.op.name for v, g in zip(variables, gradients, strict=True) if g is None] == []
        normalised = [v for v in variables if v.op.name.endswith('/gamma')]
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * len(normalised) > 0
        session.run(tf.global_variables_initializer())
        found, values = session.run([uniform, gradients])
    assert found == pytest.approx([math.log(CLASSES)] * len(every), rel=0.01)
    assert all(np.isfinite(value).all() for value in values)


@pytest.mark.parametrize('head', [
    pytest.param(head, marks=() if head == 'newdid6_senet' else pytest.mark.slow) for head in HEADS])
def test_a_graph_of_unknown_size_equals_one_of_known_size(head):
    found, image = [], fill.images(50, 39).astype(np.float32)
    for shape in ([None, None, None, 3], [1, 50, 39, 3]):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, shape)
            outputs = build(images, head)
            assert outputs.aux == {} and tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
            fill.fill(session, 'B')
            found.append(session.run(outputs.logits, {images: image}))
    stride = 4 if head.startswith(('newdid4', 'newdid6')) else 16
    assert found[0].shape == (1, math.ceil(50 / stride), math.ceil(39 / stride), CLASSES)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[1]).max())


@pytest.mark.slow
@pytest.mark.parametrize('output_stride', [8, 32])
@pytest.mark.parametrize('head', ['newdid', 'newdid6_senet'])
def test_heads_follow_the_output_stride(head, output_stride):
    with tf.Graph().as_default():
        logits = build(tf.zeros([1, 65, 97, 3]), head, output_stride=output_stride).logits
    stride = output_stride if head == 'newdid' else 4
    assert logits.shape.as_list() == [1, math.ceil(65 / stride), math.ceil(97 / stride), CLASSES]


@pytest.mark.slow
def test_deep_supervision_has_the_gradient_of_the_mean():
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = build(tf.constant(fill.images(33, 33), tf.float32), 'newdid6_senet', training=True)
        labels = tf.constant(np.random.RandomState(0).randint(0, CLASSES, (1, 33, 33)), tf.int32)
        entropy = functools.partial(losses.loss, labels=labels, ignore_label=255)
        weighted = ((outputs.logits, outputs.weight), *outputs.aux.values())
        minimised = tf.add_n([weight * entropy(logits) for logits, weight in weighted])
        heads = [tf.get_default_graph().get_tensor_by_name(f'{scope}/BiasAdd:0')
                 for scope in ('logits_0', 'logits_1', 'logits')]
        mean = tf.add_n([entropy(logits) for logits in heads]) / len(heads)
        variables = tf.trainable_variables()
        gradients = [tf.gradients(loss, variables) for loss in (minimised, mean)]
        session.run(tf.global_variables_initializer())
        found, expected = session.run(gradients)
    assert len(outputs.aux) == 2 and len(found) > 50 and outputs.weight == pytest.approx(1 / 3)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_blocks_have_the_dilations_that_were_asked_for():
    for options, rates in (({}, [1, 1, 1, 2]), ({'dilations': (1, 1, 2, 4)}, [1, 1, 2, 4])):
        with tf.Graph().as_default() as graph:
            build(tf.zeros([1, 65, 65, 3]), 'plain', **options)
            assert [graph.get_operation_by_name(f'densenet/block{i}/layer2/conv2/Conv2D').get_attr('dilations')[1]
                    for i in (1, 2, 3, 4)] == rates


@pytest.mark.parametrize(('kept', 'pools'), [(True, 3), (False, 2)])
def test_later_pooling_is_that_of_transitions_without_stride(kept, pools):
    with tf.Graph().as_default() as graph:
        build(tf.zeros([1, 65, 65, 3]), 'plain', later_pooling=kept)
        assert len([op for op in graph.get_operations() if op.type == 'AvgPool']) == pools


@pytest.mark.slow
def test_densenet_121_has_the_papers_parameters():
    with tf.Graph().as_default(), model_scope(False):
        NETS['dense_in_dense'](tf.zeros([1, 33, 33, 3]), 1000, BACKBONES['densenet'], training=False, output_stride=32)
        assert sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables()) == 7978856


@pytest.mark.parametrize(('head', 'options', 'message'), [
    ('plain', {'stem': '5x5'}, "stem = '5x5' is unknown; choices: 7x7, 3x3"),
    ('plain', {'transition': 'max'}, "transition = 'max' is unknown; choices: pool, residual"),
    ('plain', {'dilations': (1, 2)}, r'dilations are \[1, 2\]; there are 4 blocks'),
])
def test_choices_that_there_are_not_are_refused(head, options, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        build(tf.zeros([1, 33, 33, 3]), head, **options)


@pytest.mark.parametrize(('backbone', 'options', 'message'), [
    ('densenet', {'aggregation': 'max'}, "aggregation = 'max' is unknown; choices: none, resize"),
    ('densenet', {'deep_supervision': True}, "deep_supervision needs the levels of aggregation 'top_down'"),
    ('mobilenet_v2', {'aggregation': 'resize'}, 'mobilenet_v2 does not hand out'),
])
def test_heads_that_there_are_not_are_refused(backbone, options, message):
    with tf.Graph().as_default(), model_scope(False), pytest.raises(ValueError, match=message):
        NETS['dense_in_dense'](tf.zeros([1, 33, 33, 3]), CLASSES, BACKBONES[backbone], training=False, output_stride=16,
                               **options)


# Rows of dongzhuoyao's README.
ROWS = {row.title: row for row in recipes.table().values() if row.model.net == 'dense_in_dense'}
FAST = {'deeplabv2.camvid..imagesize321.toy.newbaseline.dense30k36.py'}
# Sizes in the README that no reading of the scripts gives.
UNEXPLAINED = {'newdid2': '13.6', '(actually48).senet4': '5.7', '(actually48).senet4.did': '12.1'}


@functools.cache
def parameters(backbone_options, options, num_classes):
    """(as dongzhuoyao counts them, all with moving statistics) of a row's net."""
    with tf.Graph().as_default(), model_scope(True):
        backbone = BACKBONES['densenet'].with_options(dict(backbone_options))
        NETS['dense_in_dense'](tf.zeros([1, 33, 33, 3]), num_classes, backbone, training=True, output_stride=16,
                               **dict(options))
        variables = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
        everything = sum(int(np.prod(v.shape.as_list())) for v in tf.global_variables())
    biases = sum(shape[-1] for name, shape in variables.items()
                 if name.endswith('/weights') and name.replace('weights', 'biases') not in variables)
    # No batch norm in its stem, and none of the trunk in front of a feature pyramid.
    absent = r'densenet/(conv1.*|postnorm)/' if dict(options).get('aggregation') == 'top_down' else 'densenet/conv1.*/'
    trainable = sum(int(np.prod(shape)) for name, shape in variables.items()
                    if not re.fullmatch(absent + r'(BatchNorm/)?(gamma|beta)', name))
    return trainable + biases, everything


def hashable(options):
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())


def counted(row):
    dataset = rows.load(row.data.dataset)
    return parameters(hashable(row.model.backbone_options), hashable(row.model.options), dataset.num_classes)


def table():
    """{title of a row: (P in the README, P recomputed)} from seeds.md."""
    text = shared('reference', 'seeds.md').read_text(encoding='utf8')
    lines = text[text.index('**Full row table**'):text.index('Row notes: (a)')].splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if line.startswith('| ')]
    expanded = {name.replace('T.NB', 'toy.newbaseline').replace('S.NC.NP', 'stem.nocompression.nopooling'): columns
                for name, *columns in cells}
    return {name: columns[:2] for name, columns in expanded.items() if columns[3].startswith('Dense')}


def test_every_dense_row_of_the_seeds_table_is_a_recipe():
    found = table()
    assert len(found) > 60
    assert set(found) <= set(ROWS)


@pytest.mark.parametrize('title', [
    pytest.param(title, marks=() if title in FAST else pytest.mark.slow) for title in ROWS])
def test_parameters_are_those_of_the_seeds_table(title):
    readme, recomputed = table().get(title, ('', 'unresolved'))  # its last revision's rows came after the table
    theirs, everything = counted(ROWS[title])
    assert ROWS[title].expected.params == everything
    if recomputed != 'unresolved':
        assert f'{theirs / 1e6:.1f}' in re.findall(r'\d+\.\d', recomputed)
    unexplained = next((value for end, value in UNEXPLAINED.items() if title.endswith(end)), None)
    if unexplained:
        assert readme == unexplained
    elif readme not in ('', '?'):
        assert readme in truncated_or_rounded(theirs / 1e6, len(readme.partition('.')[2]))


def truncated_or_rounded(value, digits):
    """The README does both: 2.9 of 2.99, and 8.2 of 8.29, but 3.2 of 3.16."""
    scale = 10 ** digits
    return {f'{number / scale:.{digits}f}' for number in (math.floor(value * scale), round(value * scale))}
