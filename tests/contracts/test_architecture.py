"""docs/architecture.md tells of the modules that there are."""

import pytest

from tools import architecture


def test_the_map_is_that_of_the_modules():
    page = architecture.PAGE.read_text(encoding='utf8')
    assert page == architecture.with_map(page), 'run python -m tools.architecture'


def test_every_module_says_in_a_sentence_what_it_is():
    found = {name: architecture.sentence(path) for name, path in architecture.modules().items()}
    assert len(found) > 100
    assert not [name for name, said in found.items() if len(said.split()) < 3]


@pytest.mark.parametrize('way', [architecture.IMAGE, architecture.STEP])
def test_the_pictures_name_modules_that_there_are(way):
    places = [box.place for line in way for box in line]
    modules = architecture.modules()
    assert sum(place in modules for place in places) > 8
    assert not [place for place in places if place.startswith(architecture.PACKAGES) and place not in modules]


def test_the_page_shows_the_pictures():
    page = architecture.PAGE.read_text(encoding='utf8')
    pictures = ('rooms.png', 'way_of_an_image.png', 'way_of_a_step.png')
    assert all(f'images/{name}' in page and (architecture.PICTURES / name).stat().st_size > 10_000 for name in pictures)
