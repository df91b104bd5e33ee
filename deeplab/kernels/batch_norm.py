"""Batch norm, an addition and an activation as one operation with its gradient (batch_norm.cc)."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from deeplab.compat import tf
from deeplab.kernels import build

ACTIVATIONS = {None: 'none', tf.identity: 'none', tf.nn.relu: 'relu', tf.nn.relu6: 'relu6'}


class Normalised(NamedTuple):
    """`outputs` of the features' type; float32 `mean` and `variance`, as `tf.nn.fused_batch_norm` returns them."""

    outputs: tf.Tensor
    mean: tf.Tensor
    variance: tf.Tensor


def batch_norm(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float, activation: str = 'none',
               statistics: Sequence[tf.Tensor] = (), added: tf.Tensor | None = None) -> Normalised:
    """activation(batch norm of `inputs` + `added`) of float32 or bfloat16 `[..., C]`, computed in float32.

    Statistics are those of the batch, or the given (mean, variance), which then have no gradient. `activation` is a
    value of ACTIVATIONS. A result doesn't depend on the number of threads.

    Raises:
      Unavailable: the library can't be built here.
    """
    found = operations().deeplab_batch_norm(
        x=inputs, gamma=gamma, beta=beta, statistics=list(statistics), added=[] if added is None else [added],
        activation=activation, epsilon=epsilon)
    return Normalised(found.y, found.mean, found.variance)


@functools.cache
def operations() -> Any:
    """The library, with its gradient registered."""
    library = build.library('batch_norm')
    tf.RegisterGradient('DeeplabBatchNorm')(functools.partial(_gradient, library))
    return library


def _gradient(library: Any, op: tf.Operation, upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor | None]:
    """Of `inputs`, gamma and beta, and of what was added; none goes through the statistics."""
    outputs, mean, _, inverse = op.outputs
    inputs, gamma, beta = op.inputs[:3]
    statistics, added, activation = (op.get_attr(name) for name in ('S', 'R', 'activation'))
    masked = added if activation != 'none' else 0  # without an activation the sum's gradient is that of each summand
    found = library.deeplab_batch_norm_grad(
        dy=upstream, x=inputs, gamma=gamma, beta=beta, mean=mean, inverse=inverse, y=[outputs] * masked,
        activation=activation, training=not statistics)
    summand = found.dadded if masked else [upstream] * added
    return [found.dx, found.dgamma, found.dbeta, *[None] * statistics, *summand]
