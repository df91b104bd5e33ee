"""Which rows are models whose outputs were recorded from the original code, for `deeplab/reports/checked.json`.

    python -m tests.deeplab.checked
"""

import json
from typing import Any

from console.files import write_whole
from datasets import row as rows
from deeplab.backbones import BACKBONES
from deeplab.nets import NETS
from deeplab.nets.parts.dense_prediction_cell import load_cell
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports.status import CHECKED
from tests.deeplab import oracle


def recordings() -> dict[str, list[str]]:
    """{row: its recorded configurations}, one for each output stride that it trains or is evaluated at."""
    recorded = {name: official(manifest) for name, manifest in oracle.manifests().items()
                if (oracle.ORACLE / f'infer_{name}.npz').exists()}
    found = {}
    for name, row in recipes.table().items():
        strides = sorted({row.model.output_stride, protocol.output_stride(row)}, reverse=True)
        same = [[config for config, model in recorded.items() if model == ours(row, stride, model)]
                for stride in strides]
        if not row.model.image_pyramid and all(same):
            found[name] = [configs[0] for configs in same]
    return found


def official(manifest: Any) -> dict[str, Any]:
    """A recorded model by what decides its outputs, as our nets call it."""
    options = manifest['model_options']
    net = 'deeplabv3plus' if options['decoder_output_stride'] else 'deeplabv3'
    names = oracle.HEAD_OPTIONS + (oracle.DECODER_OPTIONS if net == 'deeplabv3plus' else ())
    cell = options['dense_prediction_cell_config']
    head = {name: options[name] for name in names} | {
        'dense_prediction_cell': cell, 'atrous_rates': [] if cell else manifest['atrous_rates'] or []}
    return {'net': net, 'backbone': options['model_variant'], 'output_stride': manifest['output_stride'],
            'classes': manifest['num_classes'], 'upsampled': options['prediction_with_upsampled_logits'],
            'options': oracle.with_defaults(NETS[net].build, head | {'atrous_rates_stride': manifest['output_stride']}),
            'backbone_options': oracle.backbone_options(manifest)}


def ours(row: Recipe, stride: int, model: dict[str, Any]) -> dict[str, Any]:
    """A row's model at a stride, in the same words; options that don't matter to a net are the other's."""
    options = oracle.with_defaults(NETS[row.model.net].build, row.model.options)
    if options.get('dense_prediction_cell'):
        options |= {'dense_prediction_cell': load_cell(options['dense_prediction_cell']), 'atrous_rates': []}
    if 'atrous_rates' in options:
        scale = options.get('atrous_rates_stride', stride) // stride
        options |= {'atrous_rates': [rate * scale for rate in options['atrous_rates']], 'atrous_rates_stride': stride}
    if options.get('decoder_output_is_logits'):  # whose filters are the classes
        options['decoder_filters'] = model['options'].get('decoder_filters')
    given = oracle.with_defaults(BACKBONES[row.model.backbone].build, row.model.backbone_options)
    default = oracle.with_defaults(BACKBONES[row.model.backbone].build, {})
    compared = {name: value for name, value in given.items() if name in model['backbone_options']}
    unknown = {name: value for name, value in given.items() if name not in compared and value != default[name]}
    return {'net': row.model.net, 'backbone': row.model.backbone, 'output_stride': stride,
            'classes': rows.load(row.data.dataset).num_classes, 'upsampled': row.evaluation.upsample_logits,
            'options': options, 'backbone_options': compared | unknown}


if __name__ == '__main__':
    write_whole(CHECKED, json.dumps(recordings(), indent=0) + '\n')
