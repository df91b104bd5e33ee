"""What reading every record of a split has found."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.records import checks
from datasets.records.manifest import Pixels


@dataclass
class Report:
    """What was found in a split: names and pixels of the good records, the bad ones, and problems of the whole."""

    split: str
    shards: tuple[Path, ...]
    manifest: dict[str, Any] | None
    names: list[str] = field(default_factory=list)
    pixels: Pixels = field(default_factory=Pixels)
    bad: list[checks.Bad] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.bad and not self.problems

    def __str__(self) -> str:
        compared = ', ids, manifest' if self.manifest else '; there is no manifest to compare with'
        good = (f'{self.split}: {len(self.names)} good records in {len(self.shards)} shards (CRC, keys, decoding, sizes'
                f'{compared})')
        bad = [f'{self.split}: {len(self.bad)} bad record(s)'] if self.bad else []
        return '\n  '.join([good, *bad, *map(str, self.bad), *self.problems])
