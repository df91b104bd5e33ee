"""ICNet (Zhao et al., 2018, arXiv:1704.08545): a cascade of three resolutions, as in the authors' released network."""

from collections.abc import Sequence

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import batch_norm, conv2d
from deeplab.layers.pyramid_pooling import pyramid_levels
from deeplab.layers.resize import resize_bilinear, scaled_size, spatial_size
from deeplab.nets.net import Outputs

FORK = (2, 1)  # conv3_1 in the paper's names: the last unit that the 1/2 and 1/4 resolutions share


def icnet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
          bins: Sequence[int] = (1, 2, 3, 6), filters: int = 512, fusion_filters: int = 128,
          guidance_weights: Sequence[float] = (0.16, 0.4)) -> Outputs:
    """Logits at stride 4 of images `[N, H, W, 3]` in 0..255; `output_stride` is that of the trunk (8).

    The labels shrink to the logits (`loss.upsample_logits = false`). The deployed net is pruned to half the trunk's
    kernels: a backbone with `width_multiplier` 0.5, and `filters` 256.

    Options:
      bins: sides of the grids that the features are averaged to (PSPNet, arXiv:1612.01105, section 3.2)
      filters: of the convolution behind the pyramid pooling
      fusion_filters: of the cascade feature fusions (section 3.3)
      guidance_weights: of the auxiliary losses at strides 16 and 8 (section 3.4)
    """
    half = resize_bilinear(images, scaled_size(spatial_size(images), 0.5))
    # One trunk for both: up to FORK at 1/2, then, halved once more, the rest (section 3.2, "weights and computation").
    features = backbone.build(half, output_stride, halve_after=FORK)
    with slim.arg_scope([batch_norm], decay=0.95, epsilon=1e-5), \
            slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(factor=2.0)):
        with tf.variable_scope('pyramid_pooling'):
            # Summed, not side by side as in PSPNet, and without convolutions of their own.
            low = tf.add_n([features.output, *pyramid_levels(features.output, bins)])
            low = conv2d(low, filters, 1, scope='conv')
        with tf.variable_scope('high_resolution'):
            high = backbone.pixels.normalize(images)
            for i, depth in enumerate((32, 32, 64), 1):
                high = conv2d(high, depth, 3, scope=f'conv{i}', stride=2, padding='FIXED')
        low, medium = cascade_feature_fusion(low, features.fork, fusion_filters, scope='fusion_16')
        medium, high = cascade_feature_fusion(medium, high, fusion_filters, scope='fusion_8')
        high = resize_bilinear(high, scaled_size(spatial_size(images), 0.25))
        logits = classifier(high, num_classes)
        if not training:
            return Outputs(logits, {})
        # Cascade label guidance, which xlmou/Semantic-Segmentation-TensorFlow lacked.
        aux = {f'stride_{stride}': (classifier(net, num_classes, scope=f'auxiliary_{stride}/logits'), weight)
               for stride, net, weight in zip((16, 8), (low, medium), guidance_weights, strict=True)}
    return Outputs(logits, aux)


def cascade_feature_fusion(coarse: tf.Tensor, fine: tf.Tensor, filters: int, *, scope: str
                           ) -> tuple[tf.Tensor, tf.Tensor]:
    """Section 3.3: (`coarse` enlarged to the size of `fine`, their sum `[N, h, w, filters]` at that size).

    Both are `[N, h, w, C]`, of any channels. The first output is for the auxiliary loss.
    """
    with tf.variable_scope(scope):
        enlarged = resize_bilinear(coarse, spatial_size(fine))
        net = conv2d(enlarged, filters, 3, scope='conv', rate=2, activation=None)
        return enlarged, tf.nn.relu(net + conv2d(fine, filters, 1, scope='projection', activation=None))
