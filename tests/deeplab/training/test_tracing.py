"""What --profile traces and says, by steps that take their time in one known operation."""

import json

import pytest

from deeplab.compat import tf
from deeplab.training import tracing

WORK = 'MatMul'  # with oneDNN _MklMatMul


def trained(tmp_path, steps, count):
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        values = tf.random.uniform([500, 500], seed=1)
        work = tf.matmul(values, values)
        act = tf.assign_add(step, 1 + tf.cast(tf.reduce_min(work) < 0, tf.int64))
        with tf.train.MonitoredSession(hooks=[tracing.Profile(tmp_path, count)]) as session:
            for _ in range(steps):
                session.run(act)


def test_steps_after_the_first_ones_are_traced_and_their_costs_said(tmp_path, capsys):
    trained(tmp_path, tracing.WARM_UP + 3, 2)
    traces = [json.loads(path.read_text())['traceEvents'] for path in sorted((tmp_path / 'profile').iterdir())]
    assert len(traces) == 2
    for trace in traces:
        found = {event['args']['op'].removeprefix('_Mkl') for event in trace if 'dur' in event}
        assert {WORK, 'RandomUniform'} <= found
    first, *lines, last = capsys.readouterr().err.splitlines()
    assert 'costs of 2 steps' in first and 'profile/*.json' in last
    assert 1 < len(lines) <= tracing.LARGEST and {WORK} <= {line.split()[-1].removeprefix('_Mkl')
                                                             for line in lines[:2]}
    shares = [float(line.split()[0].rstrip('%')) for line in lines]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 100.5


@pytest.mark.parametrize('traced', [0, 1])
def test_a_run_that_ends_before_it_is_traced_says_so(tmp_path, capsys, traced):
    trained(tmp_path, tracing.WARM_UP + traced, 2)
    assert f'ended after {traced} of these steps' in capsys.readouterr().err


def test_costs_add_up_by_type_over_devices():
    """Microseconds of operations; what is no operation, such as a transfer, has no type."""
    metadata = tf.RunMetadata()
    for device, nodes in (('/cpu:0', [('a = Conv2D(x, y)', 5), ('b = Add(a)', 2)]),
                          ('/cpu:1', [('c = Conv2D(x, y)', 7), ('edge_3_x', 9)])):
        stats = metadata.step_stats.dev_stats.add(device=device)
        for label, microseconds in nodes:
            stats.node_stats.add(timeline_label=label, op_start_rel_micros=3, op_end_rel_micros=3 + microseconds)
    assert tracing.costs(metadata) == {'Conv2D': 12, 'Add': 2}
