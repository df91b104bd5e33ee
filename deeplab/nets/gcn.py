"""GCN: large kernels and boundary refinement (Peng et al., 2017, arXiv:1703.02719), figure 2."""

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.conv import Initializer, biases, conv2d, conv2d_transpose
from deeplab.layers.resize import Size, scaled_size, spatial_size
from deeplab.nets.net import Outputs
from deeplab.nets.parts.upsampling import bilinear_initializer


def gcn(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
        kernel_size: int = 15, boundary_refinement: bool = True) -> Outputs:
    """Logits at full resolution of images `[N, H, W, 3]` in 0..255.

    Options:
      kernel_size: k of section 3.1, odd, for every level
      boundary_refinement: residual blocks on the scores (section 3.2); without them section 4.1.2's other row
    """
    features = backbone.build(images, output_stride)
    # As the paper's res-2 to res-5; families that don't hand out their blocks have the decoders' taps.
    levels = [*features.blocks[:3]] if len(features.blocks) > 3 else [features.taps[stride] for stride in (4, 8, 16)]
    refine = boundary_refine if boundary_refinement else _unrefined
    size = spatial_size(images)
    # Everything behind the backbone is as wide as the classes, without batch norm, in the paper and in
    # xlmou/Semantic-Segmentation-TensorFlow.
    with slim.arg_scope([conv2d], normalizer=biases, activation=None, initializer=_small()):
        net = None
        for level, feature in zip((5, 4, 3, 2), [features.output, *reversed(levels)], strict=True):
            with tf.variable_scope(f'level{level}'):
                scores = refine(global_convolution(feature, num_classes, kernel_size, scope='gcn'), scope='refine')
                if net is not None:
                    scores = refine(scores + _double(net, spatial_size(feature), scope='deconv'), scope='refine_sum')
                net = scores
        for level, sides in ((1, scaled_size(size, 0.5)), (0, size)):
            with tf.variable_scope(f'level{level}'):
                net = refine(_double(net, sides, scope='deconv'), scope='refine')
    return Outputs(net, {})


def global_convolution(features: tf.Tensor, filters: int, kernel_size: int, *, scope: str) -> tf.Tensor:
    """`[N, h, w, C]` -> `[N, h, w, filters]`: k x 1 then 1 x k, plus 1 x k then k x 1 (section 3.1).

    Each output sees all of a k x k window, without a nonlinearity.
    """
    tall, wide = [kernel_size, 1], [1, kernel_size]
    with tf.variable_scope(scope):
        branches = []
        for name, first, second in (('tall', tall, wide), ('wide', wide, tall)):
            net = conv2d(features, filters, first, scope=f'{name}_1', initializer=slim.variance_scaling_initializer())
            branches.append(conv2d(net, filters, second, scope=f'{name}_2'))
        return tf.add_n(branches)


def boundary_refine(scores: tf.Tensor, *, scope: str) -> tf.Tensor:
    """`[N, h, w, C]`, the scores plus a residual of two 3x3 convolutions (section 3.2)."""
    filters = scores.shape.as_list()[-1]
    with tf.variable_scope(scope):
        net = conv2d(scores, filters, 3, scope='conv1', activation=tf.nn.relu)
        return scores + conv2d(net, filters, 3, scope='conv2')


def _unrefined(scores: tf.Tensor, *, scope: str) -> tf.Tensor:
    return scores


def _small() -> Initializer:
    """Scores start near 0 although the last layers are residual: the loss starts at ln C. The paper doesn't say."""
    return slim.variance_scaling_initializer(factor=1e-3)


def _double(scores: tf.Tensor, size: Size, *, scope: str) -> tf.Tensor:
    filters = scores.shape.as_list()[-1]
    return conv2d_transpose(scores, filters, 4, scope=scope, size=size, initializer=bilinear_initializer,
                            normalizer=biases, activation=None)
