"""PSPNet (Zhao et al., 2017, arXiv:1612.01105), with the layers of the authors' released network definitions."""

from collections.abc import Sequence

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import batch_norm, conv2d, dropout
from deeplab.layers.pyramid_pooling import pyramid_levels
from deeplab.nets.net import Outputs


def pspnet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
           bins: Sequence[int] = (1, 2, 3, 6), filters: int = 512, auxiliary_weight: float = 0.4,
           dropout_rate: float = 0.1) -> Outputs:
    """Logits at the output stride (8 in the paper) of images `[N, H, W, 3]` in 0..255.

    Options:
      bins: sides of the grids that the features are averaged to (section 3.2); empty: none, the paper's baseline
      filters: of the convolution before the logits; the auxiliary head has half as many
      auxiliary_weight: of the loss at the end of the backbone's third block (section 3.3); 0: no such head
      dropout_rate: before the logits, and before those of the auxiliary head
    """
    features = backbone.build(images, output_stride)
    with slim.arg_scope([batch_norm], decay=0.95, epsilon=1e-5), \
            slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(factor=2.0)):
        # xlmou/Semantic-Segmentation-TensorFlow pooled with the fixed windows of a 60x60 map, and had no
        # auxiliary head.
        with tf.variable_scope('pyramid_pooling'):
            net = pyramid_pooling(features.output, bins)
        logits = _classify(net, filters, num_classes, training, dropout_rate, scope='decoder')
        if not training or not auxiliary_weight:
            return Outputs(logits, {})
        # ResNet's res4b22 in Caffe's names: the block's output, not the decoders' tap inside its last unit.
        net = features.blocks[2] if len(features.blocks) > 2 else features.taps[16]
        auxiliary = _classify(net, filters // 2, num_classes, training, dropout_rate, scope='auxiliary')
    return Outputs(logits, {'auxiliary': (auxiliary, auxiliary_weight)})


def pyramid_pooling(features: tf.Tensor, bins: Sequence[int]) -> tf.Tensor:
    """`[N, h, w, C]` -> `[N, h, w, 2 C]`: features beside their averages over each number of bins.

    Each has an equal share of the channels (2048: 512 for each of four). Without `bins` there are the features alone,
    the paper's baseline.
    """
    if not bins:
        return features
    filters = features.shape.as_list()[-1] // len(bins)
    levels = pyramid_levels(features, bins, lambda pooled: conv2d(pooled, filters, 1, scope='conv'))
    return tf.concat([features, *levels], 3)


def _classify(net: tf.Tensor, filters: int, num_classes: int, training: bool, dropout_rate: float, *, scope: str
              ) -> tf.Tensor:
    with tf.variable_scope(scope):
        net = conv2d(net, filters, 3, scope='conv')
        net = dropout(net, dropout_rate, training=training, scope='dropout')
        return classifier(net, num_classes)
