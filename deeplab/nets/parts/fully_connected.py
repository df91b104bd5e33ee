"""fc6 and fc7 of VGG16 as convolutions (Long et al., 2015, section 3.1), whole or reduced as DeepLab reduces them."""

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.conv import biases, conv2d, dropout


def fully_connected(features: tf.Tensor, channels: int, backbone: Backbone, *, kernel_size: int, rate: int,
                    dropout_rate: float, training: bool, branch: str = '') -> tf.Tensor:
    """`[N, h, w, c]` -> `[N, h, w, channels]`: a convolution of `kernel_size`, a 1x1 one, dropout behind each.

    A backbone whose released network has them takes them into its scope, as slim's vgg_16.ckpt does; for reduced shapes
    that one is reduced when a training starts from it (pretrained/fitting.py). `branch` ends their names.
    """
    scope = f'{backbone.scope}/' if backbone.fully_connected else ''
    net = features
    with slim.arg_scope([conv2d], normalizer=biases, initializer=tf.truncated_normal_initializer(stddev=0.005)):
        for number, kernel, dilation in ((6, kernel_size, rate), (7, 1, 1)):
            net = conv2d(net, channels, kernel, scope=f'{scope}fc{number}{branch}', rate=dilation)
            net = dropout(net, dropout_rate, training=training, scope=f'dropout{number}{branch}')
    return net


def rate_at(rate: int, output_stride: int) -> int:
    """An atrous rate that papers give for output stride 8, scaled to another; ValueError where it isn't whole."""
    scaled = rate * 8 / output_stride
    if scaled < 1 or scaled != int(scaled):
        raise ValueError(f'atrous rate {rate} belongs to output stride 8 and is not whole at output stride '
                         f'{output_stride}: {scaled:g}')
    return int(scaled)
