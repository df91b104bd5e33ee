"""The CRF against brute force: kernels of all pairs of pixels, in numpy."""

import dataclasses

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.predicting import crf, lattice
from deeplab.recipes.protocol import Crf
from deeplab.training.devices import session_config
from tests.deeplab.predicting.test_predict import softmax

SMOOTH = Crf(bilateral_weight=4, bilateral_xy=5, bilateral_rgb=20, spatial_weight=3, spatial_xy=1.5)


def gaussian(features):
    """[P,P] of features [P,d] in deviations."""
    squares = np.square(features).sum(1)
    return np.exp(-np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0) / 2)


def positions(height, width):
    return np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing='ij'), -1).reshape(-1, 2).astype(float)


def kernels(image, parameters):
    """w1 * bilateral + w2 * spatial, each normalised: [P,P]."""
    where = positions(*image.shape[:2])
    colours = image.reshape(-1, 3) / parameters.bilateral_rgb
    both = ((parameters.bilateral_weight, gaussian(np.hstack([where / parameters.bilateral_xy, colours]))),
            (parameters.spatial_weight, gaussian(where / parameters.spatial_xy)))
    return sum(weight * kernel / np.sqrt(np.outer(kernel.sum(1), kernel.sum(1))) for weight, kernel in both)


def mean_fields(probabilities, pairwise, iterations):
    """The probabilities [P,C] before and after each iteration."""
    scores = np.log(np.maximum(probabilities, 1e-20))
    found = [softmax(scores)]
    for _ in range(iterations):
        found.append(softmax(scores + pairwise @ found[-1]))
    return found


def free_energy(q, probabilities, pairwise):
    """KL divergence from the CRF's distribution, up to a constant."""
    entropy = -(q * np.log(np.maximum(q, 1e-300))).sum()
    return -(q * np.log(np.maximum(probabilities, 1e-20))).sum() - (q * (pairwise @ q)).sum() / 2 - entropy


def energy(labels, probabilities, pairwise):
    """Of a labelling [P]."""
    different = labels[:, None] != labels
    return -np.log(probabilities[np.arange(len(labels)), labels]).sum() + (pairwise * different).sum() / 2


def scene(height=14, width=17, classes=4, seed=0):
    """Two coloured halves with noise, and probabilities [H,W,C] that are right more often than not."""
    random = np.random.RandomState(seed)
    truth = (np.arange(width) > width // 2).astype(int) + np.zeros((height, 1), int)
    image = np.array([[60, 90, 200], [200, 120, 40]])[truth] + random.normal(0, 8, (height, width, 3))
    logits = random.normal(0, 1.2, (height, width, classes)) + 2 * np.eye(classes)[truth]
    return image.astype(np.float32), softmax(logits).astype(np.float32), truth


def run(fetch):
    with tf.Session() as session:
        return session.run(fetch)


@pytest.mark.parametrize('sigma', [0.7, 3.0])
def test_the_grid_filter_is_the_sum_over_all_pixels(sigma):
    values = np.random.RandomState(0).rand(7 * 9, 2).astype(np.float32)
    with tf.Graph().as_default():
        found = run(lattice.grid_gaussian(tf.constant(7), tf.constant(9), sigma)(tf.constant(values)))
    np.testing.assert_allclose(found, gaussian(positions(7, 9) / sigma) @ values, rtol=1e-4)


@pytest.mark.parametrize('dimensions', [2, 5])
def test_the_lattice_is_near_the_sum_over_all_points(dimensions):
    """Weighted means of noise and of a ramp in 0..1, at 300 points within three deviations; the worst of them."""
    random = np.random.RandomState(0)
    features = 3 * random.rand(300, dimensions).astype(np.float32)
    values = np.stack([random.rand(300), features[:, 0] / 3, np.ones(300)], 1).astype(np.float32)
    with tf.Graph().as_default():
        found = run(lattice.permutohedral(tf.constant(features))(tf.constant(values)))
    kernel = gaussian(features)
    np.testing.assert_allclose(found / found[:, 2:], kernel @ values / kernel.sum(1, keepdims=True), atol=0.04)


def test_the_lattice_keeps_points_far_apart_apart():
    features = np.array([[0, 0], [0.1, 0], [40, 40], [-900, 700]], np.float32)
    with tf.Graph().as_default():
        found = run(lattice.permutohedral(tf.constant(features))(tf.constant(np.eye(4, dtype=np.float32))))
    assert found[0, 1] > 0.9 * found[0, 0] > 0
    assert (found[np.ix_([0, 1], [2, 3])] == 0).all() and found[2, 3] == 0
    assert (np.diag(found) > 0).all()


def test_mean_field_equals_brute_force():
    _, probabilities, _ = scene()
    flat = probabilities.reshape(-1, 4)
    where = positions(14, 17)
    exact = gaussian(where / 5), gaussian(where / 1.5)
    pairwise = sum(w * k / np.sqrt(np.outer(k.sum(1), k.sum(1))) for w, k in zip((4, 3), exact, strict=True))
    with tf.Graph().as_default():
        filters = [lambda values, kernel=kernel: tf.matmul(tf.constant(kernel, tf.float32), values)
                   for kernel in exact]
        found = run(crf.mean_field(tf.constant(flat), list(zip((4.0, 3.0), filters, strict=True)), 5))
    np.testing.assert_allclose(found, mean_fields(flat, pairwise, 5)[-1], atol=2e-5)


def session_of(parameters, precision='float32'):
    """A function of images [N,H,W,3] and probabilities [N,H,W,C]."""
    with tf.Graph().as_default() as graph:
        fed = [tf.placeholder(tf.float32, [None, None, None, channels]) for channels in (3, None)]
        fetched = crf.refine(*fed, parameters)
    session = tf.Session(graph=graph, config=session_config(precision))
    return lambda *values: session.run(fetched, dict(zip(fed, values, strict=True)))


@pytest.fixture(scope='module')
def refined():
    """One image and its probabilities -> probabilities, refined with SMOOTH."""
    refine = session_of(SMOOTH)
    return lambda image, probabilities: refine(image[None], probabilities[None])[0]


@pytest.mark.parametrize('seed', range(3))
def test_refining_is_near_brute_force_and_lowers_the_energy(refined, seed):
    image, probabilities, truth = scene(seed=seed)
    pairwise = kernels(image, SMOOTH)
    flat = probabilities.reshape(-1, 4)
    wanted = mean_fields(flat, pairwise, SMOOTH.iterations)[-1].reshape(probabilities.shape)
    found = refined(image, probabilities)
    assert np.abs(found - wanted).mean() < 0.01
    assert (found.argmax(-1) == wanted.argmax(-1)).mean() > 0.97
    before, after = (energy(each.argmax(-1).ravel(), flat, pairwise) for each in (probabilities, found))
    assert after < 0.8 * before
    assert (found.argmax(-1) == truth).mean() > (probabilities.argmax(-1) == truth).mean() + 0.1


def test_every_iteration_lowers_the_free_energy(refined):
    image, probabilities, _ = scene()
    flat, pairwise = probabilities.reshape(-1, 4), kernels(image, SMOOTH)
    found = [free_energy(q, flat, pairwise) for q in mean_fields(flat, pairwise, 10)]
    assert (np.diff(found) <= 1e-9).all() and found[-1] < found[0] - 1
    once = session_of(dataclasses.replace(SMOOTH, iterations=1))(image[None], probabilities[None])
    ours = [free_energy(each.reshape(-1, 4).astype(float), flat, pairwise)
            for each in (once, refined(image, probabilities))]
    assert found[0] > ours[0] > ours[1]


def test_classes_that_are_nowhere_stay_nowhere_and_change_nothing(refined):
    image, probabilities, _ = scene()
    rare = np.full((*probabilities.shape[:2], 1), 1e-6, np.float32)
    found = refined(image, np.concatenate([probabilities[..., :2], rare, probabilities[..., 2:]], -1))
    assert (found[..., 2] == 0).all()
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.delete(found, 2, -1), refined(image, probabilities), atol=1e-4)


def test_images_of_a_batch_are_refined_one_by_one(refined):
    pairs = [scene(seed=seed)[:2] for seed in (0, 1)]
    found = session_of(SMOOTH)(*(np.stack(each) for each in zip(*pairs, strict=True)))
    for one, pair in zip(found, pairs, strict=True):
        np.testing.assert_allclose(one, refined(*pair), atol=1e-5)


def test_reduced_precision_moves_no_pixel_in_the_lattice(refined):
    """Positions and colours keep their digits; probabilities lose some."""
    image, probabilities, _ = scene()
    found = session_of(SMOOTH, 'bfloat16')(image[None], probabilities[None])[0]
    np.testing.assert_allclose(found, refined(image, probabilities), atol=0.05)


def test_features_too_far_apart_are_refused():
    features = np.array([[0.0] * 5, [1e5] * 5], np.float32)
    with tf.Graph().as_default(), pytest.raises(tf.errors.InvalidArgumentError, match='too many deviations apart'):
        run(lattice.permutohedral(tf.constant(features))(tf.ones([2, 1])))
