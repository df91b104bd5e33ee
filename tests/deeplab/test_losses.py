import numpy as np
import pytest

from deeplab import losses
from deeplab.compat import tf
from tests import kernels
from tests.deeplab import oracle

IGNORE = 255


def random_case(size=(7, 9), logit_size=None, classes=5, seed=0):
    random = np.random.RandomState(seed)
    logits = random.normal(0, 2, (2, *(logit_size or size), classes)).astype(np.float32)
    labels = random.randint(0, classes, (2, *size)).astype(np.int32)
    labels[random.rand(*labels.shape) < 0.2] = IGNORE
    return logits, labels


def pixel_losses(logits, labels):
    """Cross-entropy by its definition, in float64; 0 for what isn't a class."""
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    is_class = (labels >= 0) & (labels < logits.shape[-1])
    picked = np.take_along_axis(log_probabilities, np.where(is_class, labels, 0)[..., None], -1)[..., 0]
    return np.where(is_class, -picked, 0)


def bilinear(images, height, width):
    """align_corners: the corner pixels of both grids coincide."""
    def axis(values, size, dim):
        position = np.linspace(0, values.shape[dim] - 1, size)
        low = np.minimum(np.floor(position).astype(int), values.shape[dim] - 2)
        share = (position - low).reshape([-1 if i == dim else 1 for i in range(values.ndim)])
        return values.take(low, dim) * (1 - share) + values.take(low + 1, dim) * share
    return axis(axis(images.astype(np.float64), height, 1), width, 2)


def run(logits, labels, ignore_label=IGNORE, **options):
    """(loss, its gradient by the logits)"""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant(logits)
        loss = losses.loss(logits, tf.constant(labels), ignore_label, **options)
        assert loss.dtype == tf.float32 and loss.shape.rank == 0
        return session.run([loss, tf.gradients(loss, logits)[0]])


OWN = pytest.mark.parametrize('own', [False, pytest.param(True, marks=kernels.needed)])


@OWN
def test_equals_the_definition_over_pixels_that_are_not_ignored(own):
    logits, labels = random_case()
    loss, _ = run(logits, labels, own=own)
    np.testing.assert_allclose(loss, pixel_losses(logits, labels).sum() / (labels != IGNORE).sum(), rtol=1e-6)


def test_of_probabilities_is_the_loss_of_the_logits_that_have_them():
    """In numpy: logarithms of all, and a log-softmax of these. Foreign labels count as pixels, as in `loss`."""
    logits, labels = random_case()
    labels[0, 0, :2] = 5, -1
    exponents = np.exp(logits.astype(np.float64) * 10)
    probabilities = (exponents / exponents.sum(-1, keepdims=True)).astype(np.float32)
    probabilities[1, 2, 3], labels[1, 2, 3] = (1, 0, 0, 0, 0), 1
    expected = pixel_losses(np.log(np.maximum(probabilities, 1e-30)), labels).sum() / (labels != IGNORE).sum()
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.constant(probabilities)
        found, ignored = session.run([losses.of_probabilities(given, each, IGNORE)
                                      for each in (tf.constant(labels), tf.fill(labels.shape, IGNORE))])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert ignored == 0


@OWN
def test_gradient_equals_finite_differences_and_is_zero_where_ignored(own):
    logits, labels = random_case((3, 4))
    _, gradient = run(logits, labels, own=own)
    pixels = (labels != IGNORE).sum()
    expected = np.zeros(logits.shape)
    for index in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[index] = 1e-5
        difference = pixel_losses(logits + step, labels).sum() - pixel_losses(logits - step, labels).sum()
        expected[index] = difference / 2e-5 / pixels
    np.testing.assert_allclose(gradient, expected, atol=1e-7)
    assert (gradient[labels == IGNORE] == 0).all() and (labels == IGNORE).any()


def test_uniform_logits_cost_the_log_of_the_class_count():
    _, labels = random_case(classes=5)
    loss, _ = run(np.zeros((*labels.shape, 5), np.float32), labels)
    np.testing.assert_allclose(loss, np.log(5), rtol=1e-6)


def test_logits_are_upsampled_with_aligned_corners():
    logits, labels = random_case((9, 13), (3, 4))
    loss, _ = run(logits, labels)
    expected = pixel_losses(bilinear(logits, 9, 13), labels).sum() / (labels != IGNORE).sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_labels_are_downsampled_with_aligned_corners():
    logits, labels = random_case((9, 13), (3, 4))
    loss, _ = run(logits, labels, upsample_logits=False)
    small = labels[:, ::4, ::4]
    np.testing.assert_allclose(loss, pixel_losses(logits, small).sum() / (small != IGNORE).sum(), rtol=1e-6)


def test_sizes_may_be_known_only_when_running():
    logits, labels = random_case((9, 13), (3, 4))
    with tf.Graph().as_default(), tf.Session() as session:
        fed = {tf.placeholder(tf.float32, [None, None, None, 5]): logits, tf.placeholder(tf.int32, [None] * 3): labels}
        both = [losses.loss(*fed, IGNORE, upsample_logits=up) for up in (True, False)]
        upsampled, downsampled = session.run(both, fed)
    np.testing.assert_allclose(upsampled, run(logits, labels)[0], rtol=1e-6)
    np.testing.assert_allclose(downsampled, run(logits, labels, upsample_logits=False)[0], rtol=1e-6)


def test_half_precision_logits_are_raised_before_anything_is_summed():
    logits, labels = random_case((65, 65))
    with tf.Graph().as_default(), tf.Session() as session:
        half = tf.constant(logits, tf.bfloat16)
        loss, seen = session.run([losses.loss(half, tf.constant(labels), IGNORE),
                                  tf.cast(half, tf.float32)])
    np.testing.assert_allclose(loss, pixel_losses(seen, labels).sum() / (labels != IGNORE).sum(), rtol=1e-6)


def test_label_weights_scale_the_sum_and_not_the_count():
    logits, labels = random_case()
    weights = [0.5, 1.0, 2.0, 0.0, 3.0]
    loss, _ = run(logits, labels, label_weights=weights)
    scale = np.where(labels == IGNORE, 0, np.take(weights, labels % 5))
    np.testing.assert_allclose(loss, (pixel_losses(logits, labels) * scale).sum() / (labels != IGNORE).sum(), rtol=1e-6)
    with pytest.raises(ValueError, match='2 label_weights for 5 classes'):
        run(logits, labels, label_weights=[1, 2])


def test_a_class_can_be_the_ignore_label():
    logits, labels = random_case()
    labels[labels == IGNORE] = 0
    loss, gradient = run(logits, labels, ignore_label=0)
    np.testing.assert_allclose(loss, pixel_losses(logits, labels)[labels != 0].mean(), rtol=1e-6)
    assert (gradient[labels == 0] == 0).all()


def test_other_labels_outside_the_classes_count_as_pixels_without_cost_or_gradient():
    logits, labels = random_case()
    labels[0, :2], labels[1, 0] = 77, 5  # the first that is no class
    loss, gradient = run(logits, labels)
    np.testing.assert_allclose(loss, pixel_losses(logits, labels).sum() / (labels != IGNORE).sum(), rtol=1e-6)
    assert (gradient[(labels == 77) | (labels == 5)] == 0).all()


@pytest.mark.parametrize('options', [{}, {'top_k_percent': 0.25}, {'upsample_logits': False}], ids=str)
def test_nothing_but_ignored_pixels_costs_zero_with_zero_gradient(options):
    logits, labels = random_case()
    loss, gradient = run(logits, np.full_like(labels, IGNORE), **options)
    assert loss == 0 and (gradient == 0).all()


@pytest.mark.parametrize('step, share', [(0, 1.0), (40, 0.7), (100, 0.25), (250, 0.25)])
def test_hard_mining_keeps_a_share_of_all_pixels_and_averages_those_with_a_loss(step, share):
    logits, labels = random_case((11, 13))
    loss, _ = run(logits, labels, top_k_percent=0.25, top_k_ramp_steps=100, step=np.int64(step))
    every = np.sort(pixel_losses(logits, labels).ravel())[::-1]
    kept = every[:int(np.float32(share) * every.size)]
    np.testing.assert_allclose(loss, kept.sum() / (kept != 0).sum(), rtol=1e-6)


def test_hard_mining_without_a_ramp_starts_at_its_share():
    logits, labels = random_case()
    loss, _ = run(logits, labels, top_k_percent=0.1)
    every = np.sort(pixel_losses(logits, labels).ravel())[::-1]
    np.testing.assert_allclose(loss, every[:int(0.1 * every.size)].mean(), rtol=1e-6)


def surprises_and_smoothed(logits, labels, smoothing):
    """-ln p of the true class, and the cross-entropy with smoothed targets, both in float64."""
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = np.eye(logits.shape[-1])[np.where(labels == IGNORE, 0, labels)]
    targets = targets * (1 - smoothing) + smoothing / logits.shape[-1]
    return pixel_losses(logits, labels), np.where(labels == IGNORE, 0, -(targets * log_probabilities).sum(-1))


def test_smoothed_targets_share_a_tenth_among_all_classes():
    logits, labels = random_case()
    loss, gradient = run(logits, labels, label_smoothing=0.1)
    _, smoothed = surprises_and_smoothed(logits, labels, 0.1)
    np.testing.assert_allclose(loss, smoothed.sum() / (labels != IGNORE).sum(), rtol=1e-6)
    # The gradient is softmax - target.
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = np.eye(5)[np.where(labels == IGNORE, 0, labels)] * 0.9 + 0.02
    expected = np.where(labels[..., None] == IGNORE, 0, probabilities - targets) / (labels != IGNORE).sum()
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


@pytest.mark.parametrize('threshold, min_kept, smoothing', [
    (0.3, 0, 0.0), (0.7, 0, 0.1), (0.01, 20, 0.0), (0.01, 900, 0.0), (0.3, 5, 0.0), (1.0, 0, 0.0),
    (0.01, 10 ** 6, 0.0)])
def test_bootstrapping_keeps_improbable_pixels_and_at_least_so_many(threshold, min_kept, smoothing):
    logits, labels = random_case((51, 53))  # enough pixels for the order of the kept ones to matter
    weights = (0.5, 1.0, 2.0, 3.0, 0.25)
    loss, gradient = run(logits, labels, bootstrap_threshold=threshold, bootstrap_min_kept=min_kept,
                         label_smoothing=smoothing, label_weights=weights)
    surprises, losses_ = surprises_and_smoothed(logits, labels, smoothing)
    valid = labels != IGNORE
    probabilities = np.where(valid, np.exp(-surprises), 2)
    kept = valid & (probabilities < threshold)
    if min_kept:
        worst = np.sort(probabilities.ravel())[:min(min_kept, valid.sum())][-1]
        kept |= valid & (probabilities <= worst)
        assert kept.sum() >= min(min_kept, valid.sum())
    weighted = losses_ * np.array(weights)[np.where(valid, labels, 0)]
    np.testing.assert_allclose(loss, weighted[kept].sum() / kept.sum(), rtol=1e-6)
    np.testing.assert_array_equal((gradient != 0).any(-1), kept)


@pytest.mark.parametrize('options', [{'bootstrap_threshold': 0.5}, {'label_smoothing': 0.1},
                                     {'bootstrap_threshold': 0.5, 'bootstrap_min_kept': 7}])
def test_a_batch_without_labels_costs_nothing_however_pixels_are_chosen(options):
    logits, labels = random_case()
    loss, gradient = run(logits, np.full_like(labels, IGNORE), **options)
    assert loss == 0 and (gradient == 0).all()


def test_bootstrapping_without_hard_pixels_costs_nothing():
    _, labels = random_case()
    sure = 20 * np.eye(5, dtype=np.float32)[np.where(labels == IGNORE, 0, labels)]
    loss, gradient = run(sure, labels, bootstrap_threshold=0.5)
    assert loss == 0 and (gradient == 0).all()


@pytest.mark.parametrize('options, message', [
    ({'top_k_percent': 0.0}, 'top_k_percent is 0.0'),
    ({'top_k_percent': 1.5}, 'top_k_percent is 1.5'),
    ({'top_k_percent': 0.5, 'top_k_ramp_steps': 10}, 'needs the step'),
    ({'label_smoothing': 1.0}, 'label_smoothing is 1.0'),
    ({'bootstrap_threshold': 1.5}, 'bootstrap_threshold is 1.5'),
    ({'bootstrap_threshold': 0.5, 'top_k_percent': 0.5}, 'both choose pixels'),
    ({'bootstrap_min_kept': 5}, 'needs a bootstrap_threshold'),
])
def test_impossible_mining_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(*random_case(), **options)




def test_l2_loss_is_half_the_sum_of_squares_of_what_the_rule_names():
    shapes = {'a/weights': [2, 3], 'a/biases': [3], 'b/depthwise_weights': [2, 2, 3, 1], 'b/pointwise_weights': [3, 4],
              'b/BatchNorm/gamma': [4], 'c_depthwise/depthwise_weights': [2, 2, 3, 1], 'c_pointwise/weights': [3, 4]}
    one_layer = {'b/depthwise_weights', 'b/pointwise_weights'}
    decayed = {'conv_weights': {'a/weights', 'c_pointwise/weights', *one_layer},
               'all_kernels': {'a/weights', 'c_pointwise/weights', 'c_depthwise/depthwise_weights', *one_layer},
               'all_trainable': set(shapes)}
    assert set(decayed) == set(losses.RULES)
    random = np.random.RandomState(0)
    values = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(name, initializer=value) for name, value in values.items()]
        session.run(tf.global_variables_initializer())
        for rule, names in decayed.items():
            expected = 0.01 * sum((values[name].astype(np.float64) ** 2).sum() / 2 for name in names)
            np.testing.assert_allclose(session.run(losses.l2_loss(variables, 0.01, rule)), expected, rtol=1e-6)
        assert session.run(losses.l2_loss(variables, 0.0, 'conv_weights')) == 0
        with pytest.raises(ValueError, match="'weights' is unknown; .*: conv_weights, all_kernels, all_trainable"):
            losses.l2_loss(variables, 0.01, 'weights')
        with pytest.raises(ValueError, match='applies to none of 1 variables'):
            losses.l2_loss(variables[1:2], 0.01, 'conv_weights')


def test_rule_conv_weights_names_what_the_official_code_regularises():
    manifests = oracle.manifests()
    assert len(manifests) == 66
    for config, manifest in manifests.items():
        named = losses.RULES['conv_weights']([name for name, _ in manifest['variables']])
        assert set(named) == set(manifest['l2_regularized']), config
