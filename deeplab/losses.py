"""What training minimises: softmax cross-entropy with an ignore label, and weight decay."""

from deeplab.compat import tf
from deeplab.layers import resize


def softmax_cross_entropy(logits, labels, ignore_label, *, label_weights=None, top_k_percent=1.0, top_k_ramp_steps=0,
                          step=None, upsample_logits=True):
    """Mean cross-entropy over the pixels that aren't ignored; 0 when all are. A float32 scalar.

    logits [N,h,w,C] are brought to the size of labels [N,H,W] (bilinear), or, without `upsample_logits`, labels to that
    of the logits (nearest). `label_weights` scales each class's pixels, without entering the denominator. A label
    outside [0, C) that isn't `ignore_label` costs nothing and has no gradient, but counts as a pixel.

    With `top_k_percent` < 1 only that share of all pixels, the hardest, is kept, and their mean is taken over the
    losses that aren't exactly 0; over the first `top_k_ramp_steps` the share falls linearly from 1.
    """
    if not 0 < top_k_percent <= 1:
        raise ValueError(f'top_k_percent is {top_k_percent}; it is a share of all pixels, above 0 and at most 1')
    if top_k_ramp_steps and step is None:
        raise ValueError(f'top_k_ramp_steps is {top_k_ramp_steps}, which needs the step')
    logits = tf.cast(logits, tf.float32)
    if upsample_logits:
        logits = resize.resize_bilinear(logits, resize.spatial_size(labels))
    else:
        labels = tf.squeeze(resize.resize_nearest(labels[..., tf.newaxis], resize.spatial_size(logits)), 3)
    logits = tf.reshape(logits, [-1, logits.shape[-1]])
    labels = tf.reshape(labels, [-1])
    losses = _pixel_losses(logits, labels, ignore_label, label_weights)
    if top_k_percent == 1:
        counted = tf.not_equal(labels, ignore_label)
    else:
        losses = _hardest(losses, top_k_percent, top_k_ramp_steps, step)
        counted = tf.not_equal(losses, 0)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(counted, tf.float32)))


def _pixel_losses(logits, labels, ignore_label, label_weights):
    """Weighted cross-entropy [P] of logits [P,C]; 0 where the label is ignored or isn't a class."""
    num_classes = logits.shape[-1]
    is_class = (labels >= 0) & (labels < num_classes) & tf.not_equal(labels, ignore_label)
    classes = tf.where(is_class, labels, tf.zeros_like(labels))
    weights = tf.cast(is_class, tf.float32)
    if label_weights is not None:
        if len(label_weights) != num_classes:
            raise ValueError(f'{len(label_weights)} label_weights for {num_classes} classes')
        weights *= tf.gather(tf.constant(label_weights, tf.float32), classes)
    return weights * tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)


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
    if rule not in RULES:
        raise ValueError(f'weight decay rule {rule!r} is none of {", ".join(RULES)}')
    if not weight_decay:
        return tf.constant(0.0)
    # `.name`, not `.op.name`: a mirrored variable's op is the replica's and carries its suffix.
    names = [variable.name.split(':')[0] for variable in variables]
    decayed = set(RULES[rule](names))
    if not decayed:
        raise ValueError(f'weight decay rule {rule!r} applies to none of {len(variables)} variables')
    return weight_decay * tf.add_n([tf.nn.l2_loss(variable) for variable, name in zip(variables, names, strict=True)
                                    if name in decayed])
