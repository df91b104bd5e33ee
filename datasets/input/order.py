"""The order of an epoch's examples: a permutation that is drawn from (seed, epoch), computed place by place."""

import tensorflow as tf

# Of the block cipher that permutes. With 8 and fewer, correlations between epochs can be measured.
ROUNDS = 24


def hashed(place: tf.Tensor, seed: int, epoch: tf.Tensor, num_examples: int) -> tf.Tensor:
    """The row at a place of an epoch's order, int64 like `place` (0 .. num_examples - 1; any shape).

    The cipher's keys come from a hash, because of each it uses no more bits than a row has: with seed and epoch
    themselves for keys, seeds and epochs that are 256 apart have the same order.
    """
    seeds = tf.random.experimental.stateless_fold_in(_seeds(seed, epoch), 0)  # not those that augmentation draws from
    keys = tf.random.stateless_uniform([3], seeds, minval=None, maxval=None, dtype=tf.int64)
    return tf.raw_ops.RandomIndexShuffle(index=place, seed=keys, max_index=_last(num_examples), rounds=ROUNDS)


def index_shuffle(place: tf.Tensor, seed: int, epoch: tf.Tensor, num_examples: int) -> tf.Tensor:
    """The same by TensorFlow's index_shuffle, which takes seed and epoch for keys and has four rounds."""
    return tf.random.experimental.index_shuffle(place, _seeds(seed, epoch), _last(num_examples))


# Names are the choices of `data.order`.
ORDERS = {'hashed': hashed, 'index_shuffle': index_shuffle}


def _seeds(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int64), epoch])


def _last(num_examples: int) -> tf.Tensor:
    return tf.constant(num_examples - 1, tf.int64)
