import csv
import io
import math

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.tables.long_format import CSV_HEADER, to_csv


def lines(leaderboard):
    found = csv.DictReader(io.StringIO(to_csv(leaderboard)))
    return {(x["board"], x["row"], x["dataset"], x["metric"]): x for x in found}


def test_one_line_per_cell_at_full_precision(build, records, vaso_scores):
    text = to_csv(build(records))
    assert text.splitlines()[0].split(",") == list(CSV_HEADER)
    found = lines(build(records))
    assert len(found) == 9 + 3  # cells, and the average rank of each row
    line = found["segmentation", "vasomim", "arcade_v", "dsc"]
    assert float(line["mean"]) == math.fsum(vaso_scores) / 5
    assert float(line["std"]) == pytest.approx(math.sqrt(0.025), rel=1e-12)
    assert (line["definition"], line["unit"]) == ("dsc/per-image-mean/v1", "%")
    assert (line["reference"], line["verdict"], line["origin"]) == ("mae", "better", "measured")
    average = found["segmentation", "mae", "", "average_rank"]
    assert float(average["mean"]) == pytest.approx(4 / 3)


def test_what_is_undefined_is_empty(build, records, make_run):
    found = lines(build([*records, make_run("simmim", "xcav", 0, dsc=99.0)]))
    assert ("segmentation", "simmim", "arcade_v", "dsc") not in found
    line = found["segmentation", "simmim", "xcav", "dsc"]
    assert (line["seeds"], line["std"], line["rank"]) == ("1", "", "")
    assert (line["difference"], line["p"], line["verdict"]) == ("15.0", "", "n < 2")
    own = found["segmentation", "mae", "xcav", "dsc"]
    assert (own["reference"], own["verdict"]) == ("", "")


def test_published_lines_carry_their_citation():
    found = lines(published_leaderboard(read_tables()))
    line = found["journal-I", "published:journal-I:VasoMIM", "caxf", "cldice"]
    assert (line["mean"], line["std"], line["seeds"], line["rank"]) == ("92.57", "0.12", "5", "1")
    assert line["source"].startswith("Huang et al., VasoMIM, arXiv 2602.11536, 2026, table I")
    assert {x["origin"] for x in found.values()} == {"published"}
