"""The official DeepLab's recorded configurations, built with our nets; tests/oracle/README.md says what is recorded."""

import functools
import inspect
import json
import lzma
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from deeplab.backbones import BACKBONES
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.options import signature
from tests.paths import ROOT

ORACLE = ROOT / 'tests' / 'oracle'
DECODER_OPTIONS = ('decoder_output_stride', 'decoder_filters', 'decoder_use_separable_conv', 'decoder_use_sum_merge',
                   'decoder_output_is_logits')
HEAD_OPTIONS = ('add_image_level_feature', 'image_pooling_crop_size', 'image_pooling_stride', 'aspp_with_batch_norm',
                'aspp_with_separable_conv', 'aspp_with_concat_projection', 'aspp_with_squeeze_and_excitation',
                'aspp_convs_filters', 'image_se_uses_qsigmoid', 'logits_kernel_size', 'use_bounded_activation')


class Case(NamedTuple):
    """A recorded inference: fill rule, image size, every how many pixels the logits and the classes were kept."""

    rule: str
    size: tuple[int, int]
    logits: np.ndarray
    every: int
    classes: np.ndarray | None
    classes_every: int


@functools.cache
def manifests() -> dict[str, dict]:
    """Every recorded configuration by name."""
    return json.loads(lzma.decompress((ORACLE / 'manifests.json.xz').read_bytes()))


def backbone_options(manifest) -> dict:
    """The official options that its backbone takes."""
    options = manifest['model_options']
    options = {**options, **options['nas_architecture_options']}
    return {name: options[name] for name in signature(BACKBONES[options['model_variant']].build) if name in options}


def with_defaults(function: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a net or backbone gets, in plain types as manifests hold them."""
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()
                if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in {**defaults, **options}.items()}


def build(manifest, images, *, training=False, batch_norm='freeze_statistics', **changes):
    """The configuration's outputs, in a model scope of its own; `changes` are options of the net."""
    options = manifest['model_options']
    net = 'deeplabv3plus' if options['decoder_output_stride'] else 'deeplabv3'
    names = HEAD_OPTIONS + (DECODER_OPTIONS if net == 'deeplabv3plus' else ())
    arguments = {name: options[name] for name in names}
    arguments.update(atrous_rates=manifest['atrous_rates'] or (), atrous_rates_stride=manifest['output_stride'],
                     dense_prediction_cell=options['dense_prediction_cell_config'])
    backbone = BACKBONES[options['model_variant']]
    with model_scope(training or batch_norm == 'train', batch_norm):
        return NETS[net](
            images, manifest['num_classes'], backbone.with_options(backbone_options(manifest)), training=training,
            output_stride=manifest['output_stride'], **{**arguments, **changes})


def cases(name: str) -> list[Case]:
    """What was recorded for a configuration; empty for those with a manifest only."""
    path = ORACLE / f'infer_{name}.npz'
    if not path.exists():
        return []
    with np.load(path) as record:
        arrays = {key: record[key] for key in record.files if key != 'meta'}
    found = []
    for key, logits in arrays.items():
        rule, kind, *_, size = key.split('_')
        if kind == 'logits':
            classes = [other for other in arrays if other.startswith(f'{rule}_argmax') and other.endswith(f'_{size}')]
            found.append(Case(rule, tuple(map(int, size.split('x'))), logits, _every(key),
                              arrays[classes[0]] if classes else None, _every(classes[0]) if classes else 1))
    return found


def _every(key):
    parts = [part for part in key.split('_') if part.startswith('sub')]
    return int(parts[0].removeprefix('sub')) if parts else 1
