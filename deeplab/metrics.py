"""Scores of a segmentation, all derived from one int64 confusion matrix whose rows are the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from console.choices import choose
from deeplab.compat import tf

# rule for classes absent from the truth -> which classes the mean counts, given the pixels of each in the truth and in
# the union of truth and prediction (arrays or tensors)
ABSENT_RULES = {
    'union': lambda truth, union: union > 0,  # official DeepLab: a class that is only predicted counts with IoU 0
    'ground_truth': lambda truth, union: truth > 0,
    'zero': lambda truth, union: union >= 0,  # every class counts; one that occurs nowhere has IoU 0
}

TRIMAP = 'trimap'


def confusion_matrix(labels: tf.Tensor, predictions: tf.Tensor, num_classes: int, ignore_label: int) -> tf.Tensor:
    """Pixel counts int64 [C,C], truth by prediction, of int labels and predictions of one shape.

    Running it fails on an id outside [0, num_classes) that isn't `ignore_label`: it would be scored as another class.
    """
    # Integer counting on the CPU: TensorFlow has no deterministic GPU kernel for it.
    with tf.device('/cpu:0'):
        labels, predictions = (tf.reshape(tf.cast(ids, tf.int32), [-1]) for ids in (labels, predictions))
        counted = tf.not_equal(labels, ignore_label)
        labels = tf.where(counted, labels, tf.zeros_like(labels))
        checks = [_inside('label', labels, num_classes), _inside('prediction', predictions, num_classes)]
        with tf.control_dependencies(checks):
            pairs = tf.where(counted, labels * num_classes + predictions, tf.fill(tf.shape(labels), num_classes ** 2))
        # One bin more than the matrix has takes the ignored pixels.
        counts = tf.raw_ops.Bincount(arr=pairs, size=num_classes ** 2 + 1, weights=tf.constant([], tf.int64))
        return tf.reshape(counts[:-1], [num_classes, num_classes])


def _inside(what: str, ids: tf.Tensor, num_classes: int) -> tf.Operation:
    message = f'a {what} is outside [0, {num_classes})'
    return tf.group(tf.debugging.assert_non_negative(ids, message=message),
                    tf.debugging.assert_less(ids, num_classes, message=message))


def streaming_confusion_matrix(labels: tf.Tensor, predictions: tf.Tensor, num_classes: int, ignore_label: int,
                               derive: Callable[[tf.Tensor], Any] = lambda matrix: matrix) -> tuple[Any, tf.Operation]:
    """(value, update) like those of `tf.metrics`: the matrix over all batches and replicas so far.

    `derive` turns the value into scalars, say {'mean_iou': mean_iou(matrix)}. It has to happen here: under a strategy
    Estimator refuses values that each replica computes for itself. And every replica needs a batch in every step: a
    last step with too few ends in OutOfRange, which may or may not come before the other replicas' updates (measured).
    """
    matrix = tf.Variable(
        lambda: tf.zeros([num_classes, num_classes], tf.int64), trainable=False, name='confusion_matrix',
        collections=[tf.GraphKeys.LOCAL_VARIABLES, tf.GraphKeys.METRIC_VARIABLES],
        synchronization=tf.VariableSynchronization.ON_READ, aggregation=tf.VariableAggregation.SUM)
    update = matrix.assign_add(confusion_matrix(labels, predictions, num_classes, ignore_label))
    replicas = tf.distribute.get_replica_context()
    return replicas.merge_call(lambda _, total: derive(tf.identity(total)), args=(matrix,)), update


def in_band(labels: tf.Tensor, width: int, ignore_label: int, around: str) -> tf.Tensor:
    """Labels [N,H,W] with what is outside a band ignored: all that is more than `width` rows or columns away.

    The band is around ignored pixels ('void'), as DeepLab's trimaps are (v1 to v3+, after Kohli et al., IJCV
    2009), or around pixels beside one of another label ('edges'), where a dataset draws no void borders.
    """
    core = tf.equal(labels, ignore_label) if around == 'void' else _edges(labels)
    near = tf.cast(core, tf.float32)[..., tf.newaxis]
    for window in ([2 * width + 1, 1], [1, 2 * width + 1]):  # a square, by its sides
        near = tf.nn.max_pool2d(near, window, 1, 'SAME')
    return tf.where(near[..., 0] > 0, labels, tf.fill(tf.shape(labels), ignore_label))


def _edges(labels: tf.Tensor) -> tf.Tensor:
    """Whether one of the four neighbours differs, bool [N,H,W]."""
    down, right = tf.not_equal(labels[:, 1:], labels[:, :-1]), tf.not_equal(labels[:, :, 1:], labels[:, :, :-1])
    sides = ((down, [[0, 0], [1, 0], [0, 0]]), (down, [[0, 0], [0, 1], [0, 0]]),
             (right, [[0, 0], [0, 0], [1, 0]]), (right, [[0, 0], [0, 0], [0, 1]]))
    return tf.reduce_any(tf.stack([tf.pad(differs, missing) for differs, missing in sides]), 0)


def joined(matrix: np.ndarray, groups: tuple[int, ...]) -> np.ndarray:
    """The confusion matrix [G,G] of groups of classes, given the group 0..G-1 of each class."""
    member = np.eye(max(groups) + 1, dtype=matrix.dtype)[list(groups)]
    return member.T @ matrix @ member


def _intersection_truth_union(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Pixels per class, float64 tensors of shape (C,)."""
    matrix = tf.cast(matrix, tf.float64)
    intersection, truth = tf.linalg.diag_part(matrix), tf.reduce_sum(matrix, 1)
    return intersection, truth, truth + tf.reduce_sum(matrix, 0) - intersection


def _iou_and_counted(matrix: tf.Tensor, absent: str) -> tuple[tf.Tensor, tf.Tensor]:
    """(IoU of each class float64 [C], which of them the rule counts bool [C]) of a matrix tensor."""
    intersection, truth, union = _intersection_truth_union(matrix)
    return tf.math.divide_no_nan(intersection, union), ABSENT_RULES[absent](truth, union)


def per_class_iou(matrix: tf.Tensor, absent: str) -> tf.Tensor:
    """IoU of each class, of a matrix tensor; NaN for classes that the rule doesn't count."""
    iou, counted = _iou_and_counted(matrix, absent)
    return tf.cast(tf.where(counted, iou, tf.fill(tf.shape(iou), tf.constant(np.nan, tf.float64))), tf.float32)


def mean_iou(matrix: tf.Tensor, absent: str) -> tf.Tensor:
    """Mean IoU of a matrix tensor over the classes that the rule counts; 0 when there is none."""
    iou, counted = _iou_and_counted(matrix, absent)
    counted = tf.cast(counted, tf.float64)
    return tf.cast(tf.math.divide_no_nan(tf.reduce_sum(counted * iou), tf.reduce_sum(counted)), tf.float32)


def pixel_accuracy(matrix: tf.Tensor) -> tf.Tensor:
    """Share of the scored pixels of a matrix tensor that are right; 0 when there is none."""
    intersection, truth, _ = _intersection_truth_union(matrix)
    return tf.cast(tf.math.divide_no_nan(tf.reduce_sum(intersection), tf.reduce_sum(truth)), tf.float32)


@dataclass(frozen=True)
class Counts:
    """Pixels of each class, float64 [C], by a confusion matrix; `counted` bool [C] are those in the mean."""

    intersection: np.ndarray
    truth: np.ndarray
    union: np.ndarray
    counted: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        return self.intersection / np.maximum(self.union, 1)


def _mean_iou(pixels: Counts) -> float:
    """The mean of the classes' intersection over union, as Pascal VOC scores segmentations."""
    return pixels.iou[pixels.counted].mean()


def _pixel_accuracy(pixels: Counts) -> float:
    """The share of the scored pixels that are right."""
    return pixels.intersection.sum() / pixels.truth.sum()


def _mean_class_accuracy(pixels: Counts) -> float:
    """The mean over the classes in the truth of the share of their pixels that are right."""
    return (pixels.intersection / np.maximum(pixels.truth, 1))[pixels.truth > 0].mean()


def _frequency_weighted_iou(pixels: Counts) -> float:
    """IoU, each class weighted by its share of the truth (Long et al., 2015, section 5)."""
    return (pixels.truth * pixels.iou).sum() / pixels.truth.sum()


# name in results -> (title in tables, a share in [0, 1] by the pixels of the classes)
METRICS: dict[str, tuple[str, Callable[[Counts], float]]] = {
    'mean_iou': ('mean IoU', _mean_iou),
    'pixel_accuracy': ('pixel accuracy', _pixel_accuracy),
    'mean_class_accuracy': ('mean class accuracy', _mean_class_accuracy),
    'frequency_weighted_iou': ('frequency-weighted IoU', _frequency_weighted_iou),
}


class Scores(NamedTuple):
    """`of`: each of METRICS by name; `per_class_iou`: NaN where the absent rule doesn't count a class. In [0, 1]."""

    of: dict[str, float]
    per_class_iou: tuple[float, ...]


def scores(matrix: np.ndarray, absent: str) -> Scores:
    """Every score of a confusion matrix [C,C]; `absent` is a key of ABSENT_RULES. ValueError if it counts no pixel."""
    counts = choose('evaluation.absent', absent, ABSENT_RULES)
    if not np.any(matrix):
        raise ValueError('the confusion matrix is empty: every label that was evaluated is the ignore label')
    intersection, truth = np.diagonal(matrix).astype(np.float64), matrix.sum(1, dtype=np.float64)
    union = truth + matrix.sum(0, dtype=np.float64) - intersection
    pixels = Counts(intersection, truth, union, counts(truth, union))
    return Scores({name: float(metric(pixels)) for name, (_, metric) in METRICS.items()},
                  tuple(np.where(pixels.counted, pixels.iou, np.nan).tolist()))
