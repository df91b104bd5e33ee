"""Cross-entropy of the softmax with the true class as one operation with its gradient (cross_entropy.cc)."""

import functools
from typing import Any

from deeplab.compat import tf
from deeplab.kernels import build


def cross_entropy(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """-ln p [P] of int32 `classes` [P] by float32 `logits` [P, C]. A result doesn't depend on the number of threads.

    Raises:
      Unavailable: the library can't be built here.
    """
    return operations().deeplab_cross_entropy(logits=logits, classes=classes).losses


@functools.cache
def operations() -> Any:
    """The library, with its gradient registered."""
    library = build.library('cross_entropy')
    tf.RegisterGradient('DeeplabCrossEntropy')(functools.partial(_gradient, library))
    return library


def _gradient(library: Any, op: tf.Operation, upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor | None]:
    logits, classes = op.inputs
    _, largest, total = op.outputs
    return [library.deeplab_cross_entropy_grad(upstream=upstream, logits=logits, classes=classes, largest=largest,
                                               sum=total), None]
