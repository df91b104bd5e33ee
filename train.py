"""Train a segmentation network: flags -> recipe -> tf.estimator.train_and_evaluate.

    python train.py --recipe deeplabv3plus_mnv2_camvid --data_dir records/camvid --model_dir runs/camvid

Exit status: 0 complete; 1 training failed (NaN, ...); 2 something is wrong with flags, recipe, data or checkpoint;
130 / 143 ended by SIGINT / SIGTERM after writing a checkpoint. The same command resumes.
"""

import sys
from pathlib import Path

from deeplab import flags


def main(argv=None) -> int:
    parser = flags.Parser(__doc__)
    parser.add_argument('--recipe', help='a row of deeplab/recipes, or a TOML file with one row')
    parser.add_argument('--model_dir', help='checkpoints, events and recipe.json of this run', required=True)
    parser.add_argument('--devices', default='auto', help='auto (all GPUs), or a list such as gpu:0,gpu:1')
    parser.add_argument('--allow_recipe_change', action='store_true', help='resume although the recipe differs')
    own, overrides = parser.parse(argv)
    recipe = flags.choose_recipe(own.recipe, own.model_dir, overrides)

    from deeplab import devices, run, runner  # TensorFlow is imported only when the flags are right
    return runner.train(run.resolve(recipe), Path(own.model_dir), strategy=devices.make_strategy(own.devices),
                        allow_recipe_change=own.allow_recipe_change)


if __name__ == '__main__':
    sys.exit(flags.guarded(main))
