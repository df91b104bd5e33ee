"""What reading every record of a split has found."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.records import checks
from datasets.records.ids import LegalIds
from datasets.records.manifest import Pixels


@dataclass
class Report:
    """What was found in a split: names and pixels of the good records, the bad ones, and problems of the whole.

    `legal` are the ids that labels were compared with.
    """

    split: str
    shards: tuple[Path, ...]
    manifest: dict[str, Any] | None
    legal: LegalIds | None = None
    names: list[str] = field(default_factory=list)
    pixels: Pixels = field(default_factory=Pixels)
    bad: list[checks.Bad] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.bad and not self.problems

    def __str__(self) -> str:
        ids = ', ids' if self.legal else ''
        compared = f'{ids}, manifest' if self.manifest else f'{ids}; there is no manifest to compare with'
        good = (f'{self.split}: {len(self.names)} good records in {len(self.shards)} shards (CRC, keys, decoding, sizes'
                f'{compared})')
        bad = [f'{self.split}: {len(self.bad)} bad record(s)'] if self.bad else []
        return '\n  '.join([good, *bad, *map(str, self.bad), *self.problems])
