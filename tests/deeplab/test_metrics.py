
import numpy as np
import pytest

from deeplab import metrics, model_fn
from deeplab.compat import estimator, tensorflow, tf
from deeplab.run import resolve
from tests import models
from tests.deeplab.oracle import ORACLE
from tests.replicas import in_fresh_process, run_config

IGNORE = 255
CLASSES = 6


def random_case(images=4, seed=0):
    """Labels with ignored pixels; class 3 is absent everywhere, 4 only predicted, 5 only in the truth."""
    random = np.random.RandomState(seed)
    labels = random.choice([0, 1, 2, 5, IGNORE], (images, 5, 7)).astype(np.int32)
    predictions = random.choice([0, 1, 2, 4], labels.shape).astype(np.int32)
    return labels, predictions


def counted_matrix(labels, predictions, classes, ignore_label=IGNORE):
    matrix = np.zeros((classes, classes), np.int64)
    for label, prediction in zip(labels.ravel(), predictions.ravel(), strict=True):
        if label != ignore_label:
            matrix[label, prediction] += 1
    return matrix


def expected_ious(matrix, absent):
    """[(class, IoU)] of the classes that count, one by one."""
    ious = []
    for k in range(len(matrix)):
        hit, truth, union = matrix[k, k], matrix[k].sum(), matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]
        if {'union': union, 'ground_truth': truth, 'zero': 1}[absent]:
            ious.append((k, hit / union if union else 0.0))
    return ious


def run(tensor, feed=None):
    with tf.Session(graph=tensor.graph) as session:
        return session.run(tensor, feed)


def test_matrix_counts_truth_by_prediction():
    labels, predictions = random_case()
    with tf.Graph().as_default():
        matrix = run(metrics.confusion_matrix(tf.constant(labels), tf.constant(predictions), CLASSES, IGNORE))
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, counted_matrix(labels, predictions, CLASSES))


def test_matrix_takes_an_ignore_label_that_is_a_class_and_other_integer_types():
    labels, predictions = random_case()
    labels[labels == IGNORE] = 0
    with tf.Graph().as_default():
        labels_, predictions_ = tf.constant(labels, tf.uint8), tf.constant(predictions, tf.int64)
        matrix = run(metrics.confusion_matrix(labels_, predictions_, CLASSES, 0))
    np.testing.assert_array_equal(matrix, counted_matrix(labels, predictions, CLASSES, 0))
    assert matrix[0].sum() == 0


@pytest.mark.parametrize('what, label, prediction', [
    ('label', CLASSES, 0), ('label', -1, 0), ('prediction', 0, CLASSES), ('prediction', 0, -1)])
def test_matrix_refuses_ids_outside_the_classes(what, label, prediction):
    with tf.Graph().as_default():
        matrix = metrics.confusion_matrix(tf.constant([1, label]), tf.constant([1, prediction]), CLASSES, IGNORE)
        with pytest.raises(tf.errors.InvalidArgumentError, match=f'a {what} is outside .0, {CLASSES}.'):
            run(matrix)


@pytest.mark.parametrize('absent', metrics.ABSENT_RULES)
def test_scores_equal_a_loop_over_the_classes(absent):
    matrix = counted_matrix(*random_case(), CLASSES)
    scores = metrics.scores(matrix, absent)
    ious = expected_ious(matrix, absent)
    assert len(ious) == {'union': 5, 'ground_truth': 4, 'zero': 6}[absent]
    assert scores.of['mean_iou'] == pytest.approx(np.mean([iou for _, iou in ious]))
    np.testing.assert_allclose(scores.per_class_iou, [dict(ious).get(k, np.nan) for k in range(CLASSES)])
    assert scores.of['pixel_accuracy'] == pytest.approx(np.trace(matrix) / matrix.sum())
    present = [row for row in range(CLASSES) if matrix[row].any()]
    assert scores.of['mean_class_accuracy'] == pytest.approx(np.mean([matrix[k, k] / matrix[k].sum() for k in present]))
    by_class = dict(expected_ious(matrix, 'zero'))
    assert scores.of['frequency_weighted_iou'] == pytest.approx(
        sum(matrix[k].sum() / matrix.sum() * by_class[k] for k in range(CLASSES)))
    assert all(type(value) is float for value in (*scores.of.values(), *scores.per_class_iou))
    assert list(scores.of) == list(metrics.METRICS)


@pytest.mark.parametrize(('absent', 'counted'), [('union', 3), ('ground_truth', 2), ('zero', 4)])
def test_a_single_pixel_makes_a_class_present(absent, counted):
    """Class 1 is one pixel of the truth, class 2 one pixel of the prediction, class 3 is nowhere."""
    matrix = np.zeros((4, 4), np.int64)
    matrix[0, 0], matrix[1, 0], matrix[0, 2] = 8, 1, 1
    scores = metrics.scores(matrix, absent)
    assert np.isfinite(scores.per_class_iou).sum() == counted
    assert scores.of['mean_iou'] == pytest.approx(8 / 10 / counted)
    assert scores.of['mean_class_accuracy'] == pytest.approx(8 / 9 / 2)


@pytest.mark.parametrize('absent', metrics.ABSENT_RULES)
def test_scalars_in_the_graph_equal_the_scores(absent):
    matrix = counted_matrix(*random_case(), CLASSES)
    scores = metrics.scores(matrix, absent)
    with tf.Graph().as_default():
        tensor = tf.constant(matrix)
        np.testing.assert_allclose(run(metrics.mean_iou(tensor, absent)), scores.of['mean_iou'], rtol=1e-6)
        np.testing.assert_allclose(run(metrics.per_class_iou(tensor, absent)), scores.per_class_iou, rtol=1e-6)
        np.testing.assert_allclose(run(metrics.pixel_accuracy(tensor)), scores.of['pixel_accuracy'], rtol=1e-6)


@pytest.mark.parametrize('absent', metrics.ABSENT_RULES)
def test_the_classes_that_tensorboard_shows_are_those_of_its_mean(absent):
    """Under every rule: the mean of the curves iou/CLASS is the curve mean_iou, and both are the result's."""
    chosen = resolve(models.tiny(evaluation__absent=absent))
    matrix = counted_matrix(*random_case(), chosen.num_classes)
    with tf.Graph().as_default(), tf.Session() as session:
        shown = session.run(model_fn._scores(chosen, tf.constant(matrix)))
    classes = [shown[f'iou/{name}'] for name in chosen.dataset.class_names]
    scores = metrics.scores(matrix, absent)
    np.testing.assert_allclose(classes, scores.per_class_iou, rtol=1e-6)
    np.testing.assert_allclose([np.nanmean(classes), shown['mean_iou']], scores.of['mean_iou'], rtol=1e-6)


@pytest.mark.parametrize('absent', metrics.ABSENT_RULES)
def test_training_shows_the_mean_of_its_first_batch_by_the_rule_of_the_recipe(absent):
    chosen = resolve(models.tiny(evaluation__absent=absent, train__batch_size=2, train__accumulate_steps=2))
    labels, predictions = random_case()
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.one_hot(tf.constant(predictions[:2]), chosen.num_classes)
        model_fn._summarise(chosen, {'image': tf.zeros([*labels.shape, 3])}, tf.constant(labels), logits)
        written = [tensorflow.compat.v1.Summary.FromString(each) for each in
                   session.run(tf.get_collection(tf.GraphKeys.SUMMARIES))]
    shown = {value.tag: value.simple_value for summary in written for value in summary.value}
    scores = metrics.scores(counted_matrix(labels[:2], predictions[:2], chosen.num_classes), absent)
    assert shown['mean_iou'] == pytest.approx(scores.of['mean_iou'], rel=1e-6)
    assert shown['pixel_accuracy'] == pytest.approx(scores.of['pixel_accuracy'], rel=1e-6)


def test_a_batch_of_ignored_pixels_scores_zero_in_the_graph():
    with tf.Graph().as_default():
        matrix = metrics.confusion_matrix(tf.fill([2, 3], IGNORE), tf.zeros([2, 3], tf.int32), CLASSES, IGNORE)
        assert run(matrix).sum() == 0
        assert run(metrics.mean_iou(matrix, 'union')) == 0 and run(metrics.pixel_accuracy(matrix)) == 0


def test_scores_of_nothing_and_an_unknown_rule_are_refused():
    with pytest.raises(ValueError, match='every label that was evaluated is the ignore label'):
        metrics.scores(np.zeros((CLASSES, CLASSES), np.int64), 'union')
    with pytest.raises(ValueError, match="'skip' is unknown; choices: union, ground_truth, zero"):
        metrics.scores(np.eye(CLASSES, dtype=np.int64), 'skip')


def test_large_counts_stay_exact():
    matrix = np.array([[2 ** 53 + 1, 0], [0, 1]], np.int64)
    with tf.Graph().as_default():
        _, update = metrics.streaming_confusion_matrix(tf.constant([0, 1]), tf.constant([0, 1]), 2, IGNORE)
        variable, = tf.get_collection(tf.GraphKeys.METRIC_VARIABLES)
        assert not tf.trainable_variables() and not tf.global_variables()  # no weight, and in no checkpoint
        with tf.Session() as session:
            variable.load(matrix, session)
            np.testing.assert_array_equal(session.run(update), matrix + np.eye(2, dtype=np.int64))


def test_streaming_matrix_follows_the_official_evaluation():
    oracle = np.load(ORACLE / 'metrics.npz', allow_pickle=False)
    classes = len(oracle['confusion'])
    with tf.Graph().as_default(), tf.Session() as session:
        labels, predictions = tf.placeholder(tf.uint8, [1, None, None]), tf.placeholder(tf.uint8, [1, None, None])
        value, update = metrics.streaming_confusion_matrix(labels, predictions, classes, IGNORE)
        # Its mean counts what is only predicted, and its scalars of classes don't show it.
        mean, per_class = metrics.mean_iou(value, 'union'), metrics.per_class_iou(value, 'ground_truth')
        session.run(tf.local_variables_initializer())
        assert len(oracle['labels']) == 3
        for i, (label, prediction) in enumerate(zip(oracle['labels'], oracle['predictions'], strict=True)):
            session.run(update, {labels: label[None], predictions: prediction[None]})
            np.testing.assert_allclose(session.run(mean), oracle['mean_iou_after_each'][i], rtol=1e-6)
            np.testing.assert_allclose(session.run(per_class), oracle['class_iou_after_each'][i], rtol=1e-6)
        np.testing.assert_array_equal(session.run(value), oracle['confusion'])
    scores = metrics.scores(oracle['confusion'].astype(np.int64), 'union')
    np.testing.assert_allclose(scores.of['mean_iou'], oracle['mean_iou_after_each'][-1], rtol=1e-6)


def banded(labels, width, around):
    """The labels of one image, those with nothing of the core in their square ignored; pixel by pixel."""
    rows, columns = labels.shape

    def is_core(y, x):
        if around == 'void':
            return labels[y, x] == IGNORE
        beside = [(y + dy, x + dx) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        return any(labels[v, u] != labels[y, x] for v, u in beside if 0 <= v < rows and 0 <= u < columns)
    core = np.array([[is_core(y, x) for x in range(columns)] for y in range(rows)])
    found = np.full_like(labels, IGNORE)
    for y, x in np.ndindex(rows, columns):
        if core[max(y - width, 0):y + width + 1, max(x - width, 0):x + width + 1].any():
            found[y, x] = labels[y, x]
    return found


@pytest.mark.parametrize('around', ['void', 'edges'])
@pytest.mark.parametrize('width', [1, 2, 4])
def test_a_band_is_what_is_within_its_width(around, width):
    labels = np.zeros((2, 11, 13), np.int32)
    labels[0, 5, 6] = IGNORE  # a band that touches no border, and one in a corner
    labels[1, :3, :2], labels[1, 0, 12] = 2, IGNORE
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(metrics.in_band(tf.constant(labels), width, IGNORE, around))
    expected = np.stack([banded(image, width, around) for image in labels])
    assert 0 < np.count_nonzero(expected != IGNORE) < np.count_nonzero(labels != IGNORE)
    np.testing.assert_array_equal(found, expected)


def evaluate(config, labels, predictions):
    """Runs an Estimator's evaluate over pairs of one image a batch; as many as the replicas can share evenly."""
    def model_fn(features, labels, mode):
        values, update = metrics.streaming_confusion_matrix(
            labels, features, CLASSES, IGNORE,
            lambda matrix: {'matrix': matrix, 'mean_iou': metrics.mean_iou(matrix, 'union')})
        weight = tf.get_variable('weight', [])
        train_op = tf.train.get_or_create_global_step().assign_add(1)
        return estimator.EstimatorSpec(mode, loss=weight * 0.0, train_op=train_op,
                                       eval_metric_ops={name: (value, update) for name, value in values.items()})

    def input_fn():
        return tensorflow.data.Dataset.from_tensor_slices((predictions, labels)).batch(1)
    net = estimator.Estimator(model_fn, config=config)
    net.train(input_fn, steps=1)
    return net.evaluate(input_fn)


def evaluate_on(replicas, model_dir):
    return evaluate(run_config(replicas, model_dir=model_dir), *random_case(images=6))


@pytest.mark.parametrize('replicas', [1, 2])
def test_estimator_sums_the_matrix_over_batches_and_replicas(replicas, tmp_path):
    result = in_fresh_process(evaluate_on, replicas, str(tmp_path))
    expected = counted_matrix(*random_case(images=6), CLASSES)
    np.testing.assert_array_equal(result['matrix'], expected)
    np.testing.assert_allclose(result['mean_iou'], metrics.scores(expected, 'union').of['mean_iou'], rtol=1e-6)
