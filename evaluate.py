"""Evaluate checkpoints on a split: per-class IoU at the original resolution, and a result JSON.

    python evaluate.py --model_dir runs/camvid [--checkpoint latest|best|all|average:N|PATH] [--check]
    python evaluate.py --recipe ROW --checkpoint PATH --record_dir records/voc2012
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from console.exits import DONE, FAILED, guarded
from deeplab.command import flags


def main(argv: Sequence[str] | None = None) -> int:
    parser = flags.trained_parser(__doc__, short=('dataset', 'record_dir', 'precision'))
    parser.add_argument('--split', dest='data.eval_split', default=argparse.SUPPRESS, metavar='X',
                        help="split to evaluate; default: the recipe's (data.eval_split)")
    parser.add_argument('--check', action='store_true',
                        help="compare with the recipe's expected figures; exit status 1 outside its tolerance")
    parser.add_argument('--result', type=Path, help='file of the result; default MODEL_DIR/results/… or results/…')
    parser.add_argument('--pictures', type=Path, help='folder for image | truth | prediction of the first images')
    own, overrides = parser.parse(argv)
    if own.checkpoint == 'all' and (own.check or own.result):
        parser.error('--check and --result are for one checkpoint, not for --checkpoint all')
    recipe = flags.choose_trained_recipe(own.recipe, own.model_dir, overrides, own.checkpoint)
    model_dir = Path(own.model_dir) if own.model_dir else None

    from deeplab import run  # TensorFlow is imported only when the flags are right
    from deeplab.reports import measurement
    from deeplab.trained import checkpointed, evaluation
    resolved = run.resolve(recipe)
    scope = evaluation.scope_of(resolved)  # damaged records are found before a graph is built
    if own.check:
        measurement.require_expected(recipe, scope.num_images)
    if own.check and 'expected.mean_iou' not in overrides:
        measurement.require_conditions(scope, flags.promised(recipe, own.recipe, own.model_dir, own.checkpoint))
    models = checkpointed.load(resolved, checkpointed.checkpoints(model_dir, own.checkpoint, recipe.name))
    for model in models:
        measured = evaluation.evaluate(model, model_dir, own.pictures)
        line = f'{model.prefix}: {measurement.line(measured)}'
        print(line if own.checkpoint == 'all' else measurement.table(measured))
        default = (model_dir or Path()) / 'results' / f'{measured.name}.json'
        print(f'result: {measurement.write(measured, own.result or default)}', flush=True)
        for warning in measurement.warnings(measured):
            print(f'warning: {warning}', file=sys.stderr)
    if not own.check:
        return DONE
    passed, lines = measurement.check(measured)
    print(*lines, sep='\n')
    return DONE if passed else FAILED


if __name__ == '__main__':
    sys.exit(guarded(main))
