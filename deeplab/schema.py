"""The fields of a recipe: names, types, defaults and meanings. Nothing else.

`train.py --help` is generated from here; `deeplab.recipe` loads, overrides and dumps.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


def _option(default: Any, doc: str, *, free: bool = False) -> Any:
    """A field with its meaning; `free` ones may change when a run is resumed, because the weights don't need them."""
    metadata = {'doc': doc, 'free': free}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Data:
    dataset: str = _option('synthetic', 'a row of datasets/rows, or the path of a TOML file of your own')
    data_dir: str = _option('', 'folder of the TFRecords that datasets.convert wrote', free=True)
    train_split: str = _option('train', 'split to train on')
    eval_split: str = _option('val', 'split to evaluate on', free=True)
    crop_size: tuple[int, ...] = _option((513, 513), 'training crop: height, width')
    min_scale: float = _option(0.5, 'smallest random scale')
    max_scale: float = _option(2.0, 'largest random scale')
    scale_step: float = _option(0.25, 'grid of the random scale; 0 draws uniformly')
    flip: bool = _option(True, 'mirror left and right with probability 0.5')
    min_resize: int = _option(0, 'resize so that the short side has this many pixels; 0 is off')
    max_resize: int = _option(0, 'and the long side at most this many')
    resize_factor: int = _option(0, 'and both sides are a multiple of this plus one; 0 is off')


@dataclass(frozen=True)
class Model:
    net: str = _option('deeplabv3plus', 'architecture: a name of deeplab.nets')
    backbone: str = _option('mobilenet_v2', 'feature extractor: a name of deeplab.backbones')
    output_stride: int = _option(16, 'image size over feature size, in training')
    backbone_options: dict = _option({}, 'keyword arguments of the backbone, such as depth_multiplier')
    options: dict = _option({}, 'keyword arguments of the net, such as atrous_rates')
    image_pyramid: tuple[float, ...] = _option((), 'scales of the image that the net sees, logits merged; empty: off')
    merge_method: str = _option('max', "max | avg, of the scales' logits")


@dataclass(frozen=True)
class Init:
    checkpoint: str = _option('', 'checkpoint to start from: folder, prefix or .index file', free=True)
    head: bool = _option(True, 'restore the last layers too, where the class count allows it')


@dataclass(frozen=True)
class BatchNorm:
    mode: str = _option('train', 'train | freeze_statistics (gamma and beta still learn) | freeze')
    decay: float | None = _option(None, "decay of the moving averages; unset: the backbone's and the head's own")


@dataclass(frozen=True)
class Loss:
    weight_decay: float = _option(4e-5, 'L2: this times sum(w^2)/2')
    weight_decay_rule: str = _option('conv_weights', 'conv_weights | all_kernels | all_trainable')
    label_weights: tuple[float, ...] = _option((), 'a weight per class; empty: all 1')
    top_k_percent: float = _option(1.0, 'share of the hardest pixels that the loss keeps')
    top_k_ramp_steps: int = _option(0, 'steps over which that share falls from 1 to its value')
    upsample_logits: bool = _option(True, 'compare at label size; otherwise labels shrink to the logits')


@dataclass(frozen=True)
class Optimizer:
    name: str = _option('momentum', 'momentum | adam | rmsprop | sgd')
    momentum: float = _option(0.9, 'momentum, also of rmsprop')
    epsilon: float = _option(1e-8, 'epsilon of adam and rmsprop')
    last_layer_multiplier: float = _option(1.0, "multiplies the last layers' gradients: those of the head")
    last_layers_contain_logits_only: bool = _option(False, 'last layers are the logits alone; for init.head too')
    bias_multiplier: float = _option(1.0, 'multiplies the gradients of biases (official DeepLab: 2)')
    clip_norm: float = _option(0.0, 'clip the global gradient norm at this; 0 is off')


@dataclass(frozen=True)
class Schedule:
    policy: str = _option('poly', 'poly | step | piecewise | cosine | constant')
    learning_rate: float = _option(0.007, 'base learning rate')
    end_learning_rate: float = _option(0.0, 'learning rate after the last step (poly, cosine)')
    power: float = _option(0.9, 'power of poly')
    decay_steps: int = _option(0, 'length of the decay; 0: until train.max_steps')
    decay_factor: float = _option(0.1, 'factor of policy step, applied every step_size steps')
    step_size: int = _option(2000, 'interval of policy step')
    boundaries: tuple[int, ...] = _option((), 'steps at which piecewise changes')
    values: tuple[float, ...] = _option((), 'the rates between them, one more than boundaries')
    slow_start_steps: int = _option(0, 'first steps at slow_start_learning_rate')
    slow_start_learning_rate: float = _option(1e-4, 'rate of those steps')
    warmup_steps: int = _option(0, 'linear ramp from 0 to the base rate')
    start_step: int = _option(0, 'global step at which the schedule begins, for a second phase')


@dataclass(frozen=True)
class Train:
    batch_size: int = _option(16, 'images per replica and step')
    max_steps: int = _option(30000, 'the run ends at this global step')
    seed: int = _option(0, 'decides initial values, data order, augmentation and dropout')
    precision: str = _option('float32', 'float32 | bfloat16 | float16 (GPUs)')
    deterministic: bool = _option(True, 'deterministic kernels: a resumed run repeats the uninterrupted one')
    save_steps: int = _option(1000, 'write a checkpoint every so many steps; 0 is off', free=True)
    save_secs: int = _option(600, 'and every so many seconds; 0 is off', free=True)
    keep_checkpoints: int = _option(5, 'newest checkpoints to keep; the best is kept apart', free=True)
    eval_secs: int = _option(600, 'at least this many seconds between evaluations', free=True)
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
    scales: tuple[float, ...] = _option((1.0,), 'scales whose probabilities are averaged', free=True)
    flip: bool = _option(False, 'average with the mirrored image', free=True)
    upsample_logits: bool = _option(True, 'false, with one view: classes enlarged as nearest', free=True)
    official_compat: bool = _option(False, "official eval.py's oddities: see deeplab.predict", free=True)
    absent: str = _option('union', 'classes absent from the truth: union | ground_truth | zero', free=True)


@dataclass(frozen=True)
class Expected:
    mean_iou: float | None = _option(None, 'mean IoU in percent', free=True)
    tolerance: float = _option(0.1, 'how far off `evaluate.py --check` lets it be', free=True)
    pixel_accuracy: float | None = _option(None, 'pixel accuracy in percent', free=True)
    num_images: int | None = _option(None, 'images of the split that the number belongs to', free=True)
    params: int | None = _option(None, 'number of parameters with moving statistics', free=True)
    source: str = _option('', 'where the number comes from', free=True)
    verified: bool = _option(False, 'whether the source was looked up', free=True)


@dataclass(frozen=True)
class Recipe:
    name: str = _option('custom', 'its name', free=True)
    title: str = _option('', 'one line for tables', free=True)
    citation: str = _option('', 'paper or repository', free=True)
    status: str = _option('built', 'what was shown here: built | ported (released weights, reference output) | '
                          'reproduced (trained here, inside the tolerance)', free=True)
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
