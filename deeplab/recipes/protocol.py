"""An evaluation protocol: what of it is allowed, and what results, tables and folders call it. No TensorFlow."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from console.choices import choose, nearest
from deeplab.recipes.schema import Evaluation


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


def describe(evaluation: Evaluation, output_stride: int) -> dict[str, Any]:
    """The whole protocol, as results hold it."""
    parameters = crf_parameters(evaluation)
    return {
        'output_stride': output_stride, 'scales': list(evaluation.scales), 'flip': evaluation.flip,
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
        'first_images': evaluation.limit,
    }


def text(protocol: Mapping[str, Any]) -> str:
    """What `describe` gave, on one line; older results lack some of it."""
    scales = [f'{scale:g}' for scale in protocol['scales']]
    tiles, crf = protocol.get('tiles'), protocol.get('crf')
    resized = protocol.get('resize', [0])[0]
    parts = {
        f'OS {protocol["output_stride"]}': True,
        f'scales {", ".join(scales)}': scales != ['1'],
        'flip': protocol['flip'],
        'max-fused': protocol.get('fusion', 'mean') == 'max',
        _tiles_text(tiles) if tiles else '': tiles,
        f'padded to {"x".join(map(str, protocol["pad_to"]))}': protocol['pad_to'],
        f'resized to {resized}': resized,
        'scored there': protocol.get('resolution') == 'resized',
        'classes enlarged': protocol.get('upsampled') == 'classes',
        _crf_text(crf) if crf else '': crf,
        'as official': protocol.get('official_compat'),
        f'absent classes: {protocol["absent_classes"]}': protocol['absent_classes'] != 'union',
        f'first {protocol.get("first_images")} images': protocol.get('first_images'),
    }
    return ', '.join(part for part, used in parts.items() if used)


def _tiles_text(tiles: Mapping[str, Any]) -> str:
    above = f' above {tiles["above_pixels"]} pixels' if tiles['above_pixels'] else ''
    return (f'tiles {"x".join(map(str, tiles["size"]))}{above}, overlap {tiles["overlap"]:.2f}'
            f'{", gaussian" if tiles["weighting"] == "gaussian" else ""}')


def _crf_text(crf: Mapping[str, Any]) -> str:
    """The set of parameters, and those that aren't the set's."""
    usual = dataclasses.asdict(CRFS[crf['parameters']]) | {'parameters': crf['parameters']}
    changed = [f'{name} {value:g}' for name, value in crf.items() if value != usual[name]]
    return ' with '.join([f'CRF {crf["parameters"]}', *([' and '.join(changed)] if changed else [])])


def name(evaluation: Evaluation, output_stride: int) -> str:
    """A part of a folder's name, such as 'os16', 'os8_0.5_1_1.5_flip' or 'os16_resized513_official'."""
    scales = [] if evaluation.scales == (1.0,) else [f'{scale:g}' for scale in evaluation.scales]
    tiles = 'x'.join(map(str, evaluation.tile_size))
    crf_options = [f'{name}{value:g}' for name, value in evaluation.crf_options.items()]
    others = {'flip': evaluation.flip, 'max': evaluation.fusion == 'max',
              f'tiles{tiles}_{evaluation.tile_overlap:.2f}_{evaluation.tile_weighting}': tiles,
              f'resized{evaluation.min_resize}': evaluation.min_resize,
              'scored_resized': evaluation.resolution == 'resized',
              'nearest': not evaluation.upsample_logits, 'official': evaluation.official_compat,
              '_'.join(['crf', evaluation.crf, *crf_options]): evaluation.crf,
              evaluation.absent: evaluation.absent != 'union', f'first{evaluation.limit}': evaluation.limit}
    return '_'.join([f'os{output_stride}', *scales, *(each for each, used in others.items() if used)])
