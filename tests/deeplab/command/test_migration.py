from deeplab.command import aliases, migration
from deeplab.recipes import recipe

TABLE = aliases.load()


def test_the_page_is_what_the_table_gives():
    written = migration.PAGE.read_text(encoding='utf-8')
    assert written == migration.page(TABLE), 'run python -m deeplab.command.migration'


def test_every_dialect_says_what_its_commands_become_and_what_is_better():
    page = migration.page(TABLE)
    for name, dialect in TABLE.dialects.items():
        assert dialect.title in page and dialect.commands and dialect.better, name
        assert all(line in page for line in dialect.better)
        flags = [flag.name for flag in TABLE.flags.values() if name in flag.of]
        section = page.partition(dialect.title)[2].partition('\n## ')[0]
        assert all(f'| `--{flag}` | ' in section for flag in flags)
    assert '|  |' not in page


def test_the_rows_that_flags_choose_exist():
    known = recipe.table()
    chosen = {row for flag in TABLE.flags.values() for row in flag.recipe.values()}
    chosen |= {dialect.recipe for dialect in TABLE.dialects.values() if dialect.recipe}
    assert len(chosen) > 10
    assert not sorted(chosen - set(known))
