"""The published tables hold every number that was read from the papers, and no other.

``published_results.csv`` (main tables) and ``published_analyses.csv`` were read from the papers
independently of ``leaderboard/published``. Titles, datasets and units are mapped here, by rule or
by hand; values are compared as decimal numbers, without rounding.
"""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from leaderboard.published import FOLDER

HERE = Path(__file__).parent
MAIN = ("journal-I", "journal-III", "aaai-1", "aaai-S2")

#: Column of a reference file → (dataset, metric, factor of our value).
RENAMED = {
    ("xcav (train)", "silhouette"): ("xcav-patches", "silhouette", "1"),
    ("xcav (train)", "calinski_harabasz_e5"): ("xcav-patches", "calinski_harabasz", "1e5"),
    ("xcav (train)", "davies_bouldin"): ("xcav-patches", "davies_bouldin", "1"),
    ("xcad", "silhouette_e-2"): ("xcad-patches-test", "silhouette", "1e-2"),
    ("xcad", "calinski_harabasz"): ("xcad-patches-test", "calinski_harabasz", "1"),
    ("xcad", "davies_bouldin"): ("xcad-patches-test", "davies_bouldin", "1"),
    ("denoising", "psnr_db"): ("denoising", "psnr", "1"),
    ("denoising", "ssim"): ("denoising", "ssim", "100"),
}
OBJECTIVES = {
    "none": "None",
    **{name: f"Distillation from {name}" for name in ("DINO", "CLIP", "DINOv3")},
    "EMA": "Distillation from an EMA teacher",
    "Contextual": "Contextual loss",
}
COMPONENTS = {
    "none": "None",
    "L_cons": "L_cons alone",
    "guidance": "Guidance alone",
    "guidance + L_cons": "Both",
}
#: Table → title there → title here, where they differ by more than `plain` undoes.
TITLES = {
    "journal-IV": COMPONENTS,
    "journal-V": OBJECTIVES,
    "journal-VI": OBJECTIVES,
    "journal-VII": {
        "Frangi filter": "Extracted vessels",
        "co-guidance": "Both",
        "co-guidance, uniform among vessel patches": "Both, uniform among vessel patches",
    },
    "journal-X": {f"Frangi, alpha {n}": f"Frangi filter, α = {n}" for n in (50, 80, 92)},
    "aaai-2": COMPONENTS,
    "aaai-6": {"UNet from scratch": "UNet", "VasoMIM": "VasoMIM-v1"},
    "aaai-fig6": {"MIM (VasoMIM)": "VasoMIM-v1"},
    "aaai-fig7": {"VasoMIM, 300 epochs": "VasoMIM-v1, 300 epochs"},
    "aaai-S2": {"LSF (non-local means)": "NLM", "VasoMIM": "VasoMIM-v1"},
    "aaai-S4": {"joint": "Trained jointly", "in advance": "Pre-trained"},
    "aaai-S5": {"L_w-rec (total: L_rec + L_w-rec)": "L_w-rec"},
    "aaai-S6": {"cross entropy": "Cross-entropy"},
    "aaai-S7": {
        **{f"{n} block{'s' * (n > 1)}": f"Depth {n}" for n in (1, 2, 4, 12)},
        **{name: "Depth 8, width 512" for name in ("8 blocks", "width 512")},
    },
    "aaai-S8": {"VasoMIM": "VasoMIM-v1"},
}
#: Cells that these tables quote from the main table of the paper, to complete a curve.
QUOTED = {
    ("journal-fig6", "MAE", "arcade_v", "dsc"),
    ("journal-fig6", "VasoMIM", "arcade_v", "dsc"),
    ("journal-fig6", "VasoMIM-v1", "arcade_v", "dsc"),
    ("aaai-fig7", "VasoMIM-v1, 800 epochs", "caxf", "dsc"),
}


def plain(title):
    """A title without the difference of spelling between the two sides."""
    return title.replace("->", "→").replace("alpha ", "α = ").casefold().replace(",", "")


def read(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def ours(names):
    """(table, title, dataset, metric) → line, of our tables."""
    return {
        (name, line["title"], line["dataset"], line["metric"]): line
        for name in names
        for line in read(FOLDER / f"{name}.csv")
    }


def expected_analyses():
    """(table, plain title, dataset, metric) → mean and std as text, of the reference."""
    cells = {}
    for line in read(HERE / "published_analyses.csv"):
        table = f"{line['paper']}-{line['table'].replace(' ', '')}"
        title, dataset, metric = line["row"], line["dataset"], line["metric"]
        if title.endswith("% of the labels"):
            title, _, share = title.removesuffix(" % of the labels").rpartition(", ")
            dataset += "" if share == "100" else f"-{share}pct"
        title = TITLES.get(table, {}).get(title, title)
        if not dataset:
            dataset = "images" if metric.endswith("_images") else "cost"
        dataset, metric, factor = RENAMED.get((dataset, metric), (dataset, metric, "1"))
        key = (table, plain(title), dataset, metric)
        value = (Decimal(line["mean"]) * Decimal(factor), line["std"])
        # Table S7 prints the standard decoder twice.
        assert cells.setdefault(key, value) == value, key
    return cells


def test_every_number_of_the_analyses_is_there_and_no_other():
    names = sorted(path.stem for path in FOLDER.glob("*.csv") if path.stem not in MAIN[:3])
    found = {(t, plain(title), *rest): line for (t, title, *rest), line in ours(names).items()}
    expected = expected_analyses()
    quoted = {(table, plain(title), *rest) for table, title, *rest in QUOTED}
    assert found.keys() - expected.keys() == quoted
    assert expected.keys() - found.keys() == set()
    assert len(expected) > 250
    for key, (mean, std) in expected.items():
        line = found[key]
        assert Decimal(line["mean"]) == mean, key
        # A spread that the text around a figure does not repeat is that of the main table.
        if std or key[0] not in ("journal-fig6", "aaai-fig7"):
            assert (line["std"] and Decimal(line["std"])) == (std and Decimal(std)), key


def test_quoted_numbers_are_those_of_the_main_tables():
    main = ours(MAIN)
    by_method = {
        (table, line["method"], line["dataset"], line["metric"]): (line["mean"], line["std"])
        for (table, *_), line in main.items()
    }
    analyses = ours(["journal-fig6", "aaai-fig7"])
    checked = 0
    for (table, _, dataset, metric), line in analyses.items():
        paper = "journal-I" if table.startswith("journal") else "aaai-1"
        if (printed := by_method.get((paper, line["method"], dataset, metric))) is not None:
            assert (line["mean"], line["std"]) == printed
            checked += 1
    assert checked == len(QUOTED) + 2


@pytest.mark.parametrize("name", MAIN)
def test_every_number_of_the_main_tables_is_there_and_no_other(name):
    titles = {"VasoMIM": "VasoMIM-v1"} if name.startswith("aaai") else {}
    expected = {
        (titles.get(line["method"], line["method"]), line["dataset"], line["metric"]): line
        for line in read(HERE / "published_results.csv")
        if line["table"] == name
    }
    found = {key[1:]: line for key, line in ours([name]).items()}
    assert found.keys() == expected.keys()
    for key, line in found.items():
        factor = 100 if key[2] == "ssim" else 1
        for field in ("mean", "std"):
            given = expected[key][field]
            value = given and Decimal(given) * factor
            assert (line[field] and Decimal(line[field])) == value, key
        assert (line["n"] or "") == expected[key]["seeds"], key
