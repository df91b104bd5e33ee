"""The head that the DeepLabs share: context module and logits.

Options have the names of the released code's flags; scopes are at top level, as in the released checkpoints.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier
from deeplab.layers.context import atrous_pyramid, image_pooling, quantized_sigmoid, xavier
from deeplab.layers.conv import Layer, batch_norm, conv2d, dropout
from deeplab.layers.resize import scaled_size
from deeplab.nets.parts.dense_prediction_cell import dense_prediction_cell


def head_scope() -> contextlib.AbstractContextManager[None]:
    """Batch-norm constants of everything behind a backbone."""
    return slim.arg_scope([batch_norm], decay=0.9997, epsilon=1e-5)


@dataclass(frozen=True, kw_only=True)
class Head:
    """DeepLabv3's head by its options (section 3.3), DeepLabv2's plain one, and the Dense Prediction Cell.

    Options:
      atrous_rates: of the branches of ASPP, in features of atrous_rates_stride; empty: image pooling and the 1x1 branch
        alone
      atrous_rates_stride: the output stride that the rates belong to; they are scaled to the one in use, as in the
        paper: 6, 12, 18 at 16 are 12, 24, 36 at 8
      add_image_level_feature: image pooling as one more branch of ASPP
      image_pooling_crop_size: (height, width) in pixels of the images that are pooled over; None: the whole image
      image_pooling_stride: (height, width) in features of that pooling, where it has a crop size
      aspp_with_batch_norm: false: no context module, logits are the sum of a convolution for each rate, as DeepLab-v2's
      aspp_with_separable_conv: depthwise separable convolutions in the branches with rates
      aspp_with_concat_projection: a 1x1 convolution and a dropout behind the concatenated branches
      aspp_with_squeeze_and_excitation: image pooling multiplies the features as a gate, otherwise it is a branch;
        the gate is that of MobileNetV3 (arXiv:1905.02244)
      aspp_convs_filters: channels of each branch and of the concat projection
      dense_prediction_cell: in place of ASPP and its rates: a list of operations, a JSON file of them, or
        branch5_top1_cityscapes (arXiv:1809.04184)
      cell_rates_stride: the output stride that the cell's rates belong to; they are multiplied for smaller ones
      cell_filters: channels of each branch of the cell
      cell_concat_filters: channels of the projection behind the cell's branches
      image_se_uses_qsigmoid: that gate is piecewise linear, relu6(x + 3) / 6, where otherwise it is a sigmoid
      logits_kernel_size: side of the classifier's kernel; 1, unless aspp_with_batch_norm is false with atrous_rates
      use_bounded_activation: ReLU6 in place of ReLU, for quantised inference
      dropout: rate of the dropout behind the concat projection
    """

    atrous_rates: tuple[int, ...] = (6, 12, 18)
    atrous_rates_stride: int = 16
    add_image_level_feature: bool = True
    image_pooling_crop_size: tuple[int, int] | None = None
    image_pooling_stride: tuple[int, int] = (1, 1)
    aspp_with_batch_norm: bool = True
    aspp_with_separable_conv: bool = True
    aspp_with_concat_projection: bool = True
    aspp_with_squeeze_and_excitation: bool = False
    aspp_convs_filters: int = 256
    dense_prediction_cell: str | Sequence[Mapping[str, Any]] | None = None
    cell_rates_stride: int = 16
    cell_filters: int = 256
    cell_concat_filters: int = 256
    image_se_uses_qsigmoid: bool = False
    logits_kernel_size: int = 1
    use_bounded_activation: bool = False
    dropout: float = 0.1

    @property
    def activation(self) -> Layer:
        return tf.nn.relu6 if self.use_bounded_activation else tf.nn.relu

    def context(self, features: tf.Tensor, output_stride: int, training: bool) -> tf.Tensor:
        """`[N, h, w, channels]` -> `[N, h, w, aspp_convs_filters]` (more without the concat projection)."""
        if not self.aspp_with_batch_norm:
            return features
        if self.dense_prediction_cell is not None:
            return dense_prediction_cell(
                features, self.dense_prediction_cell, output_stride, rates_stride=self.cell_rates_stride,
                filters=self.cell_filters, concat_filters=self.cell_concat_filters, training=training,
                dropout_rate=self.dropout, image_pooling_crop_size=self.image_pooling_crop_size)
        return self._aspp(features, output_stride, training)

    def _aspp(self, features: tf.Tensor, output_stride: int, training: bool) -> tf.Tensor:
        pooled = self._image_feature(features, output_stride) if self.add_image_level_feature else None
        branches = atrous_pyramid(
            features, self.aspp_convs_filters, self._rates(output_stride),
            separable=self.aspp_with_separable_conv, activation=self.activation)
        gated = pooled is not None and self.aspp_with_squeeze_and_excitation
        if pooled is not None and not gated:
            branches = [pooled, *branches]
        net = tf.concat(branches, 3)
        if self.aspp_with_concat_projection:
            net = conv2d(net, self.aspp_convs_filters, 1, scope='concat_projection', initializer=xavier(),
                         activation=self.activation)
            net = dropout(net, self.dropout, training=training, scope='concat_projection_dropout')
        return net * pooled if gated else net

    def logits(self, features: tf.Tensor, num_classes: int, output_stride: int) -> tf.Tensor:
        """`[N, h, w, channels]` -> float32 `[N, h, w, num_classes]`, near 0 at first: the loss starts at ln C."""
        rates = () if self.aspp_with_batch_norm else self._rates(output_stride)
        if not rates and self.logits_kernel_size != 1:
            raise ValueError(f'logits_kernel_size is {self.logits_kernel_size}; it must be 1 unless '
                             'aspp_with_batch_norm is false and atrous_rates are given')
        with tf.variable_scope('logits'):
            return tf.add_n([
                classifier(features, num_classes, scope=f'semantic_{i}' if i else 'semantic',
                           kernel_size=self.logits_kernel_size, rate=rate)
                for i, rate in enumerate(rates or (1,))])

    def _rates(self, output_stride: int) -> list[int]:
        scaled = [rate * self.atrous_rates_stride / output_stride for rate in self.atrous_rates]
        if any(rate < 1 or rate != int(rate) for rate in scaled):
            raise ValueError(f'atrous_rates {list(self.atrous_rates)} for output stride {self.atrous_rates_stride} are '
                             f'not whole at output stride {output_stride}: {scaled}')
        return [int(rate) for rate in scaled]

    def _image_feature(self, features: tf.Tensor, output_stride: int) -> tf.Tensor:
        window = None
        if self.image_pooling_crop_size is not None:
            window = scaled_size(self.image_pooling_crop_size, 1 / output_stride)
        gate = quantized_sigmoid if self.image_se_uses_qsigmoid else tf.nn.sigmoid
        return image_pooling(features, self.aspp_convs_filters, window=window, stride=self.image_pooling_stride,
                             gate=gate if self.aspp_with_squeeze_and_excitation else None)
