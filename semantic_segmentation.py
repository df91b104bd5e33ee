"""Train or evaluate what a JSON of tonandr/ai-platform describes.

    python semantic_segmentation.py [--conf FILE] [--max_steps N ...]

Reads semantic_segmentation_deeplabv3plus_conf_win.json, or another ..._conf*.json, of the current folder. Below its
raw_data_path are VOCdevkit, and afterwards `records` (the TFRecords, written once), `model` (the model_dir) and
`results` (pictures and the result of mode evaluate). Any field of a recipe can be given as a flag besides.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.exits import DONE, guarded
from deeplab.command import flags

if TYPE_CHECKING:
    from deeplab.run import Run


def main(argv: Sequence[str] | None = None) -> int:
    parser = flags.Parser(__doc__)
    parser.add_argument('--conf', type=Path, help="the JSON; default: the current folder's")
    parser.add_argument('--clean_model_dir', action='store_true', help='delete the model first, after a yes')
    parser.add_argument('--yes', action='store_true', help='the yes to --clean_model_dir, where nobody can be asked')
    own, overrides = parser.parse(argv)

    from deeplab import run
    from deeplab.command import tonandr
    from deeplab.training import clean, devices, train
    task = tonandr.read(own.conf or tonandr.find(Path.cwd()))
    for note in task.notes:
        print(f'note: {note}', file=sys.stderr)
    if 'data.record_dir' not in overrides:
        overrides['data.record_dir'] = str(tonandr.records(task.folder))
    model_dir = task.folder / 'model'
    if task.mode == 'evaluate':
        return _evaluate(run.resolve(flags.overridden(task.recipe, overrides)), model_dir, task.folder / 'results')
    if 'init.checkpoint' not in overrides:
        overrides['init.checkpoint'] = tonandr.imagenet(task.recipe)
    resolved = run.resolve(flags.overridden(task.recipe, overrides))
    strategy = devices.make_strategy(task.devices)
    if own.clean_model_dir:
        clean.restart(resolved, model_dir, own.yes)
    return train.train(resolved, model_dir, strategy=strategy)


def _evaluate(resolved: 'Run', model_dir: Path, folder: Path) -> int:
    from deeplab.reports import measurement
    from deeplab.trained import checkpointed, evaluation
    measured = evaluation.evaluate(checkpointed.load_one(resolved, model_dir, 'latest'), model_dir, folder)
    print(measurement.table(measured))
    print(f'result: {measurement.write(measured, folder / f"{measured.name}.json")}; pictures: {folder}', flush=True)
    for warning in measurement.warnings(measured):
        print(f'warning: {warning}', file=sys.stderr)
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))
