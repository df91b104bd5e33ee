"""FC-DenseNet, the "one hundred layers tiramisu" (Jégou et al., 2017, arXiv:1611.09326), tables 1 and 2."""

from collections.abc import Sequence
from typing import Any

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import Initializer, batch_norm, conv2d, conv2d_transpose, dropout
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs

FC_DENSENET_103 = (4, 5, 7, 10, 12, 15, 12, 10, 7, 5, 4)  # layers of each block down to the bottleneck, and back up


def fc_densenet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
                layers: Sequence[int] = FC_DENSENET_103, growth: int = 16, filters: int = 48, dropout_rate: float = 0.2
                ) -> Outputs:
    """Logits at full resolution of images `[N, H, W, 3]` in 0..255.

    Options:
      layers: of each dense block on the way down, of the bottleneck, and of those on the way up: FC-DenseNet103
      growth: maps that a layer adds (the growth rate)
      filters: of the first convolution
      dropout_rate: behind the convolution of every layer and of every transition down (table 1)

    Raises:
      ValueError: layers of an even number of blocks.
    """
    if len(layers) % 2 == 0:
        raise ValueError(f'layers is {list(layers)}: give an odd number of blocks, down, bottleneck and up')
    depth = len(layers) // 2
    rate: dict[str, Any] = {'dropout_rate': dropout_rate, 'training': training}
    net = backbone.build(images, output_stride).output
    # Lasagne's constants, as the authors used it; they normalised with the batch's own statistics in evaluation too.
    with slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-4), \
            slim.arg_scope([conv2d], initializer=_he_uniform(), normalizer=None, activation=None):
        net = conv2d(net, filters, 3, scope='first')
        skips = []
        for i in range(depth):
            with tf.variable_scope(f'down{i + 1}'):
                net, _ = dense_block(net, layers[i], growth, **rate)
                skips.append(net)
                net = _layer(net, net.shape.as_list()[-1], 1, scope='transition', **rate)
                net = tf.nn.max_pool2d(net, 2, 2, 'SAME')
        with tf.variable_scope('bottleneck'):
            _, new = dense_block(net, layers[depth], growth, **rate)
        for i in range(depth):
            with tf.variable_scope(f'up{i + 1}'):
                # Only the last block's new maps, or the channels would explode (section 3.2).
                up = conv2d_transpose(new, new.shape.as_list()[-1], 3, scope='transition', size=spatial_size(skips[-1]),
                                      initializer=_he_uniform(transposed=True), normalizer=None, activation=None)
                net, new = dense_block(tf.concat([up, skips.pop()], 3), layers[depth + 1 + i], growth, **rate)
    return Outputs(classifier(net, num_classes), {})


def dense_block(inputs: tf.Tensor, layers: int, growth: int, **rate: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """(`[N, h, w, C + layers * growth]`, of which the new maps `[N, h, w, layers * growth]`) of inputs `[N, h, w, C]`.

    Each layer sees the inputs and the maps of the layers before it.
    """
    net, new = inputs, []
    for i in range(layers):
        new.append(_layer(net, growth, 3, scope=f'layer{i + 1}', **rate))
        net = tf.concat([net, new[-1]], 3)
    return net, tf.concat(new, 3)


def _layer(inputs: tf.Tensor, filters: int, kernel_size: int, *, scope: str, training: bool, dropout_rate: float
           ) -> tf.Tensor:
    """Batch norm, ReLU, convolution, dropout.

    Without the biases that Lasagne adds by default: the batch norm that follows would take them away.
    """
    with tf.variable_scope(scope):
        net = conv2d(batch_norm(inputs, activation=tf.nn.relu), filters, kernel_size, scope='conv')
        return dropout(net, dropout_rate, training=training, scope='dropout')


def _he_uniform(transposed: bool = False) -> Initializer:
    """He et al., 2015; a transposed kernel has its inputs in the last axis."""
    return slim.variance_scaling_initializer(factor=2.0, mode='FAN_OUT' if transposed else 'FAN_IN', uniform=True)
