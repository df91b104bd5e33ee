"""Estimator on virtual CPU devices, in a process of its own: devices can only be split before TensorFlow starts."""

import multiprocessing

from deeplab.compat import estimator, tensorflow


def in_fresh_process(function, *args, timeout: float = 120):
    """What function(*args) returns in a new process; a hung collective raises instead of blocking the suite."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply_async(function, args).get(timeout)


def run_config(replicas: int, **options):
    """A RunConfig over so many virtual CPU devices; the default all-reduce hangs on them."""
    cpu = tensorflow.config.list_physical_devices('CPU')[0]
    devices = [tensorflow.config.LogicalDeviceConfiguration()] * replicas
    tensorflow.config.set_logical_device_configuration(cpu, devices)
    strategy = tensorflow.distribute.MirroredStrategy(
        [f'/cpu:{index}' for index in range(replicas)], cross_device_ops=tensorflow.distribute.ReductionToOneDevice())
    return estimator.RunConfig(train_distribute=strategy, eval_distribute=strategy, **options)
