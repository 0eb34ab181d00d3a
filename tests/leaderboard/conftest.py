"""Records and boards that the tests of the leaderboard share."""

import pytest
from record_values import make_record

from benchmark.results import RunRecord
from benchmark.results.store import scan_results
from leaderboard.build import build_leaderboard

TITLES = {"mae": "MAE", "vasomim": "VasoMIM", "simmim": "SimMIM", "frangi": "Frangi filter"}
MAE = [79.2, 79.4, 79.6, 79.3, 79.5]
VASO = [80.1, 80.2, 80.4, 80.3, 80.0]


#: Fields of a record that are numbers, unlike metrics.
FIELDS = ("wall_time_s", "images_per_s", "peak_memory_mb")


def run(method: str, dataset: str, seed: int, **given: object) -> RunRecord:
    """A valid record; other floats than `FIELDS` are metrics, the rest are fields of the record.

    `version`, `higher_is_better` and `lower_is_better` (names) go into its metrics.
    """
    version = given.pop("version", "v1")
    higher = given.pop("higher_is_better", True)
    lower = given.pop("lower_is_better", ())
    names = [n for n, value in given.items() if isinstance(value, float) and n not in FIELDS]
    metrics = {
        name: {
            "value": given.pop(name),
            "definition": f"{name}/per-image-mean/{version}",
            "higher_is_better": higher and name not in lower,
        }
        for name in names
    }
    about = {
        "title": TITLES.get(method, method),
        "split_hash": f"split of {dataset}",
        "n_images": 300,
        "seeds": {"init": seed},
    }
    if method == "frangi":
        about |= {"family": "classical", "pretraining": "—"}
    ids = {"method": method, "dataset": dataset, "seed": seed}
    return make_record(metrics=metrics, **ids, **{**about, **given})


def three_rows() -> list[RunRecord]:
    """Three complete rows on two datasets; the filter is deterministic."""
    records = []
    for seed, (mae, vaso) in enumerate(zip(MAE, VASO)):
        records += [
            run("mae", "arcade_v", seed, dsc=mae, cldice=mae + 1.5),
            run("vasomim", "arcade_v", seed, dsc=vaso, cldice=mae + 1.6 - seed / 10),
            run("frangi", "arcade_v", seed, dsc=41.3, cldice=40.91),
            run("mae", "xcav", seed, dsc=84.0 + seed),
            run("vasomim", "xcav", seed, dsc=84.0 + seed),
            run("frangi", "xcav", seed, dsc=58.46),
        ]
    return records


def detections(methods: dict[str, float]) -> list[RunRecord]:
    """Three seeds of stenosis detection; `methods` maps ids to mAP50."""
    return [
        run(m, "stenosis", seed, task="detection", map50=score + seed / 10, map=score / 2 + seed)
        for m, score in methods.items()
        for seed in range(3)
    ]


@pytest.fixture(scope="session")
def make_run():
    return run


@pytest.fixture
def records():
    return three_rows()


@pytest.fixture(scope="session")
def make_detections():
    return detections


@pytest.fixture(scope="session")
def build():
    """`build_leaderboard` against MAE, of the protocol journal unless another is given."""

    def built(records, reference="mae", protocol="journal", **options):
        return build_leaderboard(records, reference, protocol, **options)

    return built


@pytest.fixture(scope="session")
def build_folder():
    """The leaderboard of the results below a folder, and the files of its records."""

    def built(folder):
        results = scan_results(folder)
        return build_leaderboard(list(results.records.values()), "mae", "journal"), results.paths

    return built


@pytest.fixture(scope="session")
def mae_scores():
    return MAE


@pytest.fixture(scope="session")
def vaso_scores():
    return VASO


#: Method → level of its scores after fine-tuning, and with frozen features.
LEVELS = {"mae": (75.0, 60.0), "vasomim": (77.0, 63.0), "simmim": (74.0, 61.0)}
CORRUPTIONS = ("quantum_noise", "jpeg")


def evaluations(datasets: tuple[str, ...] = ("xcav", "dca1"), seeds: int = 3) -> list[RunRecord]:
    """Three methods in every evaluation on these datasets, and TransUNet fine-tuned on them.

    Level of a method plus 0, 2, 4 … for the datasets plus a tenth of the seed; on a transfer 10
    less, with N images 20 less plus N, and with a severity of corruption so much less.
    """
    records = []
    for method, (tuned, frozen) in {**LEVELS, "transunet": (73.0, None)}.items():
        for seed in range(seeds):
            records += _fine_tuned(method, tuned + seed / 10, datasets, seed)
            if frozen is not None:
                records += _frozen(method, frozen + seed / 10, datasets, seed)
    return records


def _fine_tuned(method: str, level: float, datasets: tuple[str, ...], seed: int) -> list[RunRecord]:
    records = []
    for place, dataset in enumerate(datasets):
        dsc = level + 2 * place
        records.append(run(method, dataset, seed, dsc=dsc, cldice=dsc + 1))
        sizes = {"parameters": 98_000_000, "trained_parameters": 12_345_678}
        records.append(run(method, f"{dataset}-lora", seed, dsc=dsc - 1, **sizes))
        few = {f"{dataset}-{count}images": dsc - 20 + count for count in (1, 5)}
        records += [run(method, name, seed, dsc=value) for name, value in few.items()]
        for other in datasets:
            if other != dataset:
                split = {"split_hash": f"split of {other}"}
                records.append(run(method, f"{dataset}-to-{other}", seed, dsc=dsc - 10, **split))
        single = {"dsc_clean": dsc, "ece_clean": 2.5} | {
            f"dsc_{name}": dsc - 3 for name in CORRUPTIONS
        }
        single |= {f"dsc_{n}_{s}": dsc - s for n in CORRUPTIONS for s in range(1, 6)}
        shown = {"relative_dsc": 100 - 300 / dsc, "dsc": dsc - 3, "ece": 3.0 + seed, "brier": 4.0}
        lower = {"lower_is_better": ("ece", "brier")}
        record = run(method, f"{dataset}-corruptions", seed, **shown, **single, **lower)
        for name in single:
            record.metrics[name] = record.metrics[name].model_copy(update={"headline": False})
        records.append(record)
    return records


def _frozen(method: str, level: float, datasets: tuple[str, ...], seed: int) -> list[RunRecord]:
    records = []
    for place, dataset in enumerate(datasets):
        dsc = level + 2 * place
        records.append(run(method, f"{dataset}-linear", seed, dsc=dsc, cldice=dsc + 1))
        records.append(run(method, f"{dataset}-knn", seed, patch_ap=dsc, patch_dsc=dsc - 9))
        records.append(run(method, f"{dataset}-5images-linear", seed, dsc=dsc - 15))
        records.append(run(method, f"{dataset}-10pct-linear", seed, dsc=dsc - 12))
    return records


@pytest.fixture(scope="session")
def make_evaluations():
    return evaluations
