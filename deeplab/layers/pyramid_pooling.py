"""Average pooling to a fixed number of bins (PSPNet, arXiv:1612.01105, section 3.2), for maps of any size."""

from collections.abc import Sequence

from deeplab.compat import tf
from deeplab.layers.average import Cells, average_cells
from deeplab.layers.conv import Layer
from deeplab.layers.resize import Side, resize_bilinear, spatial_size


def pool_to_bins(features: tf.Tensor, bins: int) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over `bins` x `bins` cells: `[N, bins, bins, C]`.

    Cell i covers rows floor(i h / bins) to ceil((i + 1) h / bins), as adaptive pooling does; cells of maps smaller than
    `bins` overlap. Where h is a multiple of `bins`, as in the papers' crops, it is pooling with a stride of h / bins.
    """
    height, width = spatial_size(features)
    return average_cells(features, _cells(height, bins), _cells(width, bins))


def _cells(size: Side, bins: int) -> Cells:
    cell = tf.range(bins)
    return cell * size // bins, -(-(cell + 1) * size // bins)


def pyramid_levels(features: tf.Tensor, bins: Sequence[int], branch: Layer = tf.identity) -> list[tf.Tensor]:
    """For each number of bins `branch` of the averages of `[N, h, w, C]`, enlarged to h x w again: a list."""
    size = spatial_size(features)
    outputs = []
    for number in bins:
        with tf.variable_scope(f'bins_{number}'):
            outputs.append(resize_bilinear(branch(pool_to_bins(features, number)), size))
    return outputs
