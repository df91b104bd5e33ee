"""Deterministic weights and inputs: what the oracle under tests/oracle was computed with (its README has the rule)."""

import zlib

import numpy as np

from deeplab.compat import tf

ASSIGNMENTS = 'fill'
SPREAD = {  # axes whose product is the fan-in, by the last component of the name
    'weights': slice(None, -1),
    'pointwise_weights': slice(None, -1),
    'depthwise_weights': slice(None, 2),
}


def value(name: str, shape, rule: str = 'A') -> np.ndarray:
    """Value of a variable from its name (without ':0') and shape; rule B shrinks gamma so that biases stay visible."""
    noise = np.random.RandomState(zlib.crc32(name.encode()) & 0x7fffffff).normal(0.0, 1.0, shape)
    leaf = name.rsplit('/', 1)[-1]
    if leaf in SPREAD:
        result = noise * np.sqrt(2.0 / np.prod(shape[SPREAD[leaf]]))
    elif leaf == 'gamma':
        result = (1.0 + 0.1 * noise) * {'A': 1.0, 'B': 0.75}[rule]
    elif leaf == 'moving_variance':
        result = 1.0 + 0.1 * np.abs(noise)
    elif leaf in ('beta', 'moving_mean', 'biases', 'alpha'):
        result = 0.1 * noise
    else:
        raise ValueError(f'no fill rule for {name}')
    return result.astype(np.float32)


def fill(session, rule: str = 'A') -> None:
    """Loads every model variable of the session's graph."""
    if not session.graph.get_collection(ASSIGNMENTS):
        with session.graph.as_default(), tf.name_scope(ASSIGNMENTS):
            for variable in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES):
                source = tf.placeholder(tf.float32, variable.shape)
                tf.add_to_collection(ASSIGNMENTS, (variable, source, variable.assign(source, read_value=False)))
    variables, sources, assignments = zip(*session.graph.get_collection(ASSIGNMENTS), strict=True)
    values = [value(v.op.name, v.shape.as_list(), rule) for v in variables]
    session.run(assignments, dict(zip(sources, values, strict=True)))


def images(height: int, width: int, batch: int = 1) -> np.ndarray:
    """Random uint8 images `[batch, height, width, 3]`."""
    return np.random.RandomState(0).randint(0, 256, (batch, height, width, 3)).astype(np.uint8)


def labels(batch: int, height: int, width: int, num_classes: int) -> np.ndarray:
    """Random int32 labels `[batch, height, width]`, about 15 % of them 255."""
    random = np.random.RandomState(1)
    ids = random.randint(0, num_classes, (batch, height, width, 1))
    ids[random.rand(batch, height, width, 1) < 0.15] = 255
    return ids[..., 0].astype(np.int32)
