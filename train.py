"""Train a segmentation network: flags -> recipe -> tf.estimator.train_and_evaluate.

    python train.py --recipe deeplabv3plus_mnv2_camvid --record_dir records/camvid --model_dir runs/camvid
    python train.py --recipe ROW --dry_run
    python train.py --list [NAME]

Ctrl-C and SIGTERM write a checkpoint first; the same command resumes. Flags of other systems and of the official
DeepLab are understood: docs/coming-from.md.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.exits import DONE, TO_MEND, guarded
from deeplab.command import flags

if TYPE_CHECKING:
    from deeplab.run import Run


def main(argv: Sequence[str] | None = None) -> int:
    own, overrides = _parser().parse(argv)
    if own.list is not None:
        from deeplab.reports import listing
        print(listing.show(own.list))
        return DONE
    if own.overfit is not None:
        overrides = flags.overfitting(own.overfit) | overrides
    recipe = flags.choose_recipe(own.recipe, own.model_dir, overrides)
    model_dir = flags.choose_model_dir(own.model_dir, own.recipe, recipe)
    if not own.clean_model_dir:
        recipe = flags.continued(recipe, model_dir, overrides)

    from deeplab import run  # TensorFlow is imported only when the flags are right
    from deeplab.training import clean, devices, train
    resolved = run.resolve(recipe)
    strategy = devices.make_strategy(own.devices)
    if own.dry_run:
        return _dry_run(resolved)
    if own.clean_model_dir:
        clean.restart(resolved, model_dir, own.yes)
    return train.train(resolved, model_dir, strategy=strategy, allow_recipe_change=own.allow_recipe_change,
                       profile=own.profile)


def _dry_run(resolved: 'Run') -> int:
    from deeplab.training import dry_run
    lines, missing = dry_run.dry_run(resolved)
    print(*lines, sep='\n')
    print(*(f'missing: {line}' for line in missing), sep='\n', end='\n' * bool(missing))
    return TO_MEND if missing else DONE


def _parser() -> flags.Parser:
    parser = flags.Parser(__doc__)
    parser.add_argument('--recipe', help='a row of deeplab/recipes, or a TOML file with one row')
    parser.add_argument('--model_dir', help='checkpoints, events and recipe.json of this run; default runs/RECIPE')
    parser.add_argument('--devices', default='auto',
                        help='auto (all GPUs, else the CPU), one such as gpu:1 or cpu:0, or a list such as gpu:0,gpu:1')
    parser.add_argument('--allow_recipe_change', action='store_true',
                        help='resume although the recipe differs, or the training data')
    parser.add_argument('--overfit', type=int, metavar='N',
                        help='train and evaluate on the first N training images, neither scaled nor mirrored: a net '
                             'that learns reaches nearly 100')
    parser.add_argument('--clean_model_dir', action='store_true', help='delete the model_dir first, after a yes')
    parser.add_argument('--yes', action='store_true', help='the yes to --clean_model_dir, where nobody can be asked')
    parser.add_argument('--dry_run', action='store_true',
                        help='two steps and one evaluation: parameters, multiply-adds, memory, time, what is missing')
    parser.add_argument('--profile', type=int, default=0, metavar='N',
                        help='trace N steps into model_dir/profile, for ui.perfetto.dev, and say what costs most')
    parser.add_argument('--list', nargs='?', const='', metavar='NAME',
                        help='show all nets, backbones, datasets and recipes; those of a kind, such as nets, with all '
                             'their options; or one by its name')
    return parser


if __name__ == '__main__':
    sys.exit(guarded(main))
