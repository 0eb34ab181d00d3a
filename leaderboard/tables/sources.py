"""Where the methods and the data of a leaderboard come from, and how to cite it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from benchmark.method_cards import MethodCard
from benchmark.results import RunRecord, path_of
from leaderboard.build import PUBLISHED, Leaderboard
from leaderboard.columns import DATASET_TITLES
from leaderboard.tables.grids import Entry, Grid, Section


class DataSource(NamedTuple):
    """The page of a dataset, and its licence as far as it is known; see docs/datasets.md."""

    title: str
    url: str
    licence: str


_ARCADE = ("https://zenodo.org/records/10390295", "CC0 1.0, as a mirror declares")
#: Dataset or pre-training dataset → where it is from.
DATA_SOURCES = {
    **{name: DataSource(DATASET_TITLES[name], *_ARCADE) for name in ("arcade_v", "arcade_s")},
    "arcade_vs": DataSource(DATASET_TITLES["arcade_vs"], *_ARCADE),
    "caxf": DataSource("CAXF", "https://github.com/Dxhuang-CASIA/XA-SSL", "in-house, on request"),
    "xcav": DataSource("XCAV", "https://github.com/kirito878/DeNVeR", "not known"),
    "stenosis": DataSource(
        "Stenosis", "https://data.mendeley.com/datasets/ydrm75xywg", "CC BY 4.0"
    ),
    "dca1": DataSource(
        "DCA1", "http://personal.cimat.mx:8181/~ivan.cruz/DB_Angiograms.html", "not known"
    ),
    "xcad": DataSource("XCAD", "https://github.com/AISIGSJTU/SSVS", "none stated"),
    "XA-170K": DataSource(
        "XA-170K",
        "https://huggingface.co/datasets/waha2000huang/XA-170K",
        "those of its parts: CADICA CC BY 4.0 (as far as known), SYNTAX not known, XCAD none "
        "stated, CoronaryDominance CC0 1.0",
    ),
}

#: Protocol → the paper that declares it, as in the README.
PAPERS = {
    "aaai": """\
@inproceedings{huang2026vasomim,
  title     = {VasoMIM: Vascular Anatomy-Aware Masked Image Modeling for Vessel Segmentation},
  author    = {Huang, De-Xing and Zhou, Xiao-Hu and Gui, Mei-Jiang and Xie, Xiao-Liang and Liu, \
Shi-Qi and
               Wang, Shuang-Yi and Xiang, Tian-Yu and Ma, Rui-Ze and Xiao, Nu-Fang and Hou, \
Zeng-Guang},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2026},
  note      = {arXiv:2508.10794}
}
""",
    "journal": """\
@article{huang2026vascular,
  title   = {Vascular Anatomy-aware Self-supervised Pre-training for X-ray Angiogram Analysis},
  author  = {Huang, De-Xing and others},
  journal = {arXiv preprint arXiv:2602.11536},
  year    = {2026}
}
""",
}


def shown_cards(leaderboard: Leaderboard) -> dict[str, MethodCard]:
    """Method on a board → its card, in the order of the boards; without those that have none."""
    methods = dict.fromkeys(row.method for board in leaderboard.boards for row in board.rows)
    return {method: card for method in methods if (card := leaderboard.cards.get(method))}


def data_sources(leaderboard: Leaderboard) -> dict[str, DataSource]:
    """Dataset of a column, or of a pre-training → where it is from, as far as that is known."""
    boards = leaderboard.boards
    used = dict.fromkeys(base for board in boards for c in board.columns for base in c.bases)
    used |= dict.fromkeys(row.pretraining for board in boards for row in board.rows)
    return {name: DATA_SOURCES[name] for name in used if name in DATA_SOURCES}


def sources_section(leaderboard: Leaderboard) -> Section | None:
    """Papers, code and licences of methods and data, as tables; None without any."""
    cards, data = shown_cards(leaderboard), data_sources(leaderboard)
    links = {m: (card.paper_url, card.code, card.licence) for m, card in cards.items()}
    methods = [
        (card.title, method, card.paper, *(text or "—" for text in links[method]))
        for method, card in cards.items()
    ]
    heads = ("Method", "Id", "Paper", "Link", "Code", "Licence of the weights")
    grids = [_grid("Methods", heads, methods)] if any(map(any, links.values())) else []
    if data:
        grids.append(_grid("Data", ("Dataset", "Link", "Licence"), data.values()))
    return Section("Sources", None, tuple(grids)) if grids else None


def _grid(heading: str, heads: tuple[str, ...], lines: Iterable[Iterable[str]]) -> Grid:
    return Grid(heading, heads, len(heads), tuple(tuple(map(Entry, line)) for line in lines))


def citation(leaderboard: Leaderboard) -> str:
    """BibTeX of the leaderboard, if it has records, and of the papers that declare its protocol.

    The entry names what it cites: protocol, numbers of runs, methods and datasets, the day of the
    newest record, and a hash of the runs and their scores.
    """
    published = leaderboard.protocol == PUBLISHED
    papers = [text for name, text in PAPERS.items() if published or name == leaderboard.protocol]
    return "\n".join([*([] if published else [_entry(leaderboard)]), *papers])


def _entry(leaderboard: Leaderboard) -> str:
    records = leaderboard.records
    methods = len({record.method for record in records})
    datasets = len({record.dataset for record in records})
    lines = sorted(map(_digest_line, records))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    sizes = f"{_count(len(records), 'run')} of {_count(methods, 'method')} on "
    sizes += _count(datasets, "dataset")
    newest = leaderboard.newest
    note = f"protocol {leaderboard.protocol}, {sizes}, newest of {newest}, records {digest}"
    return (
        f"@misc{{leaderboard_{_key(leaderboard.protocol)},\n"
        f"  title = {{{_escaped(leaderboard.title)}}},\n"
        f"  year  = {{{newest[:4]}}},\n"
        f"  note  = {{{_escaped(note)}}}\n"
        "}\n"
    )


def _digest_line(record: RunRecord) -> str:
    """What identifies a run, and its scores."""
    scores = sorted((name, metric.value) for name, metric in record.metrics.items())
    return f"{path_of(record).as_posix()} {record.config_hash} {record.finished} {scores}"


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'s' * (number != 1)}"


def _key(text: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in text)


def _escaped(text: str) -> str:
    """Text of a BibTeX field, which is LaTeX in a pair of braces."""
    symbols = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: symbols.get(found[0], rf"\{found[0]}"), text)
