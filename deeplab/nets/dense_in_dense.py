"""Classifier of networks trained from scratch, and "dense in dense" heads: dongzhuoyao/tensorpack (branch deeplab).

No paper has them. Their name is the argument `denseindense` of
dongzhuoyao/tensorpack@01113e3:examples/Deeplab/experiment2/densenet_v1.py; those of its experiments are in parentheses
below. Where its heads take the trunk as it comes out of the last block, these take it normalised, as DenseNet's paper
ends: the same for heads that normalise what they concatenate.
"""

from console.choices import choose
from deeplab.backbones.backbone import Backbone, Features
from deeplab.compat import slim, tf
from deeplab.layers.average import average_pool2d
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import batch_norm, biases, conv2d
from deeplab.layers.resize import resize_bilinear, spatial_size
from deeplab.layers.squeeze import squeeze_excite
from deeplab.nets.net import Outputs

AGGREGATIONS = ('none', 'resize', 'bottom_up', 'top_down')
SQUEEZE_RATIO = 4
ROOT_STRIDE = 4  # of a backbone's first block


def dense_in_dense(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
                   aggregation: str = 'none', reduction: int = 4, preactivated: bool = False, filters: int = 416,
                   smoothing: int = 1, lateral_squeeze: bool = False, deep_supervision: bool = False) -> Outputs:
    """Logits of float images `[N, H, W, 3]` in 0..255, by a 1x1 convolution of the features and of earlier blocks.

    Logits are at the output stride, with aggregation 'top_down' at stride 4.

    Options:
      aggregation: of the backbone's blocks: 'none'; 'resize' brings all to the last one's size ("did", "did4");
        'bottom_up' pools and smooths from fine to coarse ("newdid"); 'top_down' is a feature pyramid network ("newdid4"
        and all later ones)
      reduction: each block is brought to its channels divided by this; of 'resize' and 'bottom_up'
      preactivated: batch norm and ReLU before smoothing, and a gate on the result ("newdid2"); of 'bottom_up'
      filters: channels of every level; of 'top_down'
      smoothing: side of the kernels on the way down, 3 in "newdid4" and 1 in "newdid4_1"; of 'top_down'
      lateral_squeeze: squeeze-and-excitation of the lateral connections ("newdid6_senet"); of 'top_down'
      deep_supervision: classifies each level in training and minimises the mean of the cross-entropies ("newdid6"); of
        'top_down'

    Raises:
      ValueError: options contradict each other, or the backbone doesn't hand out its blocks.
    """
    if deep_supervision and aggregation != 'top_down':
        raise ValueError(f"deep_supervision needs the levels of aggregation 'top_down'; it is {aggregation!r}")
    choose('aggregation', aggregation, AGGREGATIONS)
    features = backbone.build(images, output_stride)
    if aggregation != 'none' and len(features.blocks) < 2:
        raise ValueError(f'aggregation {aggregation!r} needs the outputs of blocks, which {backbone.name} does not '
                         'hand out; choose a densenet or a resnet')
    with slim.arg_scope([batch_norm], decay=0.997, epsilon=1e-5), slim.arg_scope(
            [conv2d], initializer=slim.variance_scaling_initializer(factor=2.0), normalizer=biases, activation=None):
        if aggregation == 'none':
            levels = [features.output]
        elif aggregation == 'resize':
            levels = [_resized(features, reduction)]
        elif aggregation == 'bottom_up':
            levels = [_bottom_up(features, output_stride, reduction, preactivated)]
        else:
            levels = _top_down(features, filters, smoothing, lateral_squeeze, every=training and deep_supervision)
    logits = _logits(levels[-1], num_classes, 'logits')
    if not (training and deep_supervision):
        return Outputs(logits, {})
    share = 1 / len(levels)
    return Outputs(logits, {f'level_{i}': (_logits(level, num_classes, f'logits_{i}'), share)
                            for i, level in enumerate(levels[:-1])}, weight=share)


def _logits(features: tf.Tensor, num_classes: int, scope: str) -> tf.Tensor:
    # dongzhuoyao has dilation 6, which means nothing to a 1x1 kernel. By its fan-in: another backbone's features may be
    # many and large, and the loss starts at ln C all the same.
    return classifier(features, num_classes, scope=scope, initializer=slim.variance_scaling_initializer(factor=1e-3))


def _activated(inputs: tf.Tensor, scope: str) -> tf.Tensor:
    return batch_norm(inputs, scope=scope, activation=tf.nn.relu)


def _reduced(block: tf.Tensor, reduction: int, scope: str) -> tf.Tensor:
    """A block with 1 / `reduction` of its channels, gated."""
    with tf.variable_scope(scope):
        net = conv2d(_activated(block, 'preact'), block.shape.as_list()[-1] // reduction, 1, scope='conv')
        return squeeze_excite(net, SQUEEZE_RATIO, scope='squeeze_excite')


def _joined(features: Features, aggregated: tf.Tensor) -> tf.Tensor:
    return tf.concat([_activated(aggregated, 'aggregated'), features.output], 3)


def _resized(features: Features, reduction: int) -> tf.Tensor:
    size = spatial_size(features.output)
    return _joined(features, tf.concat([
        _reduced(resize_bilinear(block, size), reduction, f'block{i}')
        for i, block in enumerate(features.blocks[:-1], 1)], 3))


def _bottom_up(features: Features, output_stride: int, reduction: int, preactivated: bool) -> tf.Tensor:
    blocks = features.blocks[:-1]
    net, stride = None, min(ROOT_STRIDE, output_stride)
    for i, block in enumerate(blocks):
        reduced = _reduced(block, reduction, f'block{i + 1}')
        before, stride = stride, min(ROOT_STRIDE << i, output_stride)
        if net is None:
            net = reduced
            continue
        net = tf.concat([average_pool2d(net, 2, 2, 'SAME') if stride > before else net, reduced], 3)
        with tf.variable_scope(f'smooth{i + 1}'):
            net = _activated(net, 'preact') if preactivated else net
            net = conv2d(net, net.shape.as_list()[-1], 1, scope='conv')
    # The last block may be coarser still, at output stride 32.
    net = average_pool2d(net, 2, 2, 'SAME') if min(ROOT_STRIDE << len(blocks), output_stride) > stride else net
    joined = _joined(features, net)
    return squeeze_excite(joined, SQUEEZE_RATIO, scope='squeeze_excite') if preactivated else joined


def _top_down(features: Features, filters: int, smoothing: int, lateral_squeeze: bool, *, every: bool
              ) -> list[tf.Tensor]:
    """Levels from coarse to fine, or the finest alone, normalised for a classifier."""
    def lateral(block: tf.Tensor, scope: str) -> tf.Tensor:
        net = conv2d(block, filters, 1, scope=scope)
        return squeeze_excite(net, SQUEEZE_RATIO, scope=f'{scope}_squeeze_excite') if lateral_squeeze else net

    levels, blocks = [lateral(features.output, 'lateral_output')], features.blocks[:-1]
    for i, block in reversed(list(enumerate(blocks, 1))):
        coarse = conv2d(levels[-1], filters, smoothing, scope=f'smooth{i + 1}') if i < len(blocks) else levels[-1]
        levels.append(resize_bilinear(coarse, spatial_size(block)) + lateral(block, f'lateral{i}'))
    return [_activated(level, f'level{i}') for i, level in enumerate(levels[1:], 1) if every or i == len(blocks)]
