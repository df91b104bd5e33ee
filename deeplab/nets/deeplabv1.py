"""DeepLab-v1's LargeFOV (Chen et al., 2015, arXiv:1412.7062, section 3.1): VGG16 with a reduced, dilated fc6."""

from deeplab.compat import tf
from deeplab.layers.conv import biases, conv2d
from deeplab.nets.fully_connected import fully_connected, rate_at
from deeplab.nets.net import Outputs


def deeplabv1(images, num_classes, backbone, *, training, output_stride, backbone_options=None, fc6_kernel_size=3,
              fc6_rate=12, fc_channels=1024, dropout_rate=0.5) -> Outputs:
    """Logits at the output stride, which is 8 in the paper, as are the strides that `fc6_rate` counts in.

    The paper's table 2 varies kernel, rate and channels: 7, 4, 4096; 4, 4, 4096; 4, 8, 4096; 3, 12, 1024 (LargeFOV).
    The released VGG has the backbone option pool_size = 3. Seed 001 creates conv5 anew instead of restoring it.
    """
    net = backbone.build(images, output_stride, **(backbone_options or {})).output
    net = fully_connected(net, fc_channels, backbone, kernel_size=fc6_kernel_size,
                          rate=rate_at(fc6_rate, output_stride), dropout_rate=dropout_rate, training=training)
    logits = conv2d(net, num_classes, 1, scope='logits/semantic', normalizer=biases, activation=None,
                    initializer=tf.truncated_normal_initializer(stddev=0.01))
    return Outputs(tf.cast(logits, tf.float32), {})
