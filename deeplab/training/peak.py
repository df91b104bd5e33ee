"""What this machine's matrix products reach at most: the measure of what a step makes of it."""

import time

from deeplab.compat import tf

SIDE = 2048  # large enough for every core, and a second's work on a slow one
CALLS = 5


def peak(precision: str, config: tf.ConfigProto | None = None, side: int = 0) -> float:
    """Multiply-adds a second of the fastest of a few products of square matrices, in a run's precision."""
    side = side or SIDE
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        values = tf.get_variable('values', [side, side], tf.as_dtype(precision), tf.ones_initializer(), trainable=False)
        product = tf.matmul(values, values).op
        session.run(values.initializer)
        session.run(product)
        return side ** 3 / min(_seconds(session, product) for _ in range(CALLS))


def _seconds(session: tf.Session, product: tf.Operation) -> float:
    start = time.monotonic()
    session.run(product)
    return time.monotonic() - start
