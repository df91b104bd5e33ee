"""U-Net (Ronneberger et al., 2015, arXiv:1505.04597), figure 1."""

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import batch_norm, biases, conv2d, conv2d_transpose, dropout
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs

LEVELS = 5


def unet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
         width: int = 64, batch_normalisation: bool = False, dropout_rate: float = 0.5) -> Outputs:
    """Logits at full resolution of images `[N, H, W, 3]` in 0..255.

    The paper pads nothing, loses a border of 92 pixels and crops the skips; here SAME keeps the image's size. It has no
    batch norm.

    Options:
      width: channels of the first of the five levels; each further one has twice as many
      batch_normalisation: batch norm in place of the biases
      dropout_rate: at the end of the contracting path, in its last two levels
    """
    net = backbone.build(images, output_stride).output
    normalizer = batch_norm if batch_normalisation else biases
    skips = []
    with slim.arg_scope([batch_norm], decay=0.99, epsilon=1e-3), \
            slim.arg_scope([conv2d], normalizer=normalizer,
                           initializer=slim.variance_scaling_initializer(factor=2.0)):  # section 3
        for level in range(LEVELS):
            net = _two_convolutions(net, width << level, f'contracting{level + 1}')
            if level >= LEVELS - 2:  # "at the end of the contracting path": the released net's last two levels
                net = dropout(net, dropout_rate, training=training, scope=f'dropout{level + 1}')
            if level < LEVELS - 1:
                skips.append(net)
                net = tf.nn.max_pool2d(net, 2, 2, 'SAME')
        for level in reversed(range(LEVELS - 1)):
            skip = skips.pop()
            # Stride and kernel are 2: an output sees one input pixel, so a fourth of the kernel is its fan-in.
            net = conv2d_transpose(net, width << level, 2, scope=f'expanding{level + 1}/up', normalizer=normalizer,
                                   initializer=slim.variance_scaling_initializer(factor=4.0), size=spatial_size(skip))
            net = _two_convolutions(tf.concat([skip, net], 3), width << level, f'expanding{level + 1}')
    return Outputs(classifier(net, num_classes), {})


def _two_convolutions(net: tf.Tensor, channels: int, scope: str) -> tf.Tensor:
    with tf.variable_scope(scope):
        return conv2d(conv2d(net, channels, 3, scope='conv1'), channels, 3, scope='conv2')
