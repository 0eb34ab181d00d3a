"""The walk before a pack is built: which frames, in which order, and what was passed over."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmark.data.frame import Frame, Source
from benchmark.data.selection import SkipLog, Walk, frame_row
from benchmark.data.spool import Spool

_SPOOL_BYTES = 1 << 25


class Survey:
    """What one walk over a source found, in bounded memory.

    The frames are noted rather than walked again: a second walk can be slow (some sources open
    every file) and need not find the same files.

    Attributes:
        found: how many frames the source yielded.
        chosen: how many of them are wanted.
        excluded: how many were held back because of their group.
        set_aside: what an option of the source left out, by reason.
        skips: what the source passed over.
    """

    def __init__(self) -> None:
        self.found = self.chosen = self.excluded = 0
        self.set_aside: dict[str, int] = {}
        self.skips = SkipLog()
        self._frames = Spool(_SPOOL_BYTES)
        self._digest = hashlib.sha256(b'{"frames":[')

    def note(self, source: Source, walk: Walk) -> None:
        """Walk to the end. The report of `source` keeps its counts only."""
        for frame in walk:
            row = json.dumps(frame_row(frame), separators=(",", ":"), allow_nan=False).encode()
            self._digest.update(b"," + row if walk.chosen > 1 else row)
            self._frames.append(row)
            self.skips.take(source.report)
        self.skips.take(source.report)
        self.found, self.chosen, self.excluded = walk.found, walk.chosen, walk.excluded
        self.set_aside = dict(source.report.set_aside)

    def plan_hash(self, parameters: dict[str, Any]) -> str:
        """The same value as `Selection.plan_hash`, without the list of all frames."""
        digest = self._digest.copy()
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
        digest.update(f'],"parameters":{text}}}'.encode())
        return digest.hexdigest()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The chosen frames in order, from number `start` (counted from 0) on."""
        for row in itertools.islice(self._frames, start, None):
            yield Frame(*json.loads(row))

    def close(self) -> None:
        """Give back the disk space."""
        self._frames.close()
        self.skips.close()


@contextmanager
def survey(
    source: Source,
    splits: Sequence[str] | None,
    limit: int | None,
    exclude: Collection[str],
) -> Iterator[Survey]:
    """Walk a source once (arguments and errors as in `Walk`); closed after the block."""
    found = Survey()
    try:
        found.note(source, Walk(source, splits, limit, exclude))
        yield found
    finally:
        found.close()
