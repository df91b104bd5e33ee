"""parse(write(x)) == x, whatever modes, sizes and ids the files have."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from datasets import row as rows
from datasets.raw.pairs import Pair
from datasets.records import frames, tfrecord
from datasets.records.examples import make
from tests.datasets import drawn

VOC = rows.load('voc2012')
IDS = [*range(21), 255]
SIDES = st.integers(1, 40)
# What an image file may be: Pillow's mode and format.
IMAGES = [('RGB', 'PNG'), ('RGB', 'JPEG'), ('L', 'PNG'), ('L', 'JPEG'), ('P', 'PNG'), ('P', 'GIF'), ('1', 'PNG'),
          ('RGBA', 'PNG'), ('LA', 'PNG'), ('CMYK', 'JPEG'), ('RGB', 'BMP'), ('RGB', 'TIFF'), ('RGB', 'WEBP')]
# What a label file may be: bits of grey, a palette, or other formats. (Pillow numbers the colours of GIFs anew.)
LABELS = ('grey 8', 'grey 16', 'grey 4', 'grey 1', 'palette', 'palette with transparency', 'tiff', 'bmp')


@st.composite
def pictures(draw):
    """(image file, its RGB pixels, label file, its ids) of one size."""
    height, width = draw(SIDES), draw(SIDES)
    pixels = np.random.RandomState(draw(st.integers(0, 10**6))).randint(0, 256, (height, width, 3), np.uint8)
    mode, kind = draw(st.sampled_from(IMAGES))
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    rgb = np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert('RGB'))
    stored = draw(st.sampled_from(LABELS))
    legal = {'grey 4': IDS[:16], 'grey 1': IDS[:2]}.get(stored, IDS)
    ids = draw(arrays.arrays(np.uint8, (height, width), elements=st.sampled_from(legal)))
    return stream.getvalue(), rgb, encoded(ids, stored), ids


def encoded(ids, stored):
    if stored.startswith('grey'):
        return drawn.grey_png(ids, int(stored.split()[1]))
    image = Image.fromarray(ids)
    if stored.startswith('palette'):
        image.putpalette(np.random.RandomState(7).randint(0, 256, 768, np.uint8).tobytes())
    stream = io.BytesIO()
    options = {'transparency': 0} if 'transparency' in stored else {}
    image.save(stream, {'tiff': 'TIFF', 'bmp': 'BMP'}.get(stored, 'PNG'), **options)
    return stream.getvalue()


def assert_comes_back(folder, examples):
    pairs = []
    for number, (image, _, label, _) in enumerate(examples):
        pairs.append(Pair(f'größe {number}', folder / f'{number}.image', folder / f'{number}.label'))
        pairs[-1].image.write_bytes(image)
        pairs[-1].label.write_bytes(label)
    made = [make(VOC, pair) for pair in pairs]
    assert not any(one.problems for one in made)
    shard = folder / 'shard'
    assert tfrecord.write_shard(shard, (record for one in made for record in one.records)) == len(pairs)
    data = shard.read_bytes()
    found = [tfrecord.parse(data[frame.offset + frames.HEADER_BYTES:frame.end - frames.FOOTER_BYTES])
             for frame in frames.frames(shard)]
    assert [record.filename for record in found] == [pair.id for pair in pairs]
    for record, (image, rgb, _, ids) in zip(found, examples, strict=True):
        assert (record.height, record.width) == ids.shape
        np.testing.assert_array_equal(drawn.decoded(record.label), ids)
        np.testing.assert_array_equal(drawn.decoded(record.image), rgb)
        if record.image_format == 'jpeg':
            assert record.image == image


EXAMPLES = st.lists(pictures(), min_size=1, max_size=3)
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(EXAMPLES)
def test_what_is_written_is_read(tmp_path_factory, examples):
    assert_comes_back(tmp_path_factory.mktemp('examples'), examples)


@pytest.mark.slow
@settings(QUICK, max_examples=400)
@given(EXAMPLES)
def test_what_is_written_is_read_many_times(tmp_path_factory, examples):
    assert_comes_back(tmp_path_factory.mktemp('examples'), examples)


@pytest.mark.parametrize('stored', LABELS)
@pytest.mark.parametrize(('mode', 'kind'), IMAGES[:4])
def test_each_kind_of_label_comes_back(tmp_path, stored, mode, kind):
    pixels = np.random.RandomState(0).randint(0, 256, (7, 11, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    ids = np.arange(77, dtype=np.uint8).reshape(7, 11) % (2 if stored == 'grey 1' else 16)
    rgb = drawn.decoded(stream.getvalue())
    rgb = rgb if rgb.ndim == 3 else np.repeat(rgb[..., None], 3, axis=2)
    assert_comes_back(tmp_path, [(stream.getvalue(), rgb, encoded(ids, stored), ids)])
