"""The fields of a recipe: names, types, defaults, choices and meanings. Nothing else.

`train.py --help` is generated from here; `deeplab.recipes.recipe` loads, overrides, checks and dumps. What a choice
does stands in a table of the module that does it, whose keys are these choices (tests/contracts/test_choices.py).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def _option(default: Any, doc: str, *, free: bool = False, choices: Mapping[str, str] | None = None) -> Any:
    """A field with its meaning, and with that of each of its values where there are only a few.

    `free` ones may change when a run is resumed, because the weights don't need them.
    """
    metadata = {'doc': doc, 'free': free, 'choices': choices}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Data:
    dataset: str = _option('synthetic', 'a row of datasets/rows, or the path of a TOML file of your own')
    record_dir: str = _option('', 'folder of the TFRecords that datasets.convert wrote', free=True)
    train_split: str = _option('train', 'split to train on')
    eval_split: str = _option('val', 'split to evaluate on', free=True)
    on_corrupt: str = _option('stop', 'at training records that are corrupt', free=True, choices={
        'stop': 'end with a list of them', 'skip': 'let the next good one stand for each'})
    limit: int = _option(0, 'use only the first so many images of each split; 0: all')
    order: str = _option('hashed', 'in which training sees them', choices={
        'hashed': 'a permutation an epoch, from a hash of seed and epoch', 'index_shuffle': "TensorFlow's, of runs "
        'before that: 256 orders in all'})
    crop_size: tuple[int, ...] = _option((513, 513), 'training crop: height, width')
    min_scale: float = _option(0.5, 'smallest random scale')
    max_scale: float = _option(2.0, 'largest random scale')
    scale_step: float = _option(0.25, 'grid of the random scale; 0 draws uniformly')
    flip: bool = _option(True, 'mirror left and right with probability 0.5')
    max_aspect_change: float = _option(0.0, 'above 0, height and width scale apart, one at most by this share more')
    rotation: float = _option(0.0, 'turn by at most so many degrees to either side')
    blur: float = _option(0.0, 'Gaussian blur with a sigma of at most so many pixels')
    brightness: float = _option(0.0, 'add at most this share of 255, or take it away')
    contrast: float = _option(0.0, 'scale distances from the mean by at most this share more or less')
    saturation: float = _option(0.0, 'scale distances from grey by at most this share more or less')
    pad_center: bool = _option(False, 'pad on all sides instead of below and right')
    min_resize: int = _option(0, 'resize so that the short side has this many pixels; 0 is off')
    max_resize: int = _option(0, 'and the long side at most this many')
    resize_factor: int = _option(0, 'and both sides are a multiple of this plus one; 0 is off')


@dataclass(frozen=True)
class Model:
    net: str = _option('deeplabv3plus', 'architecture: a name of deeplab.nets')
    backbone: str = _option('mobilenet_v2', 'feature extractor: a name of deeplab.backbones')
    output_stride: int = _option(16, 'image size over feature size, in training')
    backbone_options: dict = _option({}, 'options of the backbone: `train.py --list BACKBONE` shows them')
    options: dict = _option({}, 'options of the net: `train.py --list NET` shows them')
    image_pyramid: tuple[float, ...] = _option((), 'scales of the image that the net sees, logits merged; empty: off')
    merge_method: str = _option('max', 'how those are merged', choices={'max': 'largest logit', 'avg': 'mean logit'})


@dataclass(frozen=True)
class Init:
    checkpoint: str = _option('', 'checkpoint to start from: folder, prefix, .index file or catalog:NAME', free=True)
    head: bool = _option(True, 'restore the last layers too, where the class count allows it')


# Images per replica below which batch norm shouldn't be trained, as the official DeepLab's README has it.
SMALLEST_BATCH_NORM_BATCH = 12


@dataclass(frozen=True)
class BatchNorm:
    mode: str = _option('train', 'what training does with it', choices={
        'train': 'statistics of the batch; the moving averages follow', 'freeze_statistics': 'the moving averages stay '
        'and are used, gamma and beta learn', 'freeze': 'gamma and beta stay too'})
    decay: float | None = _option(None, "decay of the moving averages; unset: the backbone's and the head's own")


@dataclass(frozen=True)
class Loss:
    name: str = _option('cross_entropy', 'what is minimised, by the auxiliary heads too', choices={
        'cross_entropy': 'softmax cross-entropy', 'focal': 'less of it for pixels that are right', 'dice': 'overlap of '
        'the classes in a batch, as V-Net', 'lovasz_softmax': 'a surrogate of their IoU'})
    weight_decay: float = _option(4e-5, 'L2: this times sum(w^2)/2')
    weight_decay_rule: str = _option('conv_weights', 'what it decays', choices={
        'conv_weights': 'kernels, but depthwise ones of NAS backbones only', 'all_kernels': 'every kernel',
        'all_trainable': 'biases, gamma and beta too'})
    label_weights: tuple[float, ...] = _option((), 'a weight per class; empty: all 1')
    class_weights: str = _option('none', 'label_weights from the class pixels of the training split', choices={
        'none': 'as they are given', 'enet': '1 / ln(1.02 + share)',
        'median_frequency': 'median of all frequencies over its own'})
    top_k_percent: float = _option(1.0, 'share of the hardest pixels that the loss keeps')
    top_k_ramp_steps: int = _option(0, 'steps over which that share falls from 1 to its value')
    bootstrap_threshold: float = _option(0.0, 'only pixels whose class is less probable than this count; 0 is off')
    bootstrap_min_kept: int = _option(0, 'and in any case so many pixels of a batch, the least probable')
    focal_gamma: float = _option(2.0, 'focal: how much less, an exponent; 0 is cross_entropy')
    label_smoothing: float = _option(0.0, 'share of each target that is spread over all classes')
    upsample_logits: bool = _option(True, 'compare at label size; otherwise labels shrink to the logits')


@dataclass(frozen=True)
class Optimizer:
    name: str = _option('momentum', 'which optimizer', choices={
        'momentum': '', 'adam': '', 'rmsprop': '', 'sgd': ''})
    momentum: float = _option(0.9, 'momentum, also of rmsprop')
    epsilon: float = _option(1e-8, 'epsilon of adam and rmsprop')
    beta1: float = _option(0.9, 'decay of the first moment, of adam')
    beta2: float = _option(0.999, 'decay of the second moment, of adam')
    multiply: str = _option('update', 'what these multiply; all the same to momentum and sgd', choices={
        'update': "a variable's learning rate", 'gradient': 'what adam and rmsprop divide by its size again'})
    last_layer_multiplier: float = _option(1.0, 'for the last layers: those of the head')
    last_layers_contain_logits_only: bool = _option(False, 'last layers are the logits alone; for init.head too')
    bias_multiplier: float = _option(1.0, 'for biases (official DeepLab: 2)')
    multipliers: dict = _option({}, "by regular expressions of variables' names; all that apply, multiplied")
    clip_norm: float = _option(0.0, 'clip the global gradient norm at this; 0 is off')


@dataclass(frozen=True)
class Schedule:
    policy: str = _option('poly', 'how the learning rate falls', choices={
        'poly': '(1 - step / decay_steps) ^ power', 'step': 'times decay_factor every step_size steps',
        'exponential': 'the same without the steps', 'piecewise': 'values between boundaries',
        'cosine': 'half a wave over decay_steps', 'constant': ''})
    unit: str = _option('steps', 'what the fields named after steps, and boundaries, are counted in',
                        choices={'steps': '', 'epochs': ''})
    learning_rate: float = _option(0.007, 'base learning rate')
    end_learning_rate: float = _option(0.0, 'learning rate after the last step (poly, cosine)')
    power: float = _option(0.9, 'power of poly')
    decay_steps: int = _option(0, 'length of the decay; 0: until train.max_steps')
    decay_factor: float = _option(0.1, 'factor of policies step and exponential, applied every step_size steps')
    step_size: int = _option(2000, 'interval of policies step and exponential')
    boundaries: tuple[int, ...] = _option((), 'steps at which piecewise changes')
    values: tuple[float, ...] = _option((), 'the rates between them, one more than boundaries')
    slow_start_steps: int = _option(0, 'first steps at slow_start_learning_rate')
    slow_start_learning_rate: float = _option(1e-4, 'rate of those steps')
    warmup_steps: int = _option(0, 'linear ramp from 0 to the base rate')
    start_step: int = _option(0, 'global step at which the schedule begins, for a second phase')


@dataclass(frozen=True)
class Train:
    batch_size: int = _option(16, 'images per replica in one batch')
    accumulate_steps: int = _option(1, 'batches per step, one after the other; their gradients are averaged')
    max_steps: int = _option(30000, 'the run ends at this global step')
    epochs: float = _option(0.0, 'or after so many passes over the split; setting one of the two clears the other')
    seed: int = _option(0, 'decides initial values, data order, augmentation and dropout')
    precision: str = _option('float32', 'what convolutions compute in; variables stay float32', choices={
        'float32': '', 'bfloat16': '', 'float16': 'GPUs only'})
    kernels: str = _option('auto', 'of batch norm and cross-entropy in training', choices={
        'auto': 'own in bfloat16, on a CPU with a compiler; recorded as what it was', 'own': 'in C++, see '
        'deeplab.kernels', 'tensorflow': ''})
    data_format: str = _option('auto', 'layout on GPUs: see deeplab.training.devices.session_config', choices={
        'auto': "TensorFlow's choice", 'channels_last': '', 'channels_first': ''})
    recompute: bool = _option(False, "forget a block's insides and compute them again for its gradient: less memory")
    deterministic: bool = _option(True, 'deterministic kernels: a resumed run repeats the uninterrupted one')
    save_steps: int = _option(1000, 'write a checkpoint every so many steps; 0 is off', free=True)
    save_secs: int = _option(600, 'and every so many seconds; 0 is off', free=True)
    keep_checkpoints: int = _option(5, 'newest checkpoints to keep; the best is kept apart', free=True)
    eval_steps: int = _option(1000, 'write and evaluate a checkpoint at the multiples of so many steps; the last step '
                              'always is', free=True)
    eval_secs: int = _option(0, 'or evaluate what is written so many seconds after an evaluation: the machine decides '
                             'which steps; setting one of the two clears the other', free=True)
    early_stopping_evals: int = _option(0, 'stop after so many evaluations without a better one; 0: never', free=True)
    log_steps: int = _option(10, 'steps between console lines', free=True)
    summary_steps: int = _option(100, 'steps between TensorBoard summaries', free=True)
    eval_images: int = _option(4, 'evaluation images shown in TensorBoard, always the same', free=True)


@dataclass(frozen=True)
class Evaluation:
    output_stride: int = _option(0, "output stride; 0: the model's", free=True)
    pad_to: tuple[int, ...] = _option((), 'pad images to at least this height, width; empty: no padding', free=True)
    min_resize: int = _option(0, 'predict at this length of the short side; 0: at original size', free=True)
    max_resize: int = _option(0, 'and the long side at most this', free=True)
    resize_factor: int = _option(0, 'and both sides a multiple of this plus one; 0 is off', free=True)
    scales: tuple[float, ...] = _option((1.0,), 'scales whose predictions are merged', free=True)
    flip: bool = _option(False, 'merge with the mirrored image', free=True)
    fusion: str = _option('mean', 'how scales and mirrored are merged', free=True, choices={
        'mean': 'mean of the probabilities', 'max': 'largest logit'})
    tile_size: tuple[int, ...] = _option((), 'sliding window: height, width; empty: whole images', free=True)
    tile_overlap: float = _option(1 / 3, 'share of a tile that the next one covers again', free=True)
    tile_weighting: str = _option('uniform', 'of the pixels of overlapping tiles', free=True, choices={
        'uniform': 'all alike', 'gaussian': 'less towards the borders'})
    tile_limit: int = _option(0, 'tiles only above so many pixels; 0: always', free=True)
    crf: str = _option('', 'dense CRF, with the parameters of a published model', free=True, choices={
        '': 'off', 'deeplabv1_largefov': '', 'deeplabv2_vgg16': '', 'deeplabv2_resnet101': ''})
    crf_options: dict = _option({}, 'parameters in place of those, such as bilateral_xy', free=True)
    upsample_logits: bool = _option(True, 'false, with one view: classes enlarged as nearest', free=True)
    official_compat: bool = _option(False, "official eval.py's oddities: see deeplab.predicting.predict", free=True)
    absent: str = _option('union', 'which classes the mean IoU counts', free=True, choices={
        'union': 'those in truth or prediction', 'ground_truth': 'those in the truth',
        'zero': 'all, with 0 for one that is nowhere'})
    resolution: str = _option('original', 'the size that is scored after min_resize', free=True, choices={
        'original': '', 'resized': ''})
    limit: int = _option(0, 'evaluate the first so many images only; 0: all', free=True)
    trimap: tuple[int, ...] = _option((), 'widths of bands in pixels to score by themselves', free=True)
    trimap_around: str = _option('void', 'what the bands surround', free=True, choices={
        'void': 'ignored pixels', 'edges': 'edges between labels'})


@dataclass(frozen=True)
class Expected:
    mean_iou: float | None = _option(None, 'mean IoU in percent', free=True)
    tolerance: float = _option(0.1, 'how much less is enough for `evaluate.py --check` and for "reproduced"', free=True)
    tolerance_source: str = _option('the default, for rounding and other kernels', 'where that comes from', free=True)
    pixel_accuracy: float | None = _option(None, 'pixel accuracy in percent', free=True)
    num_images: int | None = _option(None, 'images of the split that the number belongs to', free=True)
    params: int | None = _option(None, 'number of parameters with moving statistics', free=True)
    published: bool = _option(True, 'by a paper or a repository; otherwise a reference of other code', free=True)
    source: str = _option('', 'where the number comes from', free=True)
    verified: bool = _option(False, 'whether the number was looked up there', free=True)


@dataclass(frozen=True)
class Recipe:
    name: str = _option('custom', 'its name', free=True)
    title: str = _option('', 'one line for tables', free=True)
    citation: str = _option('', 'paper or repository', free=True)
    source: str = _option('', 'where the hyper-parameters come from, and what is not expressed here', free=True)
    verified: bool = _option(False, 'whether they were compared with that source, field by field', free=True)
    data: Data = Data()
    model: Model = Model()
    init: Init = Init()
    batch_norm: BatchNorm = BatchNorm()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    expected: Expected = Expected()
