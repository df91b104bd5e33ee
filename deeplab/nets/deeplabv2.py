"""DeepLab-v2's atrous spatial pyramid (Chen et al., 2016, arXiv:1606.00915, section 3.2), a sum of classifiers.

Its three scales with maxima of the scores are `model.image_pyramid` and `model.merge_method`.
"""

from collections.abc import Sequence

from deeplab.backbones.backbone import Backbone
from deeplab.compat import tf
from deeplab.layers.classifier import classifier, small_normal
from deeplab.nets.net import Outputs
from deeplab.nets.parts.fully_connected import fully_connected, rate_at


def deeplabv2(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
              atrous_rates: Sequence[int] = (6, 12, 18, 24), fc_channels: int = 1024, dropout_rate: float = 0.5
              ) -> Outputs:
    """Logits at the output stride, which is 8 in the paper.

    On VGG16 each rate has an fc6, fc7 and fc8 of its own (figure 7), elsewhere one 3x3 classifier.

    Options:
      atrous_rates: one for each branch, in features of output stride 8, scaled to the one in use: ASPP-L by default,
        ASPP-S with 2, 4, 8, 12, and LargeFOV with 12 alone, whose variables are those of deeplabv1
      fc_channels: channels of each branch's fc6 and fc7; only on VGG16
      dropout_rate: of each branch's fc6 and fc7; only on VGG16
    """
    if not atrous_rates:
        raise ValueError('atrous_rates is empty; DeepLab-v2 has one branch for each rate, such as 6, 12, 18, 24')
    features = backbone.build(images, output_stride).output
    scores = []
    for i, rate in enumerate(rate_at(rate, output_stride) for rate in atrous_rates):
        net, last = features, f'logits/semantic_{i}' if i else 'logits/semantic'
        if backbone.fully_connected:
            branch = f'_{i + 1}' if len(atrous_rates) > 1 else ''
            net = fully_connected(net, fc_channels, backbone, kernel_size=3, rate=rate, dropout_rate=dropout_rate,
                                  training=training, branch=branch)
            kernel_size, rate, spread = 1, 1, 0.01
        else:
            # The released nets draw with 0.01 here too; with 4 x 9 x 2048 inputs the loss starts far above ln C then.
            kernel_size, spread = 3, 1e-4
        scores.append(classifier(net, num_classes, scope=last, kernel_size=kernel_size, rate=rate,
                                 initializer=small_normal(spread)))
    return Outputs(tf.add_n(scores), {})
