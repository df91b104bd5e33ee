"""Batch norm, an addition and an activation as one operation with its gradient (batch_norm.cc)."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from deeplab.compat import tf
from deeplab.kernels import build

ACTIVATIONS = {None: 'none', tf.identity: 'none', tf.nn.relu: 'relu', tf.nn.relu6: 'relu6'}  # and 'prelu'


class Normalised(NamedTuple):
    """`outputs` of the features' type; float32 `mean` and `variance`, as `tf.nn.fused_batch_norm` returns them."""

    outputs: tf.Tensor
    mean: tf.Tensor
    variance: tf.Tensor


def batch_norm(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float, activation: str = 'none',
               statistics: Sequence[tf.Tensor] = (), added: tf.Tensor | None = None, alpha: tf.Tensor | None = None,
               factors: tf.Tensor | None = None) -> Normalised:
    """activation(batch norm of `inputs` * `factors` + `added`) of float32 or bfloat16 `[N, ..., C]`, in float32.

    Statistics are those of the batch, or the given (mean, variance), which then have no gradient. `factors`
    `[N, 1, ..., C]`, one for each channel of an image, have none either. `activation` is a value of ACTIVATIONS, or
    'prelu' with `alpha` [C]. A result doesn't depend on the number of threads.

    Raises:
      Unavailable: the library can't be built here.
    """
    given = {name: [] if value is None else [value]
             for name, value in (('added', added), ('alpha', alpha), ('factors', factors))}
    found = operations().deeplab_batch_norm(x=inputs, gamma=gamma, beta=beta, statistics=list(statistics),
                                            activation=activation, epsilon=epsilon, **given)
    return Normalised(found.y, found.mean, found.variance)


@functools.cache
def operations() -> Any:
    """The library, with its gradient registered."""
    library = build.library('batch_norm')
    tf.RegisterGradient('DeeplabBatchNorm')(functools.partial(_gradient, library))
    return library


def _gradient(library: Any, op: tf.Operation, upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor | None]:
    """Of `inputs`, gamma and beta, of what was added and of alpha; none goes through the statistics and the factors."""
    outputs, mean, _, inverse = op.outputs
    activation = op.get_attr('activation').decode()
    inputs, gamma, beta, *others = op.inputs
    given = iter(others)
    statistics, added, alpha, factors = ([next(given) for _ in range(op.get_attr(name))] for name in 'SRPF')
    # Without an activation the sum's gradient is that of each summand.
    beside = [] if activation == 'none' else added if activation == 'prelu' else [outputs] * len(added)
    found = library.deeplab_batch_norm_grad(
        dy=upstream, x=inputs, gamma=gamma, beta=beta, mean=mean, inverse=inverse, beside=beside, alpha=alpha,
        factors=factors, activation=activation, training=not statistics)
    summand = found.dadded if beside else [upstream] * len(added)
    return [found.dx, found.dgamma, found.dbeta, *[None] * len(statistics), *summand, *found.dalpha,
            *[None] * len(factors)]
