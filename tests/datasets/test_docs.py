import shlex

from datasets import convert, docs
from datasets import row as rows


def test_the_page_is_what_the_rows_give():
    assert docs.PAGE.read_text(encoding='utf-8') == docs.page(), 'run python -m datasets.docs'


def test_every_dataset_has_a_line_that_says_where_to_get_it():
    page = docs.page()
    assert rows.names()
    for name in rows.names():
        dataset = rows.load(name)
        line, = (line for line in page.splitlines() if line.startswith(f'| `{name}` |'))
        cells = line.strip('| ').split(' | ')
        assert len(cells) == len(docs.COLUMNS) and all(cells)
        assert dataset.url in line and dataset.unpack in line
        assert all(f'{split} {entry.num_images}' in line for split, entry in dataset.splits.items())


def test_the_command_of_the_page_is_one_of_the_converter():
    command, = (line for line in docs.page().splitlines() if 'datasets.convert' in line)
    options = convert._parser().parse_args(shlex.split(command)[3:])
    assert (options.dataset, options.raw_dir, options.output_dir) == ('NAME', 'DIR', 'records/NAME')
