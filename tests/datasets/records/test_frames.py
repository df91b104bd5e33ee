import numpy as np
import pytest

from datasets.records import tfrecord
from datasets.records.frames import HEADER_BYTES, frames
from tests.datasets import drawn


@pytest.fixture
def shard(tmp_path):
    drawn.write_split(tmp_path, 'train', 4)
    return tmp_path / 'train-00000-of-00001.tfrecord'


def test_frames_are_tensorflows(shard):
    found = list(frames(shard))
    assert [frame.fault for frame in found] == [''] * 4
    assert [frame.offset for frame in found[1:]] == [frame.end for frame in found[:-1]]
    assert found[-1].end == shard.stat().st_size


@pytest.mark.parametrize('number', range(4))
def test_a_bit_flipped_in_a_header_costs_one_record(shard, number):
    whole, data = list(frames(shard)), shard.read_bytes()
    for place in range(HEADER_BYTES):
        changed = bytearray(data)
        changed[whole[number].offset + place] ^= 1 << place % 8
        shard.write_bytes(changed)
        found = list(frames(shard))
        assert [frame[:2] for frame in found] == [frame[:2] for frame in whole]
        assert [frame.fault for frame in found] == ['the CRC of its length is wrong' if n == number else ''
                                                    for n in range(4)]
        with pytest.raises(ValueError, match=f'record {number} at byte {whole[number].offset} is truncated or damaged'):
            tfrecord.scan_offsets(shard)


def test_the_search_goes_on_beyond_its_window(shard, monkeypatch):
    whole, data = list(frames(shard)), bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    for window in (1, 5, 64):
        monkeypatch.setattr('datasets.records.frames.SEARCH_BYTES', window)
        assert [frame.offset for frame in frames(shard)] == [frame.offset for frame in whole]


def test_nothing_but_noise_is_one_fault(tmp_path):
    path = tmp_path / 'noise'
    path.write_bytes(np.random.RandomState(0).bytes(5000))
    assert [frame[:2] for frame in frames(path)] == [(0, 5000)]
