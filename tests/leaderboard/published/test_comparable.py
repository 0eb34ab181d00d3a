"""Which measured numbers the published ones are comparable with."""

from benchmark.downstream.denoising import metrics as denoising
from benchmark.downstream.detection import metrics as detection
from benchmark.downstream.frozen.compose import compose_representation
from benchmark.downstream.representation import analysis
from benchmark.downstream.segmentation import metrics as segmentation
from benchmark.method_cards import CONFIGS
from leaderboard.columns import Column
from leaderboard.published import COMPARABLE, is_comparable, read_tables


def test_every_published_score_has_a_definition():
    for table in read_tables():
        for cells in table.scores.values():
            for column in cells:
                assert not column.score or column.metric in COMPARABLE[table.protocol], column


def test_comparable_definitions_are_those_of_the_tasks(tmp_path):
    """The ids that fine-tuning and the analysis of features write into records."""
    scores = {
        **segmentation.definitions(["vessel"]),
        **detection.DEFINITIONS,
        **denoising.definitions(),
        "arcade_vs/dsc": segmentation.definitions(["1", "2"])["dsc"],
    }
    for protocol, dataset in (("journal", "xcav"), ("aaai", "xcad")):
        config, _ = compose_representation(CONFIGS, "mae", dataset, "paper", [], tmp_path)
        assert config.protocol == protocol
        written = {**scores, **analysis.definitions(config)}
        assert COMPARABLE[protocol].items() <= written.items()


def test_the_dsc_of_several_classes_is_not_that_of_one():
    for dataset, classes in (("arcade_v", ["vessel"]), ("arcade_vs", ["1", "2"])):
        for at in ("native", "network"):
            written = segmentation.definitions(classes, at)["dsc"]
            found = {
                name: is_comparable("journal", Column(name, "dsc", written, True))
                for name in ("arcade_v", "arcade_vs")
            }
            assert found == {name: at == "native" and name == dataset for name in found}
