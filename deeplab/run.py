"""resolve(recipe) -> Run: the one place where names become net, backbone and dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from console.choices import FEW, choose, close, nearest
from datasets import row as rows
from datasets.input_fn import Augmentation
from datasets.row import Dataset
from deeplab import losses, options
from deeplab.backbones import BACKBONES, Backbone
from deeplab.nets import NETS, Net
from deeplab.recipes import protocol
from deeplab.recipes.schema import Recipe


@dataclass(frozen=True)
class Run:
    """A recipe with its names looked up: what `model_fn` and training work from. The backbone has its options bound."""

    recipe: Recipe
    dataset: Dataset
    backbone: Backbone
    net: Net
    net_options: dict[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return self.dataset.num_classes

    @property
    def eval_output_stride(self) -> int:
        return protocol.output_stride(self.recipe)

    @property
    def images_per_step(self) -> int:
        """Of one replica."""
        return self.recipe.train.batch_size * self.recipe.train.accumulate_steps

    @property
    def augmentation(self) -> Augmentation:
        data = self.recipe.data
        shared = {field.name: getattr(data, field.name) for field in fields(Augmentation) if hasattr(data, field.name)}
        return Augmentation(**shared, pad_value=self.backbone.pad_value)


def resolve(recipe: Recipe) -> Run:
    """Looks names up and checks what single fields don't tell, so that nothing impossible reaches the graph.

    Raises:
      ValueError: names the field, its value and the choices.
    """
    model = recipe.model
    backbone = choose('model.backbone', model.backbone, BACKBONES)
    net = choose('model.net', model.net, NETS)
    _check_options('model.options', model.options, net.build)
    _check_options('model.backbone_options', model.backbone_options, backbone.build)
    _check_fit(recipe, net, backbone)
    if recipe.train.accumulate_steps < 1:
        raise ValueError(f'train.accumulate_steps = {recipe.train.accumulate_steps}; a step has at least 1 batch')
    _check_scales('model.image_pyramid', model.image_pyramid)
    _check_scales('evaluation.scales', recipe.evaluation.scales or (0.0,))
    losses.check(recipe.loss)
    protocol.check(recipe.evaluation)
    dataset = rows.load(recipe.data.dataset)
    _check_label_weights(recipe, dataset)
    return Run(recipe, dataset, backbone.with_options(model.backbone_options), net, dict(model.options))


def _check_options(path: str, given: Mapping[str, Any], function: Callable) -> None:
    """The keyword-only arguments of a function are the schema of its options."""
    meanings = options.meanings(function)
    for name in given:
        if name not in options.signature(function):
            likely = [f'{near}: {meanings[near]}' for near in close(name, meanings)[:1]]
            hint = '; '.join([*likely, f'`python train.py --list {function.__name__}` explains all'])
            raise ValueError(f'{path}.{name} is not an option of {function.__name__}; {nearest(name, meanings, hint)}')


def _check_fit(recipe: Recipe, net: Net, backbone: Backbone) -> None:
    """Net, backbone and output strides must go together."""
    if net.needs_backbone == backbone.pixels_only:
        fitting = [name for name, each in BACKBONES.items() if each.pixels_only != net.needs_backbone]
        asks = 'reads a backbone' if net.needs_backbone else 'sees pixels'
        raise ValueError(f'model.backbone = {backbone.name!r} does not go with {net.name}, which {asks}: '
                         f'{_some(fitting)}')
    if lacking := [tap for tap in net.taps if tap not in backbone.taps]:
        raise ValueError(f'{net.name} reads features at strides {list(net.taps)}; {backbone.name} has no tap at '
                         f'{lacking}, only at {list(backbone.taps)}')
    if unknown := [name for name in net.backbone_options if name not in options.signature(backbone.build)]:
        fitting = [name for name, each in BACKBONES.items()
                   if set(net.backbone_options) <= options.signature(each.build).keys()]
        raise ValueError(f'{net.name} needs a backbone with {", ".join(unknown)}, which {backbone.name} has not: '
                         f'{_some(fitting)}')
    for stride in (recipe.model.output_stride, recipe.evaluation.output_stride or recipe.model.output_stride):
        for part in (net, backbone):
            if part.output_strides and stride not in part.output_strides:
                raise ValueError(f'output stride {stride} is not one of {part.name}: {list(part.output_strides)}')


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(names[:FEW])
    return f'choose {shown}' + ' or another that `python train.py --list` shows' * (len(names) > FEW)


def _check_scales(path: str, scales: tuple[float, ...]) -> None:
    if any(scale <= 0 for scale in scales) or len(set(scales)) < len(scales):
        raise ValueError(f'{path} = {list(scales)}: give scales above 0, each once')


def _check_label_weights(recipe: Recipe, dataset: Dataset) -> None:
    weights = recipe.loss.label_weights
    if weights and len(weights) != dataset.num_classes:
        raise ValueError(f'loss.label_weights has {len(weights)} values; {dataset.name} has '
                         f'{dataset.num_classes} classes')
