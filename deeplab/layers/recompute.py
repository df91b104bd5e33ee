"""Gradient checkpointing (Chen et al., 2016, arXiv:1604.06174): a block's insides are computed again for its gradient.

Our own, because `tf.recompute_grad` would build the block's batch norm with its updates a second time, outside the
argument scopes that the first one had.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from deeplab.compat import slim, tf
from deeplab.layers.conv import pending_updates

Tensors: TypeAlias = tf.Tensor | Sequence[tf.Tensor]

BLOCKS = 'deeplab/recomputed'  # a collection: the outputs of blocks that are computed again


@slim.add_arg_scope
def recomputed(block: Callable[..., Tensors], inputs: tf.Tensor, *arguments: Any, enabled: bool = False) -> Tensors:
    """block(inputs, *arguments), one tensor or several; `enabled`, only the inputs are kept for the gradient.

    The block makes its variables by `slim.model_variable` and takes no other tensor that a gradient should go through.
    What varies from block to block belongs into `arguments`: a closure over a loop's variable would see its last value.

    Raises:
      ValueError: computed again, the block asks for other variables.
    """
    if not enabled:
        return block(inputs, *arguments)
    scope = tf.get_variable_scope()
    variables, noting = _noting()
    with tf.variable_scope(scope, custom_getter=noting, auxiliary_name_scope=False):
        outputs = block(inputs, *arguments)
    again = _same_surroundings(scope)

    @tf.custom_gradient
    def passed_on(inputs: tf.Tensor, *values: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
            # The dependency holds the second computation back until its result is needed, and keeps grappler from
            # merging it with the first.
            with again(variables), tf.control_dependencies(upstream):
                copies = tf.stop_gradient(inputs)
                repeated = block(copies, *arguments)
            return tf.gradients(tf.nest.flatten(repeated), [copies, *variables], list(upstream))
        return [tf.stop_gradient(output) for output in tf.nest.flatten(outputs)], gradient

    passed = passed_on(inputs, *[tf.convert_to_tensor(variable) for variable in variables])
    tf.add_to_collection(BLOCKS, passed[0])
    return tf.nest.pack_sequence_as(outputs, passed)


def _noting() -> tuple[list[tf.Variable], Callable[..., tf.Variable]]:
    """A list, and a custom getter that appends to it every trainable variable that is asked for."""
    variables = []

    def noting(getter: Callable[..., tf.Variable], *args: Any, **kwargs: Any) -> tf.Variable:
        variable = getter(*args, **kwargs)
        if variable.trainable:
            variables.append(variable)
        return variable

    return variables, noting


def _same_surroundings(scope: tf.VariableScope
                       ) -> Callable[[Sequence[tf.Variable]], contextlib.AbstractContextManager[None]]:
    """A context manager for building a block once more: its variables, its arguments, no updates of averages."""
    with slim.arg_scope([]) as arguments:
        pass

    @contextlib.contextmanager
    def again(expected: Sequence[tf.Variable]) -> Iterator[None]:
        collections = [tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS), pending_updates()]
        before = [list(collection) for collection in collections]
        variables, noting = _noting()
        with slim.arg_scope(arguments), tf.variable_scope(scope, reuse=True, custom_getter=noting,
                                                          auxiliary_name_scope=False):
            yield
        for collection, content in zip(collections, before, strict=True):
            collection[:] = content
        if [variable.name for variable in variables] != [variable.name for variable in expected]:
            raise ValueError(f'a block of {scope.name or "the outermost scope"} asks for other variables when it is '
                             f'computed again: {[v.name for v in variables]}, not {[v.name for v in expected]}')

    return again
