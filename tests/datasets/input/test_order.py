import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from datasets.input import order

CAMVID, ADE20K = 367, 20210  # training images


def epochs(count, num_examples, seed=0, name='hashed'):
    """The order of each of so many epochs, [count, num_examples]."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        epoch = tf.compat.v1.placeholder(tf.int64, [])
        rows = order.ORDERS[name](tf.range(num_examples, dtype=tf.int64), seed, epoch, num_examples)
        return np.array([session.run(rows, {epoch: number}) for number in range(count)])


def distinct(orders):
    return len({tuple(row) for row in orders})


@pytest.mark.parametrize('name', order.ORDERS)
@pytest.mark.parametrize('num_examples', [1, 2, 3, 7, CAMVID])
def test_every_epoch_is_a_permutation(name, num_examples):
    for row in epochs(5, num_examples, seed=3, name=name):
        assert sorted(row) == list(range(num_examples))


def test_no_two_epochs_and_no_two_seeds_have_the_same_order():
    assert distinct(epochs(600, CAMVID)) == 600
    first = [epochs(1, CAMVID, seed)[0] for seed in (0, 1, 128, 256, 512, 2**16, 2**31 - 1, 2**31, 2**40)]
    assert distinct(first) == len(first)


def test_every_order_of_a_few_examples_is_as_likely():
    counts = collections.Counter(map(tuple, epochs(2400, 5)))
    expected = 2400 / 120
    chi_squared = sum((counts[row] - expected) ** 2 / expected for row in itertools.permutations(range(5)))
    assert chi_squared < 119 + 5 * np.sqrt(2 * 119)  # 119 degrees of freedom


def test_consecutive_epochs_are_not_correlated():
    orders = epochs(20, ADE20K)
    found = [np.corrcoef(*pair)[0, 1] for pair in itertools.pairwise(orders)]
    assert np.abs(found).max() < 4.5 / np.sqrt(ADE20K)  # a correlation of chance has the deviation 1 / sqrt(n)


def test_frames_that_follow_each_other_do_not_meet_in_a_batch():
    """Of neighbours in an order of n, 4 / n are at most two apart, as a binomial of n - 1 draws."""
    near = (np.abs(np.diff(epochs(300, CAMVID), axis=1)) <= 2).sum(axis=1)
    mean = 4 * (CAMVID - 1) / CAMVID
    assert abs(near.mean() - mean) < 5 * np.sqrt(mean / 300)
    assert near.max() <= 16  # more has a chance of 1e-6 an epoch


def test_the_order_of_older_runs_is_index_shuffles():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        places = tf.range(CAMVID, dtype=tf.int64)
        rows = tf.random.experimental.index_shuffle(places, tf.constant([7, 4], tf.int64),
                                                    tf.constant(CAMVID - 1, tf.int64))
        np.testing.assert_array_equal(epochs(5, CAMVID, seed=7, name='index_shuffle')[4], session.run(rows))
