"""What training minimises: softmax cross-entropy with an ignore label, and weight decay."""

import math

from console.choices import choose
from deeplab.compat import tf
from deeplab.layers import resize


def softmax_cross_entropy(logits, labels, ignore_label, *, label_weights=None, label_smoothing=0.0, top_k_percent=1.0,
                          top_k_ramp_steps=0, step=None, bootstrap_threshold=0.0, bootstrap_min_kept=0,
                          upsample_logits=True):
    """Mean cross-entropy over the pixels that aren't ignored; 0 when all are. A float32 scalar.

    logits [N,h,w,C] are brought to the size of labels [N,H,W] (bilinear), or, without `upsample_logits`, labels to that
    of the logits (nearest). `label_weights` scales each class's pixels, without entering the denominator. A label
    outside [0, C) that isn't `ignore_label` costs nothing and has no gradient, but counts as a pixel.
    `label_smoothing` e aims at 1 - e for the true class plus e / C for each (Szegedy et al., 2016, arXiv:1512.00567).

    With `top_k_percent` < 1 only that share of all pixels, the hardest, is kept, and their mean is taken over the
    losses that aren't exactly 0; over the first `top_k_ramp_steps` the share falls linearly from 1.

    With `bootstrap_threshold` > 0 the mean is taken over the pixels whose true class has a lower probability, and over
    the `bootstrap_min_kept` least probable ones of the batch in any case.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f'label_smoothing is {label_smoothing}; it is a share of the target, at least 0 and below 1')
    _check_mining(top_k_percent, top_k_ramp_steps, step, bootstrap_threshold, bootstrap_min_kept)
    logits = tf.cast(logits, tf.float32)
    if upsample_logits:
        logits = resize.resize_bilinear(logits, resize.spatial_size(labels))
    else:
        labels = tf.squeeze(resize.resize_nearest(labels[..., tf.newaxis], resize.spatial_size(logits)), 3)
    logits = tf.reshape(logits, [-1, logits.shape[-1]])
    labels = tf.reshape(labels, [-1])
    is_class = (labels >= 0) & (labels < logits.shape[-1]) & tf.not_equal(labels, ignore_label)
    classes = tf.where(is_class, labels, tf.zeros_like(labels))
    surprises = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)  # -ln p of the true class
    losses = surprises
    if label_smoothing:
        losses = (1 - label_smoothing) * surprises - label_smoothing * tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
    losses *= _weights(is_class, classes, label_weights, logits.shape[-1])
    counted = tf.not_equal(labels, ignore_label)
    if top_k_percent < 1:
        losses = _hardest(losses, top_k_percent, top_k_ramp_steps, step)
        counted = tf.not_equal(losses, 0)
    elif bootstrap_threshold:
        counted = _improbable(tf.where(is_class, surprises, -tf.ones_like(surprises)), bootstrap_threshold,
                              bootstrap_min_kept)
        losses = tf.where(counted, losses, tf.zeros_like(losses))
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(counted, tf.float32)))


def _check_mining(top_k_percent, top_k_ramp_steps, step, threshold, min_kept):
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


def _weights(is_class, classes, label_weights, num_classes):
    """The factor [P] of each pixel's loss; 0 where the label is ignored or isn't a class."""
    weights = tf.cast(is_class, tf.float32)
    if label_weights is None:
        return weights
    if len(label_weights) != num_classes:
        raise ValueError(f'{len(label_weights)} label_weights for {num_classes} classes')
    return weights * tf.gather(tf.constant(label_weights, tf.float32), classes)


def _improbable(surprises, threshold, min_kept):
    """Which pixels [P] count, from -ln p of the true class, or -1 where there is none.

    Another variant of dongzhuoyao/tensorpack (branch deeplab) takes a share of all pixels, sorted the easy ones first.
    """
    kept = surprises > -math.log(threshold)
    if min_kept:
        least = tf.math.top_k(surprises, tf.minimum(min_kept, tf.size(surprises)), sorted=True).values[-1]
        kept |= (surprises >= least) & (surprises >= 0)
    return kept


def _hardest(losses, share, ramp_steps, step):
    """The largest `share` of losses [P]. Ignored pixels count in P: how many are kept doesn't depend on the labels."""
    if ramp_steps:
        ramp = tf.minimum(1.0, tf.cast(step, tf.float32) / ramp_steps)
        share = ramp * share + (1 - ramp)
    kept = tf.cast(share * tf.cast(tf.size(losses), tf.float32), tf.int32)
    return tf.math.top_k(losses, kept, sorted=False).values


def _leaf(name):
    return name.rpartition('/')[2]


def _conv_weights(names):
    """Dense kernels; of separable convolutions only those that are one layer, which only the NAS backbones have."""
    one_layer = {name.removesuffix('pointwise_weights') for name in names if _leaf(name) == 'pointwise_weights'}
    return [name for name in names if _leaf(name) == 'weights'
            or _leaf(name).endswith('_weights') and name.removesuffix(_leaf(name)) in one_layer]


# rule -> of the names of all variables those that are decayed
RULES = {
    'conv_weights': _conv_weights,
    'all_kernels': lambda names: [name for name in names if _leaf(name).endswith('weights')],
    'all_trainable': list,
}


def l2_loss(variables, weight_decay, rule):
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
