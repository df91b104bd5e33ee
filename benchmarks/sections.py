"""What `python -m benchmarks.performance` times: sections of cases, each with its contenders."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.rounds import Call, Case

CONTENDERS = 'benchmarks.contenders'
OFFICIAL = 'official'
OURS = ('ours float32', 'ours bfloat16')
TORCH = ('torch float32', 'torch bfloat16')
LOADERS = ('torchvision', 'albumentations')
NETS = {'mobilenet_v2': ('MobileNetV2 1.0', 321, 8), 'resnet_v1_50_beta': ('ResNet-50 beta', 257, 4),
        'xception_65': ('Xception-65', 257, 2)}
ROWS = {'enet_camvid_encoder': 'ENet encoder', 'enet_camvid': 'ENet',
        'dense30k36_camvid_321_toy_newbaseline': 'dense30k36'}
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
FORWARD = 'one forward, Xception-65, 513'
ONE_SCALE, SIX_SCALES = 'one scale, 513', 'six scales and mirrored, 513'
INPUT = 'input alone, VOC 513'
SPLIT = 'val'


@dataclasses.dataclass(frozen=True)
class Setup:
    """Where things are; a peer that isn't there is an empty string."""

    official: str
    peers_python: str
    record_dir: str
    pictures: str
    checkpoint: str

    def ours(self, function: str, precision: str, fields: dict[str, Any] | None = None, **others: Any) -> Call:
        return Call(sys.executable, f'{CONTENDERS}.ours', function, {
            'folder': self.pictures, 'fields': {'train.precision': precision} | (fields or {}), **others})

    def by_official(self, function: str, **fields: Any) -> Call | str:
        if not self.official:
            return 'no checkout of tensorflow/models was given'
        return Call(sys.executable, f'{CONTENDERS}.official', function,
                    {'official': self.official, 'folder': self.pictures} | fields)

    def by_peers(self, module: str, function: str, **fields: Any) -> Call | str:
        if not self.peers_python:
            return 'no interpreter with torch was given'
        return Call(self.peers_python, f'{CONTENDERS}.{module}', function, {'folder': self.pictures} | fields)


def training(setup: Setup) -> list[Case]:
    """A step of DeepLabv3+ at output stride 16 on a batch in memory."""
    cases = []
    for backbone, (title, side, batch) in NETS.items():
        fields = {'data.dataset': 'voc2012', 'model.backbone': backbone, 'train.batch_size': batch,
                  'optimizer.bias_multiplier': 2.0}
        cases.append(Case(f'{title}, {side}, batch {batch}', {
            OFFICIAL: setup.by_official('training', backbone=backbone, side=side, batch=batch),
            **{column: setup.ours('training', _precision(column), fields, side=side) for column in OURS},
            **{column: setup.by_peers('torch_nets', 'training', backbone=backbone, side=side, batch=batch,
                                      precision=_precision(column)) for column in TORCH}}, rounds=7))
    return cases


def forward(setup: Setup) -> list[Case]:
    """One image to classes of its size."""
    fields = {'data.dataset': 'voc2012', 'model.backbone': 'xception_65'}
    return [Case(FORWARD, {
        OFFICIAL: setup.by_official('forward', backbone='xception_65', side=513),
        **{column: setup.ours('forward', _precision(column), fields, side=513) for column in OURS},
        **{column: setup.by_peers('torch_nets', 'forward', backbone='xception_65', side=513,
                                  precision=_precision(column)) for column in TORCH}}, rounds=7)]


def evaluation(setup: Setup) -> list[Case]:
    """Images of a split, read, predicted and counted: evaluate.py and the official eval.py."""
    cases = []
    for name, scales, flip, rounds, count, skip in ((ONE_SCALE, (1.0,), False, 5, 24, 4),
                                                    (SIX_SCALES, SCALES, True, 5, 2, 0)):
        fields: dict[str, Any] = {'record_dir': setup.record_dir, 'checkpoint': setup.checkpoint, 'scales': scales,
                                  'flip': flip}
        cases.append(Case(name, {
            OFFICIAL: setup.by_official('evaluation', **fields),
            **{column: setup.ours('evaluation', _precision(column), **fields) for column in OURS}},
            rounds=rounds, count=count, skip=skip))
    return cases


def input(setup: Setup) -> list[Case]:
    """Examples decoded, scaled, cropped and mirrored, in batches of 8."""
    fields: dict[str, Any] = {'record_dir': setup.record_dir, 'split': SPLIT, 'side': 513, 'batch': 8}
    return [Case(INPUT, {
        OFFICIAL: setup.by_official('input', **fields), 'ours': setup.ours('input', 'float32', **fields),
        **{column: setup.by_peers('torch_input', column, **fields) for column in LOADERS}},
        rounds=7, count=160, skip=160)]


def rows(setup: Setup) -> list[Case]:
    """A step of published rows, at their own crops and batches."""
    return [Case(title, {column: setup.ours('training', _precision(column), row=row) for column in OURS}, rounds=4)
            for row, title in ROWS.items()]


BASE = {'data.dataset': 'voc2012', 'model.backbone': 'mobilenet_v2', 'train.batch_size': 4}
BASE_CASE = 'crop 257, batch 4, 21 classes, all cores'


def growth(setup: Setup) -> list[Case]:
    """A step of DeepLabv3+ on MobileNetV2 in bfloat16 with one thing changed."""
    changed: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
        BASE_CASE: ({}, 257, {}),
        **{f'crop {side}': ({}, side, {}) for side in (129, 385, 513)},
        **{f'batch {batch}': ({'train.batch_size': batch}, 257, {}) for batch in (2, 8, 16)},
        '150 classes': ({'data.dataset': 'ade20k_150'}, 257, {}),
        '1 core': ({}, 257, {'cores': 1}),
        'float32': ({'train.precision': 'float32'}, 257, {})}
    return [Case(name, {OURS[1]: setup.ours('training', 'bfloat16', BASE | fields, side=side, **others)}, rounds=3,
                 seconds=1.5) for name, (fields, side, others) in changed.items()]


def _precision(column: str) -> str:
    return column.split()[-1]


SECTIONS: dict[str, Callable[[Setup], list[Case]]] = {
    'training': training, 'forward': forward, 'evaluation': evaluation, 'input': input, 'rows': rows, 'growth': growth}
