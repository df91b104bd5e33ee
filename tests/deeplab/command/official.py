"""What each flag of the official DeepLab does there, and how it is seen here; names and defaults: official_flags.json.

Paths are below research/deeplab of mach-12/models@3880236ce5ae1968216356b8169c4ab828415181.
"""

from collections.abc import Mapping
from typing import NamedTuple

CELL = 'deeplab/core/dense_prediction_cell_branch5_top1_cityscapes.json'


class Own(NamedTuple):
    """A flag of the main that has the value, and nothing in the recipe."""

    name: str
    value: str


class Refused(NamedTuple):
    """An error with this in its message."""

    message: str


class Row(NamedTuple):
    """`flags` of `main`, what the official code does with the first of them, and what differs here from the defaults.

    `seen` has the fields that differ, or is what the line says that is printed where nothing does.
    """

    main: str
    flags: str
    official: str
    seen: Mapping[str, object] | str | Own | Refused

    @property
    def name(self) -> str:
        return self.flags.partition('=')[0].partition(' ')[0].removeprefix('--')


def net(**options: object) -> dict[str, object]:
    return {f'model.options.{name}': value for name, value in options.items()}


def backbone(name: str, **options: object) -> dict[str, object]:
    return {'model.backbone': name} | {f'model.backbone_options.{option}': value for option, value in options.items()}


def decoder(**options: object) -> dict[str, object]:
    return {'model.net': 'deeplabv3plus'} | net(decoder_output_stride=[4], **options)


def resized(**sizes: int) -> dict[str, object]:
    return {f'{section}.{name}': size for section in ('data', 'evaluation') for name, size in sizes.items()}


DECODER = '--decoder_output_stride=4'
NAS = '--model_variant=nas_pnasnet'
COMMON = [
    Row('train', '--min_resize_value=400', 'input_preprocess.py: resize_to_range, of training and evaluation images',
        resized(min_resize=400)),
    Row('eval', '--max_resize_value=600 --min_resize_value=400', 'the same: the long side at most this',
        resized(min_resize=400, max_resize=600)),
    Row('vis', '--resize_factor=16 --min_resize_value=400', 'the same: sides are a multiple of this plus one',
        resized(min_resize=400, resize_factor=16)),
    Row('train', '--resize_factor=16', 'input_preprocess.py resizes only with a min or max_resize_value',
        'does nothing with evaluation.min_resize = 0'),
    Row('train', '--keep_aspect_ratio=false', 'no code reads it', 'the aspect ratio is kept always'),
    Row('train', '--logits_kernel_size=3 --aspp_with_batch_norm=false --atrous_rates=6',
        'model.py get_branch_logits: kernel of the classifiers',
        net(logits_kernel_size=3, aspp_with_batch_norm=False, atrous_rates=[6])),
    Row('train', '--model_variant=xception_65', 'feature_extractor.py networks_map', backbone('xception_65')),
    Row('train', '--image_pyramid=0.5 --image_pyramid=1', 'model.py multi_scale_logits: scales that are merged',
        {'model.image_pyramid': [0.5, 1.0]}),
    Row('train', '--merge_method=avg', 'model.py multi_scale_logits: mean, not max', {'model.merge_method': 'avg'}),
    Row('train', '--add_image_level_feature=false', 'model.py extract_features: no image pooling',
        net(add_image_level_feature=False)),
    Row('train', '--image_pooling_crop_size=321,257', 'model.py extract_features: window of image pooling',
        net(image_pooling_crop_size=[321, 257])),
    Row('train', '--image_pooling_stride=4,5', 'the same: its stride', net(image_pooling_stride=[4, 5])),
    Row('train', '--aspp_with_batch_norm=false', 'model.py extract_features: no ASPP before the logits',
        net(aspp_with_batch_norm=False)),
    Row('train', '--aspp_with_separable_conv=false', 'model.py: dense convolutions in ASPP',
        net(aspp_with_separable_conv=False)),
    Row('train', '--multi_grid=1 --multi_grid=2 --multi_grid=4 --model_variant=resnet_v1_50_beta',
        'feature_extractor.py: of resnet and xception', backbone('resnet_v1_50_beta', multi_grid=[1, 2, 4])),
    Row('train', '--multi_grid=2', 'feature_extractor.py does not give it to mobilenet',
        'does nothing with model.backbone = mobilenet_v2'),
    Row('train', '--depth_multiplier=0.5', 'feature_extractor.py: of mobilenet', backbone('mobilenet_v2',
                                                                                         depth_multiplier=0.5)),
    Row('train', '--divisible_by=4', 'feature_extractor.py _mobilenet_v2', backbone('mobilenet_v2', divisible_by=4)),
    Row('train', DECODER, 'model.py refine_by_decoder', decoder()),
    Row('train', f'--decoder_use_separable_conv=false {DECODER}', 'model.py _decoder_with_concat_merge',
        decoder(decoder_use_separable_conv=False)),
    Row('train', '--decoder_use_separable_conv=false', 'read by refine_by_decoder alone',
        'does nothing with model.net = deeplabv3'),
    Row('vis', '--prediction_with_upsampled_logits=false', 'model.py predict_labels: classes enlarged as nearest',
        {'evaluation.upsample_logits': False}),
    Row('train', f'--dense_prediction_cell_json={CELL}', 'common.py reads the file; extract_features builds the cell',
        net(dense_prediction_cell='branch5_top1_cityscapes')),
    Row('train', f'--nas_stem_output_num_conv_filters=8 {NAS}', 'nas_network.py: filters of the cells',
        backbone('nas_pnasnet', nas_stem_output_num_conv_filters=8)),
    Row('train', f'--nas_use_classification_head {NAS}', 'nas_network.py', backbone('nas_pnasnet',
                                                                                   nas_use_classification_head=True)),
    Row('train', f'--nas_remove_os32_stride {NAS}', 'nas_network.py',
        backbone('nas_pnasnet', nas_remove_os32_stride=True)),
    Row('train', '--nas_remove_os32_stride', 'feature_extractor.py gives it to nas_ alone',
        'does nothing with model.backbone = mobilenet_v2'),
    Row('train', '--use_bounded_activation', 'model.py: relu6 in head and decoder', net(use_bounded_activation=True)),
    Row('train', '--use_bounded_activation --model_variant=xception_41', 'xception.py: in the backbone as well',
        net(use_bounded_activation=True) | backbone('xception_41', use_bounded_activation=True)),
    Row('train', '--aspp_with_concat_projection=false', 'model.py extract_features',
        net(aspp_with_concat_projection=False)),
    Row('train', '--aspp_with_squeeze_and_excitation', 'model.py extract_features',
        net(aspp_with_squeeze_and_excitation=True)),
    Row('train', '--aspp_convs_filters=128', 'model.py extract_features', net(aspp_convs_filters=128)),
    Row('train', f'--decoder_use_sum_merge {DECODER}', 'model.py _decoder_with_sum_merge',
        decoder(decoder_use_sum_merge=True)),
    Row('train', f'--decoder_filters=32 {DECODER}', 'model.py refine_by_decoder', decoder(decoder_filters=32)),
    Row('train', f'--decoder_output_is_logits --decoder_use_sum_merge {DECODER}', 'model.py _get_logits',
        decoder(decoder_output_is_logits=True, decoder_use_sum_merge=True)),
    Row('train', '--image_se_uses_qsigmoid', 'model.py extract_features: gate of squeeze and excitation',
        net(image_se_uses_qsigmoid=True)),
    Row('train', ' '.join(['--label_weights=2'] * 21), 'train_utils.py: a weight per class',
        {'loss.label_weights': [2.0] * 21}),
    Row('train', '--label_weights=0.5', 'core/utils.py get_label_weight_mask: one for each class or an error',
        Refused('has 1 values; voc2012 has 21 classes')),
    Row('train', '--batch_norm_decay=0.9', 'ModelOptions has it, and no code reads it', "the backbone's own is used"),
]
TRAIN = [
    Row('train', '--num_clones=4 --train_batch_size=16', 'train.py splits the batch over the clones',
        {'train.batch_size': 4}),
    Row('train', '--num_clones=2', 'so it does with the default of 8', {'train.batch_size': 4}),
    Row('train', '--num_clones=4', 'model_deploy.py: that many GPUs', Own('devices', 'gpu:0,gpu:1,gpu:2,gpu:3')),
    Row('train', '--num_clones=3', 'train.py asserts that it can be shared', Refused('a batch of 8 is not divisible')),
    Row('train', '--num_clones=1', 'one GPU', 'all GPUs are used'),
    Row('train', '--clone_on_cpu --num_clones=2', 'model_deploy.py: clones on the CPU', Own('devices', 'cpu:0,cpu:1')),
    Row('train', '--num_replicas=2', 'model_deploy.py: between-graph workers', 'TF_CONFIG'),
    Row('train', '--startup_delay_steps=20', 'slim.learning.train: a later worker waits', 'workers start together'),
    Row('train', '--num_ps_tasks=1', 'model_deploy.py: parameter servers', 'TF_CONFIG'),
    Row('train', '--master=grpc://host', 'slim.learning.train: its server', 'TF_CONFIG'),
    Row('train', '--task=1', 'model_deploy.py: which worker this is', 'TF_CONFIG'),
    Row('train', '--train_logdir=there', 'folder of checkpoints and logs', Own('model_dir', 'there')),
    Row('train', '--log_steps=7', 'slim.learning.train', {'train.log_steps': 7}),
    Row('train', '--save_interval_secs=60', 'slim.learning.train', {'train.save_secs': 60}),
    Row('train', '--save_summaries_secs=60', 'slim.learning.train', '--train.summary_steps'),
    Row('train', '--save_summaries_images', 'train.py: pictures of a batch', 'pictures are always written'),
    Row('train', '--profile_logdir=there', 'tfprof', 'there is no profile'),
    Row('train', '--optimizer=adam', 'train.py: AdamOptimizer(adam_learning_rate), whatever the policy',
        {'optimizer.name': 'adam', 'optimizer.epsilon': 1e-8, 'schedule.policy': 'constant',
         'schedule.learning_rate': 1e-3}),
    Row('train', '--learning_policy=step', 'train_utils.py get_model_learning_rate', {'schedule.policy': 'step'}),
    Row('train', '--base_learning_rate=0.007', 'the same', {'schedule.learning_rate': 0.007}),
    Row('train', '--decay_steps=20000.0', 'the same: length of poly', {'schedule.decay_steps': 20000}),
    Row('train', '--end_learning_rate=1e-6', 'the same', {'schedule.end_learning_rate': 1e-6}),
    Row('train', '--learning_rate_decay_factor=0.5', 'the same', {'schedule.decay_factor': 0.5}),
    Row('train', '--learning_rate_decay_step=100', 'the same', {'schedule.step_size': 100}),
    Row('train', '--learning_power=1', 'the same', {'schedule.power': 1.0}),
    Row('train', '--training_number_of_steps=90000', 'slim.learning.train ends there; poly as well',
        {'train.max_steps': 90000}),
    Row('train', '--momentum=0.5', 'train.py: MomentumOptimizer', {'optimizer.momentum': 0.5}),
    Row('train', '--adam_learning_rate=0.01 --optimizer=adam', 'train.py: AdamOptimizer',
        {'optimizer.name': 'adam', 'schedule.policy': 'constant', 'schedule.learning_rate': 0.01}),
    Row('train', '--adam_learning_rate=0.01', 'MomentumOptimizer has the learning policy alone',
        'does nothing with optimizer.name = momentum'),
    Row('train', '--adam_epsilon=0.1 --optimizer=adam', 'train.py: AdamOptimizer',
        {'optimizer.name': 'adam', 'optimizer.epsilon': 0.1, 'schedule.policy': 'constant',
         'schedule.learning_rate': 1e-3}),
    Row('train', '--adam_epsilon=0.1', 'of AdamOptimizer alone', 'does nothing with optimizer.name = momentum'),
    Row('train', '--train_batch_size=12', 'data_generator.py; shared by the clones', {'train.batch_size': 12}),
    Row('train', '--weight_decay=1e-4', 'slim.l2_regularizer of kernels', {'loss.weight_decay': 1e-4}),
    Row('train', '--train_crop_size=321,257', 'input_preprocess.py: random_crop', {'data.crop_size': [321, 257]}),
    Row('train', '--last_layer_gradient_multiplier=10', 'train_utils.py get_model_gradient_multipliers',
        {'optimizer.last_layer_multiplier': 10.0}),
    Row('train', '--upsample_logits=false', 'train_utils.py: labels shrink', {'loss.upsample_logits': False}),
    Row('train', f'--drop_path_keep_prob=0.6 {NAS} --training_number_of_steps=500', 'nas_cell.py _apply_drop_path',
        backbone('nas_pnasnet', drop_path_keep_prob=0.6, drop_path_steps=500) | {'train.max_steps': 500}),
    Row('train', '--drop_path_keep_prob=0.6', 'feature_extractor.py gives it to nas_ alone',
        'does nothing with model.backbone = mobilenet_v2'),
    Row('train', '--tf_initial_checkpoint=model.ckpt', 'train_utils.py get_model_init_fn',
        {'init.checkpoint': 'model.ckpt'}),
    Row('train', '--initialize_last_layer=false', 'train_utils.py get_model_init_fn leaves last layers out',
        {'init.head': False}),
    Row('train', '--last_layers_contain_logits_only', 'model.py get_extra_layer_scopes',
        {'optimizer.last_layers_contain_logits_only': True}),
    Row('train', '--slow_start_step=100', 'train_utils.py get_model_learning_rate', {'schedule.slow_start_steps': 100}),
    Row('train', '--slow_start_learning_rate=1e-5', 'the same', {'schedule.slow_start_learning_rate': 1e-5}),
    Row('train', '--fine_tune_batch_norm=false', 'is_training=False of batch norm; gamma and beta are trained',
        {'batch_norm.mode': 'freeze_statistics'}),
    Row('train', '--min_scale_factor=0.75', 'preprocess_utils.py get_random_scale', {'data.min_scale': 0.75}),
    Row('train', '--max_scale_factor=1.25', 'the same', {'data.max_scale': 1.25}),
    Row('train', '--scale_factor_step_size=0', 'the same: 0 draws uniformly', {'data.scale_step': 0.0}),
    Row('train', '--atrous_rates=12 --atrous_rates=24 --output_stride=8', 'model.py: rates of ASPP as they are',
        {'model.output_stride': 8} | net(atrous_rates=[12, 24], atrous_rates_stride=8)),
    Row('train', '--output_stride=8', 'feature_extractor.py', {'model.output_stride': 8}),
    Row('train', '--hard_example_mining_step=1000', 'train_utils.py: the share falls until then',
        {'loss.top_k_ramp_steps': 1000}),
    Row('train', '--top_k_percent_pixels=0.25', 'train_utils.py', {'loss.top_k_percent': 0.25}),
    Row('train', '--quantize_delay_step=0', 'contrib_quantize.create_training_graph',
        Refused('there is no quantisation-aware training')),
    Row('train', '--dataset=ade20k', 'data_generator.py: 151 classes, 0 is ignored', {'data.dataset': 'ade20k'}),
    Row('train', '--train_split=train_aug', 'data_generator.py: of the shards', {'data.train_split': 'train_aug'}),
    Row('train', '--train_split=train_fine --dataset=cityscapes', 'the same: 2,975 images',
        {'data.train_split': 'train', 'data.dataset': 'cityscapes'}),
    Row('train', '--dataset_dir=there', 'data_generator.py: folder of the shards', {'data.record_dir': 'there'}),
]
ONCE = 'ends after the'
EVAL = [
    Row('eval', '--master=grpc://host', 'evaluate_repeatedly', 'TF_CONFIG'),
    Row('eval', '--eval_logdir=there', 'summaries go there', "a folder eval_... of the model's"),
    Row('eval', '--checkpoint_dir=there', 'evaluate_repeatedly', Own('model_dir', 'there')),
    Row('eval', '--eval_batch_size=4', 'data_generator.py', 'one at a time'),
    Row('eval', '--eval_crop_size=1025,2049', 'input_preprocess.py: pads to this', {'evaluation.pad_to': [1025, 2049]}),
    Row('eval', '--eval_interval_secs=9', 'evaluate_repeatedly', ONCE),
    Row('eval', '--atrous_rates=12 --output_stride=8', 'model.py: as they are', {'evaluation.output_stride': 8}
        | net(atrous_rates=[12], atrous_rates_stride=8)),
    Row('eval', '--output_stride=8', 'feature_extractor.py', {'evaluation.output_stride': 8}),
    Row('eval', '--eval_scales=0.5 --eval_scales=1.0', 'model.py predict_labels_multi_scale',
        {'evaluation.scales': [0.5, 1.0]}),
    Row('eval', '--add_flipped_images --eval_scales=0.5', 'the same',
        {'evaluation.scales': [0.5], 'evaluation.flip': True}),
    Row('eval', '--quantize_delay_step=9', 'create_eval_graph', Refused('no quantisation-aware training')),
    Row('eval', '--dataset=cityscapes', 'data_generator.py', {'data.dataset': 'cityscapes'}),
    Row('eval', '--eval_split=trainval', 'data_generator.py', {'data.eval_split': 'trainval'}),
    Row('eval', '--eval_split=val_fine --dataset=cityscapes', 'the same: 500 images', {'data.dataset': 'cityscapes'}),
    Row('eval', '--dataset_dir=there', 'data_generator.py', {'data.record_dir': 'there'}),
    Row('eval', '--max_number_of_evaluations=1', 'evaluate_repeatedly', ONCE),
]
VIS = [
    Row('vis', '--master=grpc://host', 'ChiefSessionCreator', 'TF_CONFIG'),
    Row('vis', '--vis_logdir=there', 'pictures go to folders in it', Own('output_dir', 'there')),
    Row('vis', '--checkpoint_dir=there', 'checkpoints_iterator', Own('model_dir', 'there')),
    Row('vis', '--vis_batch_size=4', 'data_generator.py', 'one at a time'),
    Row('vis', '--vis_crop_size=1025,2049', 'input_preprocess.py', {'evaluation.pad_to': [1025, 2049]}),
    Row('vis', '--eval_interval_secs=9', 'checkpoints_iterator', ONCE),
    Row('vis', '--atrous_rates=12', 'model.py', net(atrous_rates=[12])),
    Row('vis', '--output_stride=8', 'feature_extractor.py', {'evaluation.output_stride': 8}),
    Row('vis', '--eval_scales=0.5 --eval_scales=1.0', 'model.py', {'evaluation.scales': [0.5, 1.0]}),
    Row('vis', '--add_flipped_images', 'predict_labels_multi_scale', {'evaluation.flip': True}),
    Row('vis', '--quantize_delay_step=9', 'create_eval_graph', Refused('no quantisation-aware training')),
    Row('vis', '--dataset=cityscapes', 'data_generator.py', {'data.dataset': 'cityscapes'}),
    Row('vis', '--vis_split=train', 'data_generator.py', 'predicts the images of --input'),
    Row('vis', '--dataset_dir=there', 'data_generator.py', {'data.record_dir': 'there'}),
    Row('vis', '--colormap_type=ade20k', 'save_annotation.py', "the colours are the dataset's"),
    Row('vis', '--also_save_raw_predictions', 'vis.py: class ids as PNGs', 'NAME_ids.png'),
    Row('vis', '--max_number_of_iterations=1', 'vis.py', ONCE),
]
EXPORT = [
    Row('export_model', '--checkpoint_path=model.ckpt-9', 'freeze_graph', Own('checkpoint', 'model.ckpt-9')),
    Row('export_model', '--export_path=there', 'freeze_graph', Own('export_dir', 'there')),
    Row('export_model', '--num_classes=19 --dataset=cityscapes', 'ModelOptions: of the logits',
        {'data.dataset': 'cityscapes'}),
    Row('export_model', '--num_classes=19', 'ModelOptions: of the logits', Refused('dataset voc2012 has 21')),
    Row('export_model', '--crop_size=321 --crop_size=257', 'input_preprocess.py', {'evaluation.pad_to': [321, 257]}),
    Row('export_model', '--atrous_rates=12', 'model.py', net(atrous_rates=[12])),
    Row('export_model', '--output_stride=8', 'feature_extractor.py', {'evaluation.output_stride': 8}),
    Row('export_model', '--inference_scales=0.5', 'model.py predict_labels_multi_scale', {'evaluation.scales': [0.5]}),
    Row('export_model', '--add_flipped_images', 'predict_labels_multi_scale', {'evaluation.flip': True}),
    Row('export_model', '--quantize_delay_step=9', 'create_eval_graph', Refused('no quantisation-aware training')),
    Row('export_model', '--save_inference_graph', 'tf.train.write_graph', 'the SavedModel holds the graph'),
]
ROWS = {'common.py': COMMON, 'train.py': TRAIN, 'eval.py': EVAL, 'vis.py': VIS, 'export_model.py': EXPORT}
