"""Every recipe's graph is built once, and its parameters counted where the row knows them."""

import json
import math

import pytest

from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.predicting.forward import forward
from deeplab.recipes import recipe as recipes
from deeplab.run import resolve

ROWS = recipes.table()
FAST = ('demo', 'enet_camvid')


def architecture(row):
    """Rows that share it build the same graph."""
    model = row.model
    return json.dumps([model.net, model.backbone, model.output_stride, model.backbone_options, model.options,
                       model.image_pyramid, resolve(row).num_classes, row.expected.params], sort_keys=True)


def architectures():
    found = {}
    for name, row in ROWS.items():
        found.setdefault(architecture(row), name)
    assert len(ROWS) > 200 and len(found) > 50
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in found.values()]


@pytest.mark.parametrize('name', architectures())
def test_the_graph_is_built_and_has_the_parameters_that_the_row_expects(name):
    row = ROWS[name]
    run = resolve(row)
    with tf.Graph().as_default(), model_scope(training=True, batch_norm=row.batch_norm.mode):
        images = tf.placeholder(tf.float32, [1, *row.data.crop_size, 3])
        outputs = forward(run, images, row.model.image_pyramid, training=True,
                          output_stride=row.model.output_stride)
        assert outputs.logits.shape.as_list()[-1] == run.num_classes
        counts = [sum(math.prod(v.shape.as_list()) for v in variables)
                  for variables in (tf.model_variables(), tf.trainable_variables())]
    assert row.expected.params is None or row.expected.params in counts


@pytest.mark.parametrize('name', ROWS)
def test_a_row_survives_being_written_and_read(name):
    assert recipes.from_dict(json.loads(json.dumps(recipes.to_dict(ROWS[name])))) == ROWS[name]
