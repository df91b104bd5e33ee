"""What training minimises: the losses that a recipe names, and weight decay.

A loss is a function of a `Batch` and a line of LOSSES. Its keyword-only arguments are fields of a recipe's `loss`; one
that it doesn't have is refused where a recipe sets it.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from console.choices import choose
from deeplab.compat import tf
from deeplab.kernels import cross_entropy as kernel
from deeplab.layers import resize
from deeplab.options import signature
from deeplab.recipes import schema

LEAST_PROBABILITY = 1e-30  # of a class, where its logarithm is taken


class Batch(NamedTuple):
    """What a loss sees of a batch, as P pixels of one size; `counted` but not `is_class` are labels that are neither.

    A loss has no gradient where not `is_class`, and is 0 where that is nowhere. `label_weights` scale what each class's
    pixels cost, or the class's own loss, without entering a mean's denominator.
    """

    logits: tf.Tensor  # [P,C]
    classes: tf.Tensor  # [P] the true ones, 0 where there is none
    is_class: tf.Tensor  # [P] bool: the label is one of the C classes and not ignored
    counted: tf.Tensor  # [P] bool: the label isn't ignored
    label_weights: Sequence[float] | None  # [C]
    step: tf.Tensor | None  # the global step
    own: bool = False  # by our kernels


def loss(logits: tf.Tensor, labels: tf.Tensor, ignore_label: int, name: str = 'cross_entropy', *,
         label_weights: Sequence[float] | None = None, upsample_logits: bool = True, step: tf.Tensor | None = None,
         own: bool = False, **options: Any) -> tf.Tensor:
    """The loss of that name, a key of LOSSES, over the pixels that aren't ignored; 0 when all are. A float32 scalar.

    logits [N,h,w,C] are brought to the size of labels [N,H,W] (bilinear), or, without `upsample_logits`, labels to that
    of the logits (nearest). A label outside [0, C) that isn't `ignore_label` has no gradient either, but counts as a
    pixel where a loss is a mean over pixels. `own` takes our kernel in place of TensorFlow's cross-entropy.
    """
    logits = tf.cast(logits, tf.float32)
    if upsample_logits:
        logits = resize.resize_bilinear(logits, resize.spatial_size(labels))
    else:
        labels = tf.squeeze(resize.resize_nearest(labels[..., tf.newaxis], resize.spatial_size(logits)), 3)
    num_classes = logits.shape[-1]
    if label_weights is not None and len(label_weights) != num_classes:
        raise ValueError(f'{len(label_weights)} label_weights for {num_classes} classes')
    batch = _batch(logits, labels, ignore_label)._replace(label_weights=label_weights, step=step, own=own)
    return choose('loss.name', name, LOSSES)(batch, **options)


def of_probabilities(probabilities: tf.Tensor, labels: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """`loss` by cross-entropy of the logits that have these probabilities [N,H,W,C], for labels [N,H,W].

    It takes one logarithm a pixel, of the true class's probability, where logits would need one of a sum over classes.
    """
    batch = _batch(probabilities, labels, ignore_label)
    true = tf.gather(batch.logits, batch.classes, axis=1, batch_dims=1)
    return _mean(-tf.log(tf.maximum(true, LEAST_PROBABILITY)) * _pixel_weights(batch), batch.counted)


def _batch(scores: tf.Tensor, labels: tf.Tensor, ignore_label: int) -> Batch:
    num_classes = scores.shape[-1]
    labels = tf.reshape(labels, [-1])
    counted = tf.not_equal(labels, ignore_label)
    is_class = (labels >= 0) & (labels < num_classes) & counted
    classes = tf.where(is_class, labels, tf.zeros_like(labels))
    return Batch(tf.reshape(scores, [-1, num_classes]), classes, is_class, counted, None, None)


def cross_entropy(batch: Batch, *, label_smoothing: float = 0.0, top_k_percent: float = 1.0, top_k_ramp_steps: int = 0,
                  bootstrap_threshold: float = 0.0, bootstrap_min_kept: int = 0) -> tf.Tensor:
    """Softmax cross-entropy: the mean of -ln p of the true class.

    `label_smoothing` e aims at 1 - e for the true class plus e / C for each (Szegedy et al., 2016, arXiv:1512.00567).

    With `top_k_percent` < 1 only that share of all pixels, the hardest, is kept, and their mean is taken over the
    losses that aren't exactly 0; over the first `top_k_ramp_steps` the share falls linearly from 1.

    With `bootstrap_threshold` > 0 the mean is taken over the pixels whose true class has a lower probability, and over
    the `bootstrap_min_kept` least probable ones of the batch in any case.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f'label_smoothing is {label_smoothing}; it is a share of the target, at least 0 and below 1')
    _check_mining(top_k_percent, top_k_ramp_steps, batch.step, bootstrap_threshold, bootstrap_min_kept)
    surprises = _surprises(batch)
    losses = surprises
    if label_smoothing:
        smooth = tf.reduce_mean(tf.nn.log_softmax(batch.logits), axis=1)
        losses = (1 - label_smoothing) * surprises - label_smoothing * smooth
    losses *= _pixel_weights(batch)
    counted = batch.counted
    if top_k_percent < 1:
        losses = _hardest(losses, top_k_percent, top_k_ramp_steps, batch.step)
        counted = tf.not_equal(losses, 0)
    elif bootstrap_threshold:
        counted = _improbable(tf.where(batch.is_class, surprises, -tf.ones_like(surprises)), bootstrap_threshold,
                              bootstrap_min_kept)
        losses = tf.where(counted, losses, tf.zeros_like(losses))
    return _mean(losses, counted)


def focal(batch: Batch, *, focal_gamma: float = 2.0) -> tf.Tensor:
    """Focal loss: the mean of -(1 - p)^gamma ln p, p being the true class's probability.

    Lin et al., 2017, arXiv:1708.02002, equation 4, and with label weights as alpha equation 5; of a softmax over all
    classes where the paper has a sigmoid for each, and divided by pixels where it has anchors assigned to objects.
    """
    if focal_gamma < 0:
        raise ValueError(f'focal_gamma is {focal_gamma}; it is an exponent of at least 0, and 0 is cross_entropy')
    surprises = _surprises(batch)
    wrong = tf.maximum(-tf.math.expm1(-surprises), 1e-30)  # 1 - p; at 0 powers below 1 have no slope, the loss has
    return _mean(_pixel_weights(batch) * wrong ** focal_gamma * surprises, batch.counted)


def dice(batch: Batch) -> tf.Tensor:
    """1 minus the Dice coefficient of V-Net, averaged over the classes that are in the batch.

    That is 2 sum(p g) / (sum(p^2) + sum(g^2)) over the batch's pixels, p being the class's probability and g whether it
    is the true one (Milletari et al., 2016, arXiv:1606.04797, "Dice loss layer", where there is one class, an organ).
    Of a class that is nowhere in the batch it is 0 without a gradient, whatever is predicted: such classes are left
    out, and no denominator needs smoothing.
    """
    probabilities, truth = _probabilities_and_truth(batch)
    overlap = tf.reduce_sum(probabilities * truth, 0)
    sizes = tf.reduce_sum(probabilities ** 2, 0) + tf.reduce_sum(truth, 0)  # g^2 is g
    return _mean_over_classes(1 - tf.math.divide_no_nan(2 * overlap, sizes), truth, batch)


def lovasz_softmax(batch: Batch) -> tf.Tensor:
    """The Lovász extension of 1 - IoU at each class's errors, averaged over the classes that are in the batch.

    Berman et al., 2018, arXiv:1705.08790, definition 2 and algorithm 1; over the whole batch, as the authors' code
    does with classes='present' and per_image=False (bermanmaxim/LovaszSoftmax@1fe212b:tensorflow/lovasz_losses_tf.py).
    Where every probability is 0 or 1 it is 1 - IoU of the prediction. All pixels are sorted once for each class, which
    on a CPU can take longer than the net.
    """
    probabilities, truth = _probabilities_and_truth(batch)
    errors = tf.transpose(tf.abs(truth - probabilities))  # [C,P], 0 where there is no class: these come last
    errors, order = tf.nn.top_k(errors, tf.shape(errors)[1])
    missed = tf.gather(tf.transpose(truth), order, batch_dims=1)
    # Counting the pixels as wrong one after the other, what is left of the intersection, and the union.
    size = tf.reduce_sum(missed, 1, keepdims=True)
    intersection, union = size - tf.cumsum(missed, 1), size + tf.cumsum(1 - missed, 1)
    # By how much 1 - I/U grows with a pixel: 1/U where it was in the intersection, else I/(U-1) - I/U. Written so since
    # differences of neighbours among millions would keep one digit in float32.
    growth = tf.where(missed > 0, tf.math.divide_no_nan(1.0, union),
                      tf.math.divide_no_nan(intersection, union * (union - 1)))
    return _mean_over_classes(tf.reduce_sum(errors * tf.stop_gradient(growth), 1), truth, batch)


# name -> f(batch, **options); the names and what they mean are choices of deeplab.recipes.schema
LOSSES: dict[str, Callable[..., tf.Tensor]] = {
    'cross_entropy': cross_entropy, 'focal': focal, 'dice': dice, 'lovasz_softmax': lovasz_softmax}


def options_of(name: str) -> list[str]:
    """The fields of a recipe's `loss` that this loss has and not every one."""
    return list(signature(LOSSES[name]))


def check(chosen: schema.Loss) -> None:
    """ValueError for a field that is set and that the loss doesn't have, which would be ignored in silence."""
    for field in dataclasses.fields(chosen):
        having = [name for name in LOSSES if field.name in options_of(name)]
        value = getattr(chosen, field.name)
        if having and chosen.name not in having and value != field.default:
            raise ValueError(f'loss.{field.name} = {value!r} does nothing for loss.name = {chosen.name!r}, only for '
                             f'{", ".join(having)}; leave it at {field.default!r}')


def _check_mining(top_k_percent: float, top_k_ramp_steps: int, step: tf.Tensor | None, threshold: float, min_kept: int
                  ) -> None:
    if not 0 < top_k_percent <= 1:
        raise ValueError(f'top_k_percent is {top_k_percent}; it is a share of all pixels, above 0 and at most 1')
    if top_k_ramp_steps and step is None:
        raise ValueError(f'top_k_ramp_steps is {top_k_ramp_steps}, which needs the step')
    if not 0 <= threshold <= 1:
        raise ValueError(f'bootstrap_threshold is {threshold}; it is a probability, and 0 is off')
    if threshold and top_k_percent < 1:
        raise ValueError(f'bootstrap_threshold {threshold} and top_k_percent {top_k_percent} both choose pixels; '
                         f'leave one of them off')
    if min_kept and not threshold:
        raise ValueError(f'bootstrap_min_kept is {min_kept}, which needs a bootstrap_threshold')


def _surprises(batch: Batch) -> tf.Tensor:
    """-ln p [P] of the true class; something finite where there is none."""
    if batch.own:
        return kernel.cross_entropy(batch.logits, batch.classes)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch.classes, logits=batch.logits)


def _pixel_weights(batch: Batch) -> tf.Tensor:
    """The factor [P] of each pixel's loss; 0 where the label is ignored or isn't a class."""
    weights = tf.cast(batch.is_class, batch.logits.dtype)
    if batch.label_weights is None:
        return weights
    return weights * tf.gather(tf.constant(batch.label_weights, batch.logits.dtype), batch.classes)


def _mean(losses: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(counted, losses.dtype)))


def _probabilities_and_truth(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
    """Two [P,C]: the softmax and what it should be, both 0 where there is no class."""
    truth = tf.one_hot(tf.where(batch.is_class, batch.classes, -tf.ones_like(batch.classes)), batch.logits.shape[-1],
                       dtype=batch.logits.dtype)
    probabilities = tf.nn.softmax(batch.logits)
    return tf.where(batch.is_class, probabilities, tf.zeros_like(probabilities)), truth


def _mean_over_classes(losses: tf.Tensor, truth: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Of losses [C], those of the classes that some pixel of truth [P,C] has."""
    present = tf.reduce_any(truth > 0, 0)
    if batch.label_weights is not None:
        losses *= tf.constant(batch.label_weights, losses.dtype)
    return _mean(tf.where(present, losses, tf.zeros_like(losses)), present)


def _improbable(surprises: tf.Tensor, threshold: float, min_kept: int) -> tf.Tensor:
    """Which pixels [P] count, from -ln p of the true class, or -1 where there is none.

    Another variant of dongzhuoyao/tensorpack (branch deeplab) takes a share of all pixels, sorted the easy ones first.
    """
    kept = surprises > -math.log(threshold)
    if min_kept:
        least = tf.math.top_k(surprises, tf.minimum(min_kept, tf.size(surprises)), sorted=True).values[-1]
        kept |= (surprises >= least) & (surprises >= 0)
    return kept


def _hardest(losses: tf.Tensor, share: float, ramp_steps: int, step: tf.Tensor | None) -> tf.Tensor:
    """The largest `share` of losses [P]. Ignored pixels count in P: how many are kept doesn't depend on the labels."""
    if ramp_steps:
        ramp = tf.minimum(1.0, tf.cast(step, tf.float32) / ramp_steps)
        share = ramp * share + (1 - ramp)
    kept = tf.cast(share * tf.cast(tf.size(losses), tf.float32), tf.int32)
    return tf.math.top_k(losses, kept, sorted=False).values


def _leaf(name: str) -> str:
    return name.rpartition('/')[2]


def _conv_weights(names: Sequence[str]) -> list[str]:
    """Dense kernels; of separable convolutions only those that are one layer, which only the NAS backbones have."""
    one_layer = {name.removesuffix('pointwise_weights') for name in names if _leaf(name) == 'pointwise_weights'}
    return [name for name in names if _leaf(name) == 'weights'
            or _leaf(name).endswith('_weights') and name.removesuffix(_leaf(name)) in one_layer]


# rule -> of the names of all variables those that are decayed
RULES: dict[str, Callable[[Sequence[str]], list[str]]] = {
    'conv_weights': _conv_weights,
    'all_kernels': lambda names: [name for name in names if _leaf(name).endswith('weights')],
    'all_trainable': list,
}


def l2_loss(variables: Sequence[tf.Variable], weight_decay: float, rule: str) -> tf.Tensor:
    """weight_decay * sum(w^2) / 2 over those of the trainable variables that `rule`, a key of RULES, decays."""
    decays = choose('loss.weight_decay_rule', rule, RULES)
    if not weight_decay:
        return tf.constant(0.0)
    # `.name`, not `.op.name`: a mirrored variable's op is the replica's and carries its suffix.
    names = [variable.name.split(':')[0] for variable in variables]
    decayed = set(decays(names))
    if not decayed:
        raise ValueError(f'weight decay rule {rule!r} applies to none of {len(variables)} variables')
    return weight_decay * tf.add_n([tf.nn.l2_loss(variable) for variable, name in zip(variables, names, strict=True)
                                    if name in decayed])
