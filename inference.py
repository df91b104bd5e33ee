"""Predict image files: raw class ids, colours and overlays as PNGs of the sources' size.

    python inference.py --model_dir runs/camvid --input photos/ --output_dir predictions
    python inference.py --recipe ROW --checkpoint PATH --input 'a/*.jpg' list.txt --output_dir predictions

An --input is a file, a folder (searched below), a glob in quotes or a .txt list of paths; several may be given.
Outputs are <name>_ids.png (a pixel is its class id), <name>_colour.png (palette picture, the same ids) and
<name>_overlay.png; sub-folders are kept, and of images that differ only in their suffix, the suffix. Images are taken
as stored: EXIF rotation is ignored, alpha is dropped, 16 bits become their high 8. With --submission, PNGs with the
names and ids of a benchmark, and their archive, are written instead. Images that can't be predicted are listed at the
end, and the exit status is 1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from console.exits import DONE, FAILED, guarded
from deeplab.command import flags


def main(argv: Sequence[str] | None = None) -> int:
    parser = flags.trained_parser(__doc__, short=('dataset', 'precision'), formerly={'--data_dir': '--list_dir'})
    parser.add_argument('--input', nargs='+', required=True, help='files, folders, globs or .txt lists')
    parser.add_argument('--list_dir', type=Path,
                        help="folder that the paths in a .txt list are relative to; default: the list's")
    parser.add_argument('--output_dir', type=Path, help='where the PNGs go; default MODEL_DIR/predictions')
    parser.add_argument('--format', default='ids,colour,overlay', help='which PNGs; default %(default)s')
    parser.add_argument('--submission', help='voc | cityscapes | ade20k: PNGs and archive for the benchmark instead')
    parser.add_argument('--overwrite', action='store_true', help='replace PNGs that exist')
    own, overrides = parser.parse(argv)
    recipe = flags.choose_trained_recipe(own.recipe, own.model_dir, overrides, own.checkpoint)
    model_dir = Path(own.model_dir) if own.model_dir else None
    output_dir = own.output_dir or (model_dir or Path()) / 'predictions'

    from deeplab import run  # TensorFlow is imported only when the flags are right
    from deeplab.trained import checkpointed, infer, submission
    resolved = run.resolve(recipe)
    rules = submission.choose(own.submission, resolved.dataset) if own.submission else None
    formats = infer.choose_formats(own.format)
    sources = infer.find_sources(own.input, output_dir, own.list_dir)
    if rules:
        files = submission.plan(rules, sources, output_dir, own.overwrite)
    else:
        infer.refuse_overwriting(sources, output_dir, formats, own.overwrite)
    model = checkpointed.load_one(resolved, model_dir, own.checkpoint)
    if rules:
        packed, failures = submission.write(model, rules, files, output_dir)
        print(f'submission: {packed}' if packed else 'no archive was made: images are missing')
    else:
        failures = infer.infer(model, sources, output_dir, formats)
    print(f'{len(sources) - len(failures)} of {len(sources)} images predicted -> {output_dir}')
    if failures:
        print(f'{len(failures)} failed:', *failures, sep='\n  ', file=sys.stderr)
    return FAILED if failures else DONE


if __name__ == '__main__':
    sys.exit(guarded(main))
