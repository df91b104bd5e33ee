"""The image pyramid, on a net of one layer whose output is known."""

import dataclasses

import numpy as np
import pytest

from deeplab import losses, model_fn, run
from deeplab.compat import estimator, tensorflow, tf
from deeplab.layers import conv
from deeplab.layers.resize import resize_bilinear
from deeplab.layers.scope import model_scope
from deeplab.nets import Net, Outputs
from deeplab.predicting.forward import forward, forward_pass
from deeplab.predicting.predict import predict
from deeplab.recipes import recipe
from deeplab.recipes.schema import Recipe
from tests.replicas import in_fresh_process, run_config

STRIDE = 4
DECAY = 0.75


def one_layer(images, num_classes, backbone, *, training, output_stride, image_pooling_crop_size=None):
    """Batch norm and a convolution with stride 4; the option is seen in the name of an auxiliary output."""
    net = conv.batch_norm(images, decay=DECAY, epsilon=1e-3)
    logits = conv.conv2d(net, num_classes, 3, scope='logits', stride=STRIDE, activation=None, normalizer=conv.biases,
                         initializer=tf.truncated_normal_initializer(stddev=0.01, seed=1))
    seen = {} if image_pooling_crop_size is None else {f'pooled_{image_pooling_crop_size}': (logits, 0.0)}
    return Outputs(logits, seen)


def chosen(**changes):
    fields = {'train.batch_size': 2, 'batch_norm.mode': 'train', 'data.crop_size': (17, 33)}
    changed = recipe.override(Recipe(), fields | {path.replace('__', '.'): value for path, value in changes.items()})
    return dataclasses.replace(run.resolve(changed), net=Net(one_layer))


def batch():
    random = np.random.RandomState(0)
    features = {'image': tf.constant(random.uniform(0, 255, (2, 17, 33, 3)), tf.float32), 'filename': tf.constant('ab'),
                'number': tf.constant([0, 1], tf.int64)}
    return features, tf.constant(random.randint(0, 6, (2, 17, 33)), tf.int32)


def graph(a_run):
    """(names of all operations, value of the loss) of a training graph."""
    with tf.Graph().as_default() as built, tf.Session() as session:
        spec = model_fn.model_fn(*batch(), model_fn.MODES.TRAIN, {'run': a_run})
        session.run(tf.global_variables_initializer())
        return [op.name for op in built.get_operations()], session.run(spec.loss)


def test_a_pyramid_of_scale_1_is_the_net_itself():
    assert graph(chosen()) == graph(chosen(model__image_pyramid=(1.0,)))


@pytest.mark.parametrize(('method', 'merge'), [('max', np.max), ('avg', np.mean)])
def test_the_loss_is_that_of_the_merged_logits_and_of_every_scale(method, merge):
    a_run = chosen(model__image_pyramid=(0.5, 1.0), model__merge_method=method, batch_norm__mode='freeze_statistics')
    with tf.Graph().as_default(), tf.Session() as session:
        features, labels = batch()
        spec = model_fn.model_fn(features, labels, model_fn.MODES.TRAIN, {'run': a_run})
        names = [variable.op.name for variable in tf.trainable_variables()]
        assert names == ['BatchNorm/gamma', 'BatchNorm/beta', 'logits/weights', 'logits/biases']
        with model_scope(training=False), tf.variable_scope('', reuse=True):
            whole, half = (one_layer(images, 6, None, training=False, output_stride=16).logits
                           for images in (features['image'], resize_bilinear(features['image'], (9, 17))))
        session.run(tf.global_variables_initializer())
        each = session.run([whole, resize_bilinear(half, (5, 9))])
        parts = [losses.loss(tf.constant(logits), labels, 255)
                 for logits in (*each, merge(each, axis=0))]
        parts.append(losses.l2_loss(tf.trainable_variables(), a_run.recipe.loss.weight_decay, 'conv_weights'))
        np.testing.assert_allclose(session.run(spec.loss), sum(session.run(parts)), rtol=1e-6)


def test_moving_averages_take_the_scales_in_turn():
    with tf.Graph().as_default(), tf.Session() as session:
        features, labels = batch()
        spec = model_fn.model_fn(features, labels, model_fn.MODES.TRAIN,
                                 {'run': chosen(model__image_pyramid=(0.5, 1.0))})
        (moving,) = (v for v in tf.global_variables() if v.op.name == 'BatchNorm/moving_mean')
        sizes = ((9, 17), (17, 33))
        means = [tf.reduce_mean(resize_bilinear(features['image'], size), [0, 1, 2]) for size in sizes]
        session.run(tf.global_variables_initializer())
        half, whole = session.run(means)
        session.run(spec.train_op)
        expected = DECAY * (1 - DECAY) * half + (1 - DECAY) * whole
        np.testing.assert_allclose(session.run(moving), expected, rtol=1e-5)


@pytest.mark.parametrize('static', [True, False])
@pytest.mark.parametrize(('scales', 'expected'), [
    ((0.5,), (6, 9)), ((0.25, 0.5), (6, 9)), ((2.0,), (11, 18)), ((0.5, 1.5), (8, 14))])
def test_logits_are_on_the_grid_of_the_largest_scale_and_at_least_1(scales, expected, static):
    source = np.zeros((1, 21, 36, 3), np.float32)
    with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False):
        images = tf.constant(source) if static else tf.placeholder_with_default(source, [None, None, None, 3])
        logits = forward(chosen(), images, scales, training=False, output_stride=16).logits
        session.run(tf.global_variables_initializer())
        assert session.run(tf.shape(logits)).tolist() == [1, *expected, 6]


@pytest.mark.parametrize('scales', [(), (0.5,), (0.5, 1.0)])
def test_merged_logits_and_those_of_each_scale_have_the_loss_weight_of_the_net(scales):
    def weighted(*arguments, **options):
        return one_layer(*arguments, **options)._replace(weight=0.25)

    a_run = dataclasses.replace(chosen(), net=Net(weighted))
    with tf.Graph().as_default(), model_scope(training=False):
        outputs = forward(a_run, tf.zeros([1, 17, 33, 3]), scales, training=False, output_stride=16)
    assert outputs.weight == 0.25
    assert [weight for _, weight in outputs.aux.values()] == [0.25] * (len(scales) if len(scales) > 1 else 0)


def test_a_pooling_window_in_pixels_scales_along():
    a_run = chosen()
    a_run = dataclasses.replace(a_run, net_options={'image_pooling_crop_size': [17, 33]})
    with tf.Graph().as_default(), model_scope(training=False):
        aux = forward(a_run, tf.zeros([1, 17, 33, 3]), (0.5, 2.0), training=False, output_stride=16).aux
    assert {'pooled_[9, 17]_0.5', 'pooled_[33, 65]_2'} < set(aux)


def test_prediction_sees_the_pyramid():
    source = np.random.RandomState(0).uniform(0, 255, (1, 17, 33, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session, tf.variable_scope('', reuse=tf.AUTO_REUSE):
        a_run = chosen(model__image_pyramid=(0.5, 1.0))
        probabilities = predict(forward_pass(a_run), tf.constant(source), a_run.recipe.evaluation).probabilities
        with model_scope(training=False):
            logits = forward(a_run, tf.constant(source), (0.5, 1.0), training=False, output_stride=16).logits
        session.run(tf.global_variables_initializer())
        found, expected = session.run([probabilities, tf.nn.softmax(resize_bilinear(logits, (17, 33)))])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(('compat', 'at_half', 'at_1'), [(False, (0.25, 0.5), (0.5, 1.0)), (True, (0.5,), ())])
def test_every_scale_of_an_evaluation_sees_the_pyramid(compat, at_half, at_1):
    source = np.random.RandomState(0).uniform(0, 255, (1, 17, 33, 3)).astype(np.float32)
    a_run = chosen(model__image_pyramid=(0.5, 1.0), evaluation__scales=(0.5, 1.0), evaluation__official_compat=compat)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(source)
        probabilities = predict(forward_pass(a_run), images, a_run.recipe.evaluation).probabilities
        with model_scope(training=False), tf.variable_scope('', reuse=True):
            logits = [forward(a_run, images, scales, training=False, output_stride=16).logits
                      for scales in (at_half, at_1)]
        views = tf.add_n([tf.nn.softmax(resize_bilinear(each, (17, 33))) for each in logits]) / 2
        session.run(tf.global_variables_initializer())
        found, expected = session.run([probabilities, tf.nn.softmax(views) if compat else views])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_prediction_has_the_output_stride_of_the_evaluation():
    seen = []

    def look(images, num_classes, backbone, *, training, output_stride):
        seen.append((output_stride, tf.shape(images)))
        return Outputs(images, {})

    a_run = dataclasses.replace(chosen(model__output_stride=16, evaluation__output_stride=8), net=Net(look))
    with tf.Graph().as_default(), tf.Session() as session:
        predict(forward_pass(a_run), tf.zeros([1, 18, 25, 3]), a_run.recipe.evaluation)
        (stride, size), = seen
        size = session.run(size)
    assert stride == 8 and size.tolist() == [1, 25, 25, 3]


def train(replicas, batch_norm, model_dir):
    """The trained weights of two steps, each on two images."""
    a_run = chosen(model__image_pyramid=(0.5, 1.0), train__batch_size=2 // replicas, batch_norm__mode=batch_norm)

    def examples():
        images = np.random.RandomState(0).uniform(0, 255, (4, 17, 33, 3)).astype(np.float32)
        features = {'image': images, 'filename': np.array(['a', 'b', 'c', 'd']), 'number': np.arange(4)}
        labels = np.random.RandomState(1).randint(0, 6, (4, 17, 33)).astype(np.int32)
        return tensorflow.data.Dataset.from_tensor_slices((features, labels)).batch(2 // replicas, drop_remainder=True)

    config = run_config(replicas, model_dir=model_dir)
    net = estimator.Estimator(model_fn.model_fn, config=config, params={'run': a_run})
    net.train(examples)
    return {name: net.get_variable_value(name) for name in net.get_variable_names() if 'Momentum' not in name}


@pytest.mark.slow
@pytest.mark.parametrize('batch_norm', ['freeze_statistics', 'train'])
def test_replicas_share_a_pyramid(batch_norm, tmp_path):
    one, two = (in_fresh_process(train, replicas, batch_norm, str(tmp_path / str(replicas))) for replicas in (1, 2))
    assert one['global_step'] == two['global_step'] == 2 and set(one) == set(two)
    # Batch statistics of one image and of two aren't the same; their means over the replicas are.
    names = [name for name in one if batch_norm != 'train' or name == 'BatchNorm/moving_mean']
    for name in names:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(('field', 'value', 'message'), [
    ('model__image_pyramid', (0.5, 0.5), r'model.image_pyramid = \[0.5, 0.5\]: give scales above 0, each once'),
    ('evaluation__scales', (), 'evaluation.scales'), ('evaluation__scales', (0.0,), 'evaluation.scales'),
    ('model__merge_method', 'mean', "model.merge_method = 'mean' is unknown"),
    ('evaluation__max_resize', 65, 'need evaluation.min_resize'),
])
def test_impossible_scales_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        chosen(**{field: value})
