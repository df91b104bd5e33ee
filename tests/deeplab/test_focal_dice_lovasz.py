"""Focal, Dice and Lovász-softmax by their papers' definitions, in NumPy's float64."""

import itertools

import numpy as np
import pytest

from deeplab import losses
from deeplab.compat import tf

IGNORE, CLASSES = 255, 4


def random_case(size=(5, 7), seed=0):
    """Float32 logits [2,h,w,C] and labels [2,h,w] without the last class, a fifth ignored."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, CLASSES - 1, (2, *size)).astype(np.int32)
    labels[random.rand(*labels.shape) < 0.2] = IGNORE
    return random.normal(0, 2, (2, *size, CLASSES)).astype(np.float32), labels


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(-1, keepdims=True)


def run(name, logits, labels, **options):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(losses.loss(tf.constant(logits), tf.constant(labels), IGNORE, name, **options))


@pytest.mark.parametrize('gamma', [0, 0.5, 1, 2, 5])
@pytest.mark.parametrize('alpha', [None, (0.25, 1.0, 3.0, 7.0)])
def test_focal_equals_equations_4_and_5(gamma, alpha):
    logits, labels = random_case()
    valid = labels != IGNORE
    p = np.take_along_axis(softmax(logits), np.where(valid, labels, 0)[..., None], -1)[..., 0][valid]
    weights = np.array(alpha or (1,) * CLASSES)[labels[valid]]
    expected = np.mean(-weights * (1 - p) ** gamma * np.log(p))
    found = run('focal', logits, labels, focal_gamma=gamma, label_weights=alpha)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_focal_without_gamma_is_cross_entropy():
    logits, labels = random_case()
    np.testing.assert_allclose(run('focal', logits, labels, focal_gamma=0.0), run('cross_entropy', logits, labels),
                               rtol=1e-6)
    with pytest.raises(ValueError, match='focal_gamma is -1'):
        run('focal', logits, labels, focal_gamma=-1)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0])
def test_focal_of_a_pixel_that_is_surely_right_has_no_gradient(gamma):
    """Where 1 - p is 0, powers below 1 have an infinite slope."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant([[[[200.0, 0.0]]]])
        loss = losses.loss(logits, tf.constant([[[0]]]), IGNORE, 'focal', focal_gamma=gamma)
        value, gradient = session.run([loss, tf.gradients(loss, logits)[0]])
    assert value == 0 and (gradient == 0).all()


WEIGHTS = [0.5, 2.0, 3.0, 7.0]  # of labels; the last is nowhere


@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_dice_equals_the_coefficient_of_v_net_for_each_class_that_is_there(weights):
    logits, labels = random_case()
    p = softmax(logits)[labels != IGNORE]
    g = np.eye(CLASSES)[labels[labels != IGNORE]]
    coefficients = [2 * np.sum(p[:, c] * g[:, c]) / (np.sum(p[:, c] ** 2) + np.sum(g[:, c] ** 2)) for c in range(3)]
    each = (1 - np.array(coefficients)) * (weights or np.ones(CLASSES))[:3]
    np.testing.assert_allclose(run('dice', logits, labels, label_weights=weights), np.mean(each), rtol=1e-6)


def jaccard_loss(wrong, truth):
    """1 - IoU of a class by sets: its pixels `truth`, of which those in `wrong` are missed, and the other wrong ones
    taken for it (Berman et al., equation 6)."""
    return len(wrong) / len(truth | wrong) if wrong else 0.0


def lovasz_extension(errors, truth):
    """Definition 2: sum_i m_i (Delta({pi_1..pi_i}) - Delta({pi_1..pi_i-1})), errors in falling order."""
    order = np.argsort(-errors)
    return sum(errors[pixel] * (jaccard_loss(set(order[:i + 1]), truth) - jaccard_loss(set(order[:i]), truth))
               for i, pixel in enumerate(order))


@pytest.mark.parametrize(('seed', 'weights'), [(0, None), (1, None), (2, WEIGHTS)])
def test_lovasz_softmax_equals_the_extension_of_the_set_function(seed, weights):
    logits, labels = random_case(seed=seed)
    p, labels_ = softmax(logits)[labels != IGNORE], labels[labels != IGNORE]
    each = [lovasz_extension(np.abs((labels_ == c) - p[:, c]), set(np.flatnonzero(labels_ == c))) for c in range(3)]
    each = np.array(each) * (weights or np.ones(CLASSES))[:3]
    np.testing.assert_allclose(run('lovasz_softmax', logits, labels, label_weights=weights), np.mean(each), rtol=1e-5)


def test_lovasz_softmax_of_sure_logits_is_one_minus_iou():
    """The extension equals the function where every error is 0 or 1: for all predictions of four pixels."""
    labels = np.array([[[0, 0, 1, 1, IGNORE]]], np.int32)
    truth = labels[0, 0, :4]
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [1, 1, 5, CLASSES])
        loss = losses.loss(fed, tf.constant(labels), IGNORE, 'lovasz_softmax')
        for predicted in itertools.product(range(3), repeat=4):
            predicted = np.array(predicted)
            iou = [np.sum((predicted == c) & (truth == c)) / np.sum((predicted == c) | (truth == c)) for c in (0, 1)]
            found = session.run(loss, {fed: 200 * np.eye(CLASSES)[[*predicted, 0]][None, None]})
            np.testing.assert_allclose(found, 1 - np.mean(iou), atol=1e-6)


def test_lovasz_softmax_keeps_its_digits_over_a_million_pixels():
    """Against float64; differences of 1 - IoU between neighbours are far below float32's steps."""
    random = np.random.RandomState(0)
    logits = random.normal(0, 1, (1, 1000, 1000, 2)).astype(np.float32)
    labels = random.randint(0, 2, (1, 1000, 1000)).astype(np.int32)
    p, each = softmax(logits).reshape(-1, 2), []
    gradient = np.zeros((2, labels.size))
    for c in range(2):
        truth = labels.ravel() == c
        errors = np.abs(truth - p[:, c])
        order = np.argsort(-errors, kind='stable')
        left = truth.sum() - np.cumsum(truth[order])
        curve = 1 - left / (truth.sum() + np.cumsum(~truth[order]))
        gradient[c, order] = np.diff(curve, prepend=0.0) * np.where(truth[order], -1, 1)
        each.append(np.sum(errors * np.abs(gradient[c])))
    by_logit = p[:, 0] * p[:, 1] * (gradient[0] - gradient[1]) / 2
    with tf.Graph().as_default(), tf.Session() as session:
        seen = tf.constant(logits)
        loss = losses.loss(seen, tf.constant(labels), IGNORE, 'lovasz_softmax')
        value, slope = session.run([loss, tf.gradients(loss, seen)[0]])
    np.testing.assert_allclose(value, np.mean(each), rtol=1e-4)
    relative = np.abs(slope[..., 0].ravel() - by_logit) / np.abs(by_logit).max()
    assert np.quantile(relative, 0.999) < 1e-4
