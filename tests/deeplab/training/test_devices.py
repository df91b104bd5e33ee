"""Session options that ask for what this machine hasn't got."""

import numpy as np
import pytest

from deeplab.compat import tensorflow, tf
from deeplab.training.devices import session_config

NO_GPU = pytest.mark.skipif(bool(tensorflow.config.list_physical_devices('GPU')), reason='a GPU is here')


@NO_GPU
@pytest.mark.parametrize('options, message', [
    (('float32', 'channels_first'), 'channels_first needs a GPU: the layout optimizer leaves'),
    (('float16', 'auto'), 'float16 needs a GPU'),
])
def test_what_a_cpu_cannot_do_is_refused_with_the_reason(options, message):
    with pytest.raises(ValueError, match=message):
        session_config(*options)


@NO_GPU
def test_the_reason_is_true():
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.layout_optimizer = config.graph_options.rewrite_options.ON
    metadata, options = tf.RunMetadata(), tf.RunOptions(output_partition_graphs=True)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        images = net = tf.placeholder(tf.float32, [2, 16, 16, 8])
        for _ in range(3):
            net = tf.nn.relu(tf.nn.conv2d(net, tf.random.stateless_normal([3, 3, 8, 8], [3, 4]), 1, 'SAME'))
        session.run(net, {images: np.ones([2, 16, 16, 8])}, options=options, run_metadata=metadata)
    formats = [node.attr['data_format'].s for graph in metadata.partition_graphs for node in graph.node
               if 'Conv2D' in node.op]
    assert formats == [b'NHWC'] * 3


def test_formats_steer_the_layout_optimizer():
    toggles = {name: session_config('float32', name).graph_options.rewrite_options.layout_optimizer
               for name in ('auto', 'channels_last')}
    rewrite = tf.ConfigProto().graph_options.rewrite_options
    assert toggles == {'auto': rewrite.DEFAULT, 'channels_last': rewrite.OFF}
