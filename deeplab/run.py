"""resolve(recipe) -> Run: the one place where names become net, backbone and dataset."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import registry
from datasets.input_fn import Augmentation
from datasets.registry import Dataset
from deeplab import losses, metrics, optimizer
from deeplab.backbones import BACKBONES, Backbone
from deeplab.nets import NETS
from deeplab.recipe import Recipe, nearest

PRECISIONS = ('float32', 'bfloat16', 'float16')
MERGE_METHODS = ('max', 'avg')
STATUSES = ('built', 'ported', 'reproduced')
BATCH_NORM_MODES = ('train', 'freeze_statistics', 'freeze')


@dataclass(frozen=True)
class Run:
    """A recipe with its names looked up: what `model_fn` and the runner work from."""

    recipe: Recipe
    dataset: Dataset
    backbone: Backbone
    net: Callable[..., Any]
    net_options: dict[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return self.dataset.num_classes

    @property
    def eval_output_stride(self) -> int:
        return self.recipe.evaluation.output_stride or self.recipe.model.output_stride

    @property
    def augmentation(self) -> Augmentation:
        data = self.recipe.data
        return Augmentation(crop_size=data.crop_size, min_scale=data.min_scale, max_scale=data.max_scale,
                            scale_step=data.scale_step, flip=data.flip, pad_value=self.backbone.pad_value,
                            min_resize=data.min_resize, max_resize=data.max_resize,
                            resize_factor=data.resize_factor)


def resolve(recipe: Recipe) -> Run:
    """Looks every name up and checks every choice, so that nothing unknown reaches the graph.

    Raises:
      ValueError: names the field, its value and the choices.
    """
    model = recipe.model
    backbone = _choose('model.backbone', model.backbone, BACKBONES)
    net = _choose('model.net', model.net, NETS)
    _check_options('model.options', model.options, net)
    _check_options('model.backbone_options', model.backbone_options, backbone.build)
    for stride in (model.output_stride, recipe.evaluation.output_stride or model.output_stride):
        if stride not in backbone.output_strides:
            raise ValueError(f'output stride {stride} is not one of {model.backbone}: {backbone.output_strides}')
    _choose('status', recipe.status, dict.fromkeys(STATUSES))
    _choose('train.precision', recipe.train.precision, dict.fromkeys(PRECISIONS))
    _choose('batch_norm.mode', recipe.batch_norm.mode, dict.fromkeys(BATCH_NORM_MODES))
    _choose('optimizer.name', recipe.optimizer.name, optimizer.OPTIMIZERS)
    _choose('schedule.policy', recipe.schedule.policy, optimizer.SCHEDULES)
    _choose('loss.weight_decay_rule', recipe.loss.weight_decay_rule, losses.RULES)
    _choose('model.merge_method', model.merge_method, dict.fromkeys(MERGE_METHODS))
    _check_scales('model.image_pyramid', model.image_pyramid)
    _check_scales('evaluation.scales', recipe.evaluation.scales or (0.0,))
    _check_resize(recipe)
    _choose('evaluation.absent', recipe.evaluation.absent, metrics.ABSENT_RULES)
    dataset = registry.load(recipe.data.dataset)
    _check_label_weights(recipe, dataset)
    return Run(recipe, dataset, backbone, net, dict(model.options))


def _choose(path: str, name: str, choices: Mapping[str, Any]) -> Any:
    if name not in choices:
        raise ValueError(f'{path} = {name!r} is unknown; {nearest(name, choices)}')
    return choices[name]


def _check_options(path: str, options: Mapping[str, Any], function: Callable) -> None:
    """The keyword-only arguments of a function are the schema of its options."""
    schema = [p.name for p in inspect.signature(function).parameters.values()
              if p.kind is p.KEYWORD_ONLY and p.name not in ('training', 'output_stride', 'backbone_options')]
    for name in options:
        if name not in schema:
            raise ValueError(f'{path}.{name} is not an option of {function.__name__}; {nearest(name, schema)}')


def _check_scales(path: str, scales: tuple[float, ...]) -> None:
    if any(scale <= 0 for scale in scales) or len(set(scales)) < len(scales):
        raise ValueError(f'{path} = {list(scales)}: give scales above 0, each once')


def _check_resize(recipe: Recipe) -> None:
    evaluation = recipe.evaluation
    if (evaluation.max_resize or evaluation.resize_factor) and not evaluation.min_resize:
        raise ValueError(f'evaluation.max_resize {evaluation.max_resize} and evaluation.resize_factor '
                         f'{evaluation.resize_factor} need evaluation.min_resize, the length of the short side')


def _check_label_weights(recipe: Recipe, dataset: Dataset) -> None:
    weights = recipe.loss.label_weights
    if weights and len(weights) != dataset.num_classes:
        raise ValueError(f'loss.label_weights has {len(weights)} values; {dataset.name} has '
                         f'{dataset.num_classes} classes')
