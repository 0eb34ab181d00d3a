"""The split of a user's own data: given by folders, listed, or drawn by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.frame import Frame, SkipReport
from benchmark.data.splits import read_split_list, split_by_list, split_by_patient
from benchmark.errors import InputError
from benchmark.files import sha256_json


@dataclass(frozen=True)
class OwnSplit:
    """The split of a user's own data: a list, a seeded share of the patients, or the folders.

    Attributes:
        test_fraction: share of the frames that are ``test``, by patient; 0: the folders decide.
        seed: seed of the choice of patients.
        listed: the user's list, see `read_split_list`; empty without one.
        list_name: file name of the list.
    """

    test_fraction: float = 0.0
    seed: int = 0
    listed: Mapping[str, str] | None = None
    list_name: str = ""

    @classmethod
    def create(cls, split_file: str, test_fraction: float, seed: int) -> OwnSplit:
        """The rule that the options of a source ask for.

        Raises:
            InputError: both a list and a fraction are given, or the list cannot be used.
        """
        if split_file and test_fraction:
            raise InputError("options split_file and test_fraction: give only one of them")
        if split_file:
            return cls(listed=read_split_list(split_file), list_name=Path(split_file).name)
        return cls(test_fraction, seed)

    @property
    def options(self) -> dict[str, str | int | float]:
        """What identifies the split, for `Source.options`."""
        if self.listed is not None:
            # The list by its content: its path does not identify it.
            return {"split_list": sha256_json(dict(self.listed))}
        if self.test_fraction:
            return {"test_fraction": self.test_fraction, "seed": self.seed}
        return {}

    def note(self, frames: Iterable[Frame]) -> str:
        """One sentence on where the split of `frames` comes from; empty if from folders."""
        if self.listed is not None:
            return f"a user-defined list, {self.list_name}"
        if not self.test_fraction:
            return ""
        known = all(frame.group for frame in frames)
        unit = "by patient" if known else "by patient, or by file where the patient is not known"
        return f"{unit}, {self.test_fraction:g} of the frames are test, seed {self.seed}"

    def apply(
        self, frames: list[Frame], names: Callable[[Frame], Iterable[str]], report: SkipReport
    ) -> list[Frame]:
        """The frames with their splits; arguments as for `split_by_list`.

        Raises:
            InputError: a fraction is given, and the folders already give splits.
        """
        if self.listed is not None:
            return list(split_by_list(frames, self.listed, names, report))
        if not self.test_fraction:
            return frames
        given = sorted({frame.split for frame in frames if frame.split})
        if given:
            raise InputError(
                f"option test_fraction={self.test_fraction:g}: the folders already give the "
                f"splits {', '.join(given)}; leave it out, or move the files into one folder"
            )
        return list(split_by_patient(frames, self.test_fraction, self.seed, report))

    def check(self, found: Collection[str], what: str, accepted: str) -> None:
        """Refuse data without a test split, for which no score could be computed.

        Args:
            found: the splits of the frames.
            what: the data and their layout, with which the message begins.
            accepted: the layouts that have splits, or how to split otherwise.

        Raises:
            InputError: there is no split, or no test split.
        """
        if "test" in found:
            return
        if self.listed is not None:
            hint = f"list some of its images as test in {self.list_name}"
        else:
            hint = (
                "give --option test_fraction=0.2 (by patient, seeded) or split_file=FILE"
                if not found
                else "add one, or put all images together and give --option test_fraction=0.2"
            )
            hint += f"; accepted are {accepted}"
        has = f"only {', '.join(sorted(found))}, no test split" if found else "no split"
        raise InputError(f"{what}: {has}; {hint}")


def listed_names(path: str, below: str, group: str | None) -> list[str]:
    """What an image may be called in a list: by path, by file name, by stem, or by patient.

    Args:
        path: `Frame.path`.
        below: its path below the folder of all images.
        group: `Frame.group`.
    """
    paths = (path, below, Path(path).name)
    patient = (group or "").partition("/")[2]
    return [name for name in (*paths, *(p.rpartition(".")[0] for p in paths), patient) if name]


def report_shared_patients(frames: Iterable[Frame], report: SkipReport) -> None:
    """Report the frames whose patient has frames in another split: leakage."""
    split_of: dict[str, str | None] = {}
    for frame in frames:
        known = frame.group and frame.split
        if known and split_of.setdefault(frame.group, frame.split) != frame.split:
            report.add("patient in two splits", frame.path)
