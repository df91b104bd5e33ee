"""A fully connected CRF on the pixels of an image (Krähenbühl and Koltun, NIPS 2011), as DeepLab v1 and v2 have it.

Energy of a labelling x: sum_i -log p_i(x_i) + sum_{i<j} [x_i != x_j] (w1 b_ij + w2 s_ij), where b is a Gaussian of
position and colour, s one of position alone, and each is normalised to k_ij / sqrt(n_i n_j), n_i = sum_j k_ij, as
pydensecrf has it. The mean-field sums include i itself, also as there: with positive definite kernels and Potts'
compatibilities every parallel step lowers the free energy (Krähenbühl and Koltun, ICML 2013).

pydensecrf2 1.1, the library that installs today, needs a compiler and 7.4 s for a VOC image on one core; this is part
of the graph, so inference and export have it too.
"""

from collections.abc import Sequence

from deeplab.compat import tf
from deeplab.predicting.lattice import Filter, grid_gaussian, permutohedral
from deeplab.recipes.protocol import Crf

NEGLIGIBLE = 1e-3  # a class that nowhere is more probable is left out: its messages are below anything that counts
SMALLEST = 1e-20  # of a probability


def refine(images: tf.Tensor, probabilities: tf.Tensor, parameters: Crf) -> tf.Tensor:
    """Probabilities [N,H,W,C] after mean-field inference with images [N,H,W,3] (0..255)."""
    with tf.device('/cpu:0'):
        return tf.map_fn(lambda each: _refine_one(each[0], each[1], parameters), (images, probabilities),
                         fn_output_signature=tf.TensorSpec([None, None, probabilities.shape[-1]], tf.float32),
                         parallel_iterations=1)


def _refine_one(image: tf.Tensor, probabilities: tf.Tensor, parameters: Crf) -> tf.Tensor:
    shape = tf.shape(probabilities)
    flat = tf.reshape(probabilities, [-1, shape[2]])
    used = tf.where(tf.reduce_max(flat, 0) > NEGLIGIBLE)[:, 0]
    weighted = [(parameters.bilateral_weight, permutohedral(_features(image, parameters))),
                (parameters.spatial_weight, grid_gaussian(shape[0], shape[1], parameters.spatial_xy))]
    found = mean_field(tf.gather(flat, used, axis=1), weighted, parameters.iterations)
    everywhere = tf.scatter_nd(used[:, tf.newaxis], tf.transpose(found), tf.cast(tf.shape(flat)[::-1], tf.int64))
    return tf.reshape(tf.transpose(everywhere), shape)


def mean_field(probabilities: tf.Tensor, kernels: Sequence[tuple[float, Filter]], iterations: int) -> tf.Tensor:
    """Probabilities [P,C] after so many parallel updates with (weight, filter) kernels, each normalised here."""
    scores = tf.log(tf.maximum(probabilities, SMALLEST))
    weighted = [(weight, filtered, tf.rsqrt(tf.maximum(filtered(tf.ones_like(scores[:, :1])), SMALLEST)))
                for weight, filtered in kernels]

    def update(step: tf.Tensor, current: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        messages = [weight * scale * filtered(scale * current) for weight, filtered, scale in weighted]
        return step + 1, tf.nn.softmax(scores + tf.add_n(messages))

    return tf.while_loop(lambda step, _: step < iterations, update, [0, tf.nn.softmax(scores)], back_prop=False,
                         parallel_iterations=1,
                         shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None])])[1]


def _features(image: tf.Tensor, parameters: Crf) -> tf.Tensor:
    """Position and colour [P,5] in deviations."""
    size = tf.shape(image)
    rows, columns = (tf.cast(each, tf.float32) / parameters.bilateral_xy
                     for each in tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing='ij'))
    together = tf.concat([tf.stack([rows, columns], 2), image / parameters.bilateral_rgb], 2)
    return tf.reshape(together, [-1, 5])
