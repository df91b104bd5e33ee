"""SegNet (Badrinarayanan et al., 2017, arXiv:1511.00561): VGG16's convolutions, mirrored, joined by pooling indices."""

from deeplab.backbones.backbone import Backbone
from deeplab.backbones.vgg import SCOPE, STAGES
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import batch_norm, conv2d
from deeplab.layers.pool import max_pool_with_indices, unpool
from deeplab.nets.net import Outputs


def segnet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
           depth_multiplier: float = 1.0) -> Outputs:
    """Logits at full resolution of images `[N, H, W, 3]` in 0..255.

    The encoder's convolutions have slim's names for VGG16, so that its ImageNet checkpoint restores them (not its
    biases, for which batch norm stands). It was trained on pixels of another scale, which batch norm takes out again.
    xlmou/Semantic-Segmentation-TensorFlow unpools only four of the five stages and normalises by the batch
    in evaluation too.

    Options:
      depth_multiplier: factor of every layer's channels
    """
    net = backbone.build(images, output_stride).output
    stages = [(number, count, max(1, int(channels * depth_multiplier)))
              for number, (count, channels) in enumerate(STAGES, 1)]
    pooled = []
    # The paper computes the statistics once, after training; its moving averages' decay is ours.
    with slim.arg_scope([batch_norm], decay=0.99, epsilon=1e-3), \
            slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(factor=2.0)):
        with tf.variable_scope(SCOPE):
            for number, count, channels in stages:
                for i in range(1, count + 1):
                    net = conv2d(net, channels, 3, scope=f'conv{number}/conv{number}_{i}')
                before = net
                net, indices = max_pool_with_indices(net)
                pooled.append((before, indices))
        with tf.variable_scope('decoder'):
            for number, count, channels in reversed(stages):
                before, indices = pooled.pop()
                net = unpool(net, indices, before)
                outputs = stages[number - 2][2] if number > 1 else None  # the first stage's last are the logits
                for i in range(count, 1, -1):
                    net = conv2d(net, channels, 3, scope=f'conv{number}_{i}')
                if outputs:
                    net = conv2d(net, outputs, 3, scope=f'conv{number}_1')
    return Outputs(classifier(net, num_classes, kernel_size=3), {})
