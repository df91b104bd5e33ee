"""An evaluation protocol: what of it is allowed, and what results, tables and folders call it. No TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from console.choices import choose, nearest
from deeplab.recipes.schema import Evaluation, Recipe


@dataclasses.dataclass(frozen=True)
class Crf:
    """Parameters of deeplab.predicting.crf: weights w1, w2 and deviations (xy in pixels, rgb in 0..255)."""

    bilateral_weight: float
    bilateral_xy: float
    bilateral_rgb: float
    spatial_weight: float
    spatial_xy: float
    iterations: int = 10


# The authors' values, cross-validated on VOC val for each of their models: the first in comments of
# wangleihitcs/DeepLab-V1-PyTorch@950b489:main.py, the others in meng-tang/rloss@1caa759, as
# exper/pascal_scribble/config/{deeplab_vgg16,resnet-101}/test.prototxt.
# (Copies of run_densecrf.sh say 4, 49, 5, which no model of those has.)
CRFS = {
    'deeplabv1_largefov': Crf(4, 121, 5, 3, 3),
    'deeplabv2_vgg16': Crf(4, 65, 3, 2, 2),
    'deeplabv2_resnet101': Crf(4, 67, 3, 3, 1),
}


def check(evaluation: Evaluation) -> None:
    """ValueError for values out of their range, and for options that exclude each other."""
    _check_tiles(evaluation)
    crf_parameters(evaluation)
    if (evaluation.max_resize or evaluation.resize_factor) and not evaluation.min_resize:
        raise ValueError(f'evaluation.max_resize {evaluation.max_resize} and evaluation.resize_factor '
                         f'{evaluation.resize_factor} need evaluation.min_resize, the length of the short side')
    if evaluation.resolution == 'resized' and not evaluation.min_resize:
        raise ValueError("evaluation.resolution = 'resized' scores at the size that evaluation.min_resize asks for: "
                         "give it, or score at the 'original' size")
    if any(width < 1 for width in evaluation.trimap) or evaluation.limit < 0:
        raise ValueError(f'evaluation.trimap = {list(evaluation.trimap)} and evaluation.limit = {evaluation.limit}: '
                         f'give widths of at least a pixel, and a number of images or 0 for all')
    added = [name for name in ('tile_size', 'crf') if getattr(evaluation, name)]
    added += ['fusion'] * (evaluation.fusion != 'mean')
    if evaluation.official_compat and added:
        raise ValueError(f'evaluation.official_compat: the official code has no evaluation.{added[0]}')


def _check_tiles(evaluation: Evaluation) -> None:
    size = evaluation.tile_size
    if size and (len(size) != 2 or min(size) < 1):
        raise ValueError(f'evaluation.tile_size = {list(size)}: give height and width in pixels, or nothing')
    if not 0 <= evaluation.tile_overlap < 1:
        raise ValueError(f'evaluation.tile_overlap = {evaluation.tile_overlap}: give a share of the tile, below 1')
    if evaluation.tile_limit and not size:
        raise ValueError(f'evaluation.tile_limit = {evaluation.tile_limit} needs evaluation.tile_size')
    if size and not evaluation.upsample_logits:
        raise ValueError('evaluation.tile_size needs evaluation.upsample_logits: overlapping tiles are averaged at '
                         'full resolution')


def crf_parameters(evaluation: Evaluation) -> Crf | None:
    """Those of `evaluation.crf` with `crf_options` in place of its values; None when it is off."""
    options = evaluation.crf_options
    if not evaluation.crf:
        if options:
            raise ValueError(f'evaluation.crf_options change a set of parameters: name one as evaluation.crf; '
                             f'{nearest("", CRFS)}')
        return None
    usual = choose('evaluation.crf', evaluation.crf, CRFS)
    known = [field.name for field in dataclasses.fields(Crf)]
    for name, value in options.items():
        if name not in known:
            raise ValueError(f'evaluation.crf_options.{name} is not a parameter of the CRF; {nearest(name, known)}')
        if type(value) not in ((int,) if name == 'iterations' else (int, float)) or value <= 0:
            raise ValueError(f'evaluation.crf_options.{name} = {value!r}: give a number above 0, of iterations a whole '
                             f'one')
    return dataclasses.replace(usual, **options)


def scored_resized(evaluation: Evaluation) -> bool:
    """Whether scores are those of the size that the net sees; the official code does so after resizing."""
    return bool(evaluation.min_resize) and (evaluation.official_compat or evaluation.resolution == 'resized')


def output_stride(recipe: Recipe) -> int:
    """That of evaluation: the model's own, unless it is given."""
    return recipe.evaluation.output_stride or recipe.model.output_stride


def describe(recipe: Recipe) -> dict[str, Any]:
    """The whole protocol, as results hold it: all that decides a number but weights, split and classes."""
    evaluation = recipe.evaluation
    parameters = crf_parameters(evaluation)
    return {
        'output_stride': output_stride(recipe), 'scales': list(evaluation.scales), 'flip': evaluation.flip,
        'fusion': evaluation.fusion, 'pad_to': list(evaluation.pad_to),
        'resize': [evaluation.min_resize, evaluation.max_resize, evaluation.resize_factor],
        'tiles': {'size': list(evaluation.tile_size), 'overlap': evaluation.tile_overlap,
                  'weighting': evaluation.tile_weighting, 'above_pixels': evaluation.tile_limit}
        if evaluation.tile_size else None,
        'crf': {'parameters': evaluation.crf} | dataclasses.asdict(parameters) if parameters else None,
        'upsampled': 'logits' if evaluation.upsample_logits else 'classes',
        'official_compat': evaluation.official_compat,
        'resolution': 'resized' if scored_resized(evaluation) else 'original',
        'absent_classes': evaluation.absent,
        'precision': recipe.train.precision,
        'first_images': min(filter(None, (recipe.data.limit, evaluation.limit)), default=0),
    }


class _Part(NamedTuple):
    """What a protocol has: in words, and in a folder's name; nothing where it hasn't."""

    words: str = ''
    short: str = ''


def text(protocol: Mapping[str, Any]) -> str:
    """What `describe` gave, on one line; older results lack some of it."""
    return ', '.join(part.words for part in _parts(protocol) if part.words)


def of_figure(row: Recipe) -> str:
    """The protocol of the figure that a row expects, on one line; the row's precision is its training's."""
    return text(describe(row) | {'precision': 'float32'})


def name(protocol: Mapping[str, Any]) -> str:
    """A part of a folder's name, such as 'os16', 'os8_0.5_1_1.5_flip' or 'os16_resized513_official'."""
    return '_'.join(part.short for part in _parts(protocol) if part.short)


def _parts(protocol: Mapping[str, Any]) -> list[_Part]:
    """Everything that isn't usual, so that neither line nor name can leave out what the other has."""
    stride, absent, precision = (protocol.get(key) for key in ('output_stride', 'absent_classes', 'precision'))
    official, first = protocol.get('official_compat'), protocol.get('first_images')
    table = [
        (True, _Part(f'OS {stride}', f'os{stride}')),
        (protocol['scales'] != [1], _scales(protocol['scales'])),
        (protocol['flip'], _Part('flip', 'flip')),
        (protocol.get('fusion') == 'max', _Part('max-fused', 'max')),
        (True, _tiles(**protocol.get('tiles') or {})),
        (protocol['pad_to'], _Part(f'padded to {_sides(protocol["pad_to"])}', f'padded{_sides(protocol["pad_to"])}')),
        (True, _resized(*protocol.get('resize', ()))),
        # The official code scores there anyway.
        (protocol.get('resolution') == 'resized', _Part('scored there', '' if official else 'scored_resized')),
        (protocol.get('upsampled') == 'classes', _Part('classes enlarged', 'nearest')),
        (True, _crf(protocol.get('crf'))),
        (official, _Part('as official', 'official')),
        (absent != 'union', _Part(f'absent classes: {absent}', f'{absent}')),
        (precision not in (None, 'float32'), _Part(f'{precision}', f'{precision}')),
        (first, _Part(f'first {first} images', f'first{first}')),
    ]
    return [part for has, part in table if has]


def _sides(size: Sequence[int]) -> str:
    return 'x'.join(map(str, size))


def _scales(scales: Sequence[float]) -> _Part:
    each = [f'{scale:g}' for scale in scales]
    return _Part(f'scales {", ".join(each)}', '_'.join(each))


def _tiles(size: Sequence[int] = (), overlap: float = 0, weighting: str = '', above_pixels: int = 0) -> _Part:
    if not size:
        return _Part()
    share = f'{overlap:.2f}' if overlap in (1 / 3, round(overlap, 2)) else f'{overlap:g}'
    above = f' above {above_pixels} pixels' if above_pixels else ''
    return _Part(f'tiles {_sides(size)}{above}, overlap {share}{", gaussian" if weighting == "gaussian" else ""}',
                 f'tiles{_sides(size)}_{share}_{weighting}' + (f'_above{above_pixels}' if above_pixels else ''))


def _resized(short_side: int = 0, long_side: int = 0, factor: int = 0) -> _Part:
    if not short_side:
        return _Part()
    return _Part(f'resized to {short_side}' + (f', at most {long_side}' if long_side else '')
                 + (f', multiples of {factor} plus one' if factor else ''),
                 f'resized{short_side}' + (f'_max{long_side}' if long_side else '')
                 + (f'_factor{factor}' if factor else ''))


def _crf(crf: Mapping[str, Any] | None) -> _Part:
    """The set of parameters, and those that aren't the set's."""
    if not crf:
        return _Part()
    usual = dataclasses.asdict(CRFS[crf['parameters']]) | {'parameters': crf['parameters']}
    changed = {name: value for name, value in crf.items() if value != usual[name]}
    told = ' and '.join(f'{name} {value:g}' for name, value in changed.items())
    return _Part(f'CRF {crf["parameters"]}' + (f' with {told}' if told else ''),
                 '_'.join(['crf', crf['parameters'], *(f'{name}{value:g}' for name, value in changed.items())]))
