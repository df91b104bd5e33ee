"""Export a trained model as a SavedModel, in the layout that TF Serving reads, and prove that it predicts the same.

    python export_model.py --model_dir runs/camvid --export_dir exported
    python export_model.py --recipe ROW --checkpoint PATH --export_dir exported

Signatures: serving_default takes images uint8 [N,H,W,3] of any size, image_bytes takes JPEG or PNG strings [N]; both
give classes int32 [N,H,W] and probabilities float32 [N,H,W,C]. assets.extra/labels.json has class names, palette,
conventions and recipe. The protocol is exported too: scales, mirrored, tiles, CRF. A SavedModel that differs from
predict isn't kept, and the exit status is 1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from console.exits import DONE, guarded
from deeplab.command import flags


def main(argv: Sequence[str] | None = None) -> int:
    parser = flags.trained_parser(__doc__, short=('dataset',))
    parser.add_argument('--export_dir', type=Path, required=True, help='a folder <timestamp> is made in it')
    own, overrides = parser.parse(argv)
    # Reduced precision is a session's option, which a SavedModel can't carry.
    recipe = flags.choose_trained_recipe(own.recipe, own.model_dir, overrides | {'train.precision': 'float32'},
                                         own.checkpoint)
    model_dir = Path(own.model_dir) if own.model_dir else None

    from deeplab import run  # TensorFlow is imported only when the flags are right
    from deeplab.trained import checkpointed, export
    model = checkpointed.load_one(run.resolve(recipe), model_dir, own.checkpoint)
    print(f'SavedModel: {export.export(model, own.export_dir)}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))
