"""DeepLab-v1's LargeFOV (Chen et al., 2015, arXiv:1412.7062, section 3.1): VGG16 with a reduced, dilated fc6."""

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.conv import biases, conv2d, dropout
from deeplab.layers.resize import resize_bilinear, spatial_size
from deeplab.nets.net import Outputs
from deeplab.nets.parts.fully_connected import fully_connected, rate_at

POOLS = {2: 'pool1', 4: 'pool2', 8: 'pool3', 16: 'pool4'}  # of VGG16, by nominal stride
BRANCH_CHANNELS = 128


def deeplabv1(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
              fc6_kernel_size: int = 3, fc6_rate: int = 12, fc_channels: int = 1024, dropout_rate: float = 0.5,
              multi_scale: bool = False) -> Outputs:
    """Logits at the output stride, which is 8 in the paper.

    The paper's table 2 varies kernel, rate and channels: 7, 4, 4096; 4, 4, 4096; 4, 8, 4096; 3, 12, 1024 (LargeFOV).
    The released VGG has the backbone option pool_size = 3. xlmou/Semantic-Segmentation-TensorFlow creates conv5 anew
    instead of restoring it.

    Options:
      fc6_kernel_size: side of fc6's kernel (table 2)
      fc6_rate: atrous rate of fc6, in features of output stride 8; scaled to the one in use
      fc_channels: channels of fc6 and fc7, 4096 in VGG16 (table 2)
      dropout_rate: of fc6, of fc7, and of the branches of multi_scale
      multi_scale: adds the scores of the image and of pool1 to pool4 (section 4.3, "MSc"); except in training, logits
        are then as large as the image
    """
    features = backbone.build(images, output_stride)
    net = fully_connected(features.output, fc_channels, backbone, kernel_size=fc6_kernel_size,
                          rate=rate_at(fc6_rate, output_stride), dropout_rate=dropout_rate, training=training)
    logits = classifier(net, num_classes, scope='logits/semantic')
    if not multi_scale:
        return Outputs(logits, {})
    if lacking := sorted(POOLS.keys() - backbone.taps):
        raise ValueError(f'multi_scale reads features at strides {[*POOLS]}, the poolings of VGG16; {backbone.name} '
                         f'has no tap at {lacking}, only at {[*backbone.taps]}')
    scores, size = [logits], spatial_size(logits if training else images)
    sources = [('image', 1, backbone.pixels.normalize(images)),
               *((name, nominal, features.taps[nominal]) for nominal, name in POOLS.items())]
    for name, nominal, source in sources:
        stride = output_stride // min(nominal, output_stride) if training else 1
        branch = _branch(source, name, stride, dropout_rate, training)
        scores.append(classifier(branch, num_classes, scope=f'logits/{name}'))
    return Outputs(tf.add_n([resize_bilinear(each, size) for each in scores]), {})


def _branch(source: tf.Tensor, name: str, stride: int, dropout_rate: float, training: bool) -> tf.Tensor:
    """Two layers on the image or a pool, as the released net has them: strided to the labels' grid in training alone.

    Each window is centred on its label's pixel. Otherwise a branch has its source's resolution, and the scores are
    enlarged and added up, which is one classifier of all features side by side. Initial values are the released ones
    but for two that look like slips: pool3's classifier starts from 0, pool4's second layer with a deviation of 0.005.
    """
    with tf.variable_scope(f'multi_scale/{name}'), slim.arg_scope(
            [conv2d], normalizer=biases, initializer=tf.truncated_normal_initializer(stddev=0.001)):
        net = conv2d(source, BRANCH_CHANNELS, 3, scope='conv1', stride=stride, padding='FIXED')
        net = dropout(net, dropout_rate, training=training, scope='dropout1')
        net = conv2d(net, BRANCH_CHANNELS, 1, scope='conv2')
        return dropout(net, dropout_rate, training=training, scope='dropout2')
