import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab.strides import plan


@pytest.mark.parametrize(('strides', 'output_stride', 'expected'), [
    ([2, 1, 2, 2], 8, [(2, 1), (1, 1), (2, 1), (2, 1)]),
    ([2, 1, 2, 2], 4, [(2, 1), (1, 1), (2, 1), (1, 1)]),
    ([2, 2, 1, 2, 1, 2, 1], 4, [(2, 1), (2, 1), (1, 1), (1, 1), (1, 2), (1, 2), (1, 4)]),
    ([4, 2, 1, 2, 1], 8, [(4, 1), (2, 1), (1, 1), (1, 1), (1, 2)]),
    ([2, 1], 1, [(1, 1), (1, 2)]),
])
def test_plan_trades_strides_for_rates(strides, output_stride, expected):
    assert plan(strides, output_stride) == expected


@given(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=12), st.integers(0, 6))
def test_plan_keeps_the_field_of_view(strides, log_stride):
    nominal, output_stride = math.prod(strides), 2 ** log_stride
    if output_stride > nominal:
        with pytest.raises(ValueError, match=f'output stride {output_stride} cannot be reached'):
            plan(strides, output_stride)
        return
    layers = plan(strides, output_stride)
    assert math.prod(stride for stride, _ in layers) == output_stride
    for i, (stride, rate) in enumerate(layers):
        reached = math.prod(s for s, _ in layers[:i])
        assert reached * rate == math.prod(strides[:i])
        assert rate == 1 or stride == 1


def test_a_stride_that_is_stepped_over_is_refused():
    with pytest.raises(ValueError, match='output stride 2 cannot be reached with the strides .4, 2'):
        plan([4, 2], 2)
