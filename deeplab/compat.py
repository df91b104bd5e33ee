"""The one file that knows this is the TensorFlow 1 API on TensorFlow 2.

Everything in `deeplab` takes `tf` from here: `from deeplab.compat import tf`. It is `tensorflow.compat.v1`: the graph
API and every TF2 name that a graph needs. `estimator` is TF2's `tf.estimator`. `slim` is used for its scopes and
variable collections only: `slim.batch_norm` doesn't run on this stack (it asks for a module that no tf-keras ships).

Importing this module silences TensorFlow's start-up noise unless the user has chosen a level.
"""

import logging
import os
import warnings

# Read by the C++ runtime when it is loaded, hence before the import. At level 2 the GPU build still reports, as errors,
# that its CUDA factories register twice; what really fails raises in Python.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
warnings.filterwarnings('ignore', category=DeprecationWarning, module='tensorflow|tf_slim|flatbuffers')

import tensorflow  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
import tf_slim as slim  # noqa: E402
from tensorflow.python.client.timeline import Timeline  # noqa: E402

logging.getLogger('tensorflow').setLevel(logging.ERROR)
estimator = tensorflow.estimator

__all__ = ['Timeline', 'estimator', 'slim', 'tensorflow', 'tf']
