"""The Dense Prediction Cell (Chen et al., 2018, arXiv:1809.04184): a searched context module, given as data.

A cell is a list of operations. Each has `op` and `input` (-1: the backbone's features, else the index of an earlier
operation); `conv` also has `kernel` and `rate` (height, width; at output stride 16), `pyramid_pooling` has `grid_size`,
or as in tonandr/ai-platform `kernel` (height, width in feature cells) and `target_size_factor`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.choices import choose
from deeplab.compat import tf
from deeplab.layers.average import average_pool
from deeplab.layers.context import head_separable_conv2d, xavier
from deeplab.layers.conv import conv2d, dropout
from deeplab.layers.resize import Size, resize_bilinear, scaled_size, spatial_size

CELLS = Path(__file__).parent / 'cells'
FIELDS = {
    'conv': ({'op', 'input', 'kernel', 'rate'},),
    'pyramid_pooling': ({'op', 'input', 'grid_size'}, {'op', 'input', 'kernel', 'target_size_factor'}),
}
POINTS = (1, [1, 1])  # kernels that have no rate; one that is given doesn't matter


def load_cell(cell: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The operations of a cell given as such, as the path of a JSON file or as the name of one in `cells`.

    ValueError names the file, the operation and what is wrong with it.
    """
    if isinstance(cell, str):
        named = CELLS / f'{cell}.json'
        path = named if named.exists() else Path(cell)
        if not path.exists():
            choose('dense_prediction_cell', cell, sorted(path.stem for path in CELLS.glob('*.json')),
                   'or give the path of a .json file')
        source, operations = str(path), json.loads(path.read_text())
    else:
        source, operations = 'the cell', cell
    for i, operation in enumerate(operations):
        fields = choose(f'{source}: operation {i}: op', operation.get('op'), FIELDS)
        if operation['op'] == 'conv' and operation.get('kernel') in POINTS:
            fields += ({'op', 'input', 'kernel'},)
        if set(operation) not in fields:
            forms = ' or '.join(str(sorted(form)) for form in fields)
            raise ValueError(f'{source}: operation {i} has {sorted(operation)}; it needs {forms}')
        if not -1 <= operation['input'] < i:
            raise ValueError(f'{source}: operation {i} has input {operation["input"]}; it may be -1 to {i - 1}')
    return [dict(operation) for operation in operations]


def dense_prediction_cell(features: tf.Tensor, cell: str | Sequence[Mapping[str, Any]], output_stride: int, *,
                          rates_stride: int, filters: int, concat_filters: int, image_pooling_crop_size: Size | None,
                          dropout_rate: float, training: bool) -> tf.Tensor:
    """`[N, h, w, channels]` -> `[N, h, w, concat_filters]`: all branches, of `filters`, concatenated and projected.

    The cell's rates are meant for output stride `rates_stride`, and multiplied for smaller ones.
    """
    if rates_stride % output_stride:
        raise ValueError(f'a dense prediction cell needs an output stride that divides {rates_stride}, '
                         f'not {output_stride}')
    size = spatial_size(features)
    if image_pooling_crop_size is not None:
        size = scaled_size(image_pooling_crop_size, 1 / output_stride)
    branches: list[tf.Tensor] = []
    with tf.variable_scope('meta_architecture'):
        for i, operation in enumerate(load_cell(cell)):
            net = features if operation['input'] < 0 else branches[operation['input']]
            if operation['op'] == 'conv':
                net = _convolution(net, operation, filters, f'branch{i}', rates_stride // output_stride)
            else:
                net = _pyramid_pooling(net, operation, filters, f'branch{i}', size)
            branches.append(net)
        # tonandr drops out once more behind the projection; the released code doesn't.
        net = dropout(tf.concat(branches, 3), dropout_rate, training=training, scope='concat_projection_dropout')
        return conv2d(net, concat_filters, 1, scope='concat_projection', initializer=xavier())


def _convolution(net: tf.Tensor, operation: Mapping[str, Any], filters: int, scope: str, multiplier: int) -> tf.Tensor:
    kernel = operation['kernel']
    if kernel in POINTS:
        return conv2d(net, filters, 1, scope=scope, initializer=xavier())
    rate = [side * multiplier for side in operation['rate']]
    # tonandr has one more 1x1 convolution here, and no activation between depthwise and pointwise one.
    return head_separable_conv2d(net, filters, scope=scope, rate=rate, kernel_size=kernel)


def _pyramid_pooling(net: tf.Tensor, operation: Mapping[str, Any], filters: int, scope: str, size: Size) -> tf.Tensor:
    """Averages over windows of 1 / grid_size of the features at stride 1, or of `kernel` cells side by side."""
    if 'kernel' in operation:
        # What target_size_factor enlarges by is what brings the averages back to the features' size.
        window = strides = operation['kernel']
    else:
        height, width = ((side - 1) // parts + 1 for side, parts in zip(size, operation['grid_size'], strict=True))
        window, strides = (height, width), (1, 1)
    pooled = average_pool(net, window, strides)
    return resize_bilinear(conv2d(pooled, filters, 1, scope=scope, initializer=xavier()), spatial_size(net))
