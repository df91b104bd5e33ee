"""The flags of the 66 official configurations, as they were typed, describe those configurations here."""

import pytest

from deeplab.command import flags
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets.parts.dense_prediction_cell import load_cell
from deeplab.predicting.forward import forward
from deeplab.run import resolve
from tests.deeplab import oracle

MANIFESTS = oracle.manifests()


def command(manifest):
    """Their harness gave sizes, class counts and rates to the function; a command has them as flags."""
    size = ','.join(map(str, manifest['built_with_crop_size']))
    rates = [f'--atrous_rates={rate}' for rate in manifest['atrous_rates'] or []]
    strides = [f'--output_stride={manifest["output_stride"]}']
    return [*manifest['flags'], *rates, *strides, f'--train_crop_size={size}', '--train_logdir', 'logs']


def recipe_of(argv):
    parser = flags.Parser('test')
    parser.add_argument('--recipe')
    parser.add_argument('--model_dir')
    own, overrides = parser.parse(argv)
    return flags.choose_recipe(own.recipe, own.model_dir, overrides)


@pytest.mark.parametrize('name', MANIFESTS)
def test_official_flags_are_this_configuration(name):
    manifest = MANIFESTS[name]
    official = manifest['model_options'] | manifest['model_options']['nas_architecture_options']
    made = resolve(recipe_of(command(manifest)))
    model = made.recipe.model
    assert model.backbone == official['model_variant'] and model.output_stride == manifest['output_stride']
    assert model.net == ('deeplabv3plus' if official['decoder_output_stride'] else 'deeplabv3')
    net = oracle.with_defaults(made.net.build, model.options)
    cell = net.pop('dense_prediction_cell')
    assert (cell and load_cell(cell)) == official['dense_prediction_cell_config']
    assert net['atrous_rates'] == (manifest['atrous_rates'] or [])
    rates = net['atrous_rates_stride'] if net['atrous_rates'] else None
    assert rates in (None, manifest['output_stride'])
    shared = {option: value for option, value in net.items() if option in official and option != 'atrous_rates'}
    if official['decoder_output_is_logits']:  # whose filters are the classes
        shared.pop('decoder_filters')
    assert len(shared) > 8
    assert shared == {option: official[option] for option in shared}
    backbone = oracle.with_defaults(made.backbone.build, model.backbone_options)
    wanted = oracle.backbone_options(manifest)
    assert {option: backbone[option] for option in wanted} == wanted


def test_rates_typed_for_aspp_change_nothing_in_a_cell():
    argv = ['--model_variant=resnet_v1_18', '--output_stride=8', '--train_logdir=logs',
            '--dense_prediction_cell_json=deeplab/core/dense_prediction_cell_branch5_top1_cityscapes.json']
    found = []
    for rates in ([], ['--atrous_rates=12', '--atrous_rates=24', '--atrous_rates=36']):
        run = resolve(recipe_of([*argv, *rates]))
        with tf.Graph().as_default() as graph, model_scope(training=False, batch_norm='freeze_statistics'):
            forward(run, tf.zeros([1, 33, 33, 3]), training=False, output_stride=8)
        found.append([tf.get_static_value(op.inputs[1]).tolist() for op in graph.get_operations()
                      if op.type == 'SpaceToBatchND' and op.name.startswith('meta_architecture')])
    # tensorflow/models, research/deeplab/model.py: conv_rate_multiplier is 16 // output_stride.
    cell = [[2 * side for side in operation['rate']] for operation in load_cell('branch5_top1_cityscapes')]
    assert found == [cell, cell]


def test_there_are_configurations():
    assert len(MANIFESTS) > 60
