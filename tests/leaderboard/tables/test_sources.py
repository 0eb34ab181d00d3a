import re
import time
from dataclasses import replace
from pathlib import Path

from benchmark.method_cards import read_method_card, read_method_cards
from leaderboard.build import published_leaderboard
from leaderboard.data import board_data
from leaderboard.published import read_tables
from leaderboard.tables.markdown import to_markdown
from leaderboard.tables.sources import DATA_SOURCES, PAPERS, citation

README = Path(__file__).parents[3] / "README.md"


def cards():
    return {card.method: card for card in read_method_cards()}


def test_links_and_licences_are_those_of_the_cards(build, records):
    leaderboard = build(records, cards=cards())
    text = to_markdown(leaderboard)
    card = read_method_card("mae")
    assert f"| MAE | mae | {card.paper} | {card.paper_url} | {card.code} | — |" in text
    paper = read_method_card("frangi").paper
    assert f"| Frangi filter | frangi | {paper} | — | — | — |\n" in text
    assert "| ARCADE-V | https://zenodo.org/records/10390295 | CC0 1.0, as a mirror" in text
    data = board_data(leaderboard)
    assert data["methods"]["mae"] == {
        **{"paper": card.paper, "paper_url": card.paper_url, "code": card.code, "licence": ""}
    }
    # Only what is on the boards.
    assert data["methods"].keys() == {"mae", "vasomim", "frangi"}
    assert data["data"].keys() == {"arcade_v", "xcav", "XA-170K"}


def test_published_tables_have_them_too():
    leaderboard = published_leaderboard(read_tables(), cards=cards())
    text = to_markdown(leaderboard)
    assert "| LVM-Med | lvm_med |" in text
    assert "| CC BY-NC-ND 2.0 |" in text
    # There is no board of records to cite.
    assert citation(leaderboard) == "\n".join(PAPERS.values())
    assert "newest record" not in text


def test_every_link_is_a_web_page():
    links = [link for card in cards().values() for link in (card.paper_url, card.code) if link]
    links += [source.url for source in DATA_SOURCES.values()]
    assert len(links) > 50
    assert [link for link in links if not re.fullmatch(r"https?://[\w./~:-]+", link)] == []


def test_the_papers_are_those_of_the_readme():
    text = " ".join(README.read_text(encoding="utf-8").split())
    assert all(" ".join(paper.split()) in text for paper in PAPERS.values())


def test_the_newest_record_is_found_by_time_and_not_by_text(build, records, monkeypatch):
    late = records[0].model_copy(update={"finished": "2025-02-01T23:30:00-05:00"})
    early = records[1].model_copy(update={"finished": "2025-02-02T01:00:00+09:00"})
    given = [late, early, *records[2:]]
    leaderboard = build(given)
    assert leaderboard.newest == "2025-02-02"
    assert "newest record: 2025-02-02" in to_markdown(leaderboard)
    assert build([early, *records[2:]]).newest == "2025-02-01"
    # Without a zone, wherever the board is built.
    plain = records[0].model_copy(update={"finished": "2025-03-01T23:30:00"})
    try:
        for zone in ("Asia/Tokyo", "America/New_York"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert build([plain, *records[1:]]).newest == "2025-03-01"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_citation_names_what_it_cites(build, records):
    leaderboard = build(records, title="50 % of {X}_1 & Y")
    text = citation(leaderboard)
    assert text.startswith("@misc{leaderboard_journal,\n")
    assert r"  title = {50 \% of \{X\}\_1 \& Y}," in text
    assert f"{len(records)} runs of 3 methods on 2 datasets" in text
    assert PAPERS["journal"] in text
    assert PAPERS["aaai"] not in text
    assert f"```bibtex\n{text}```" in to_markdown(leaderboard)
    # Equal records, equal citation; another record or score, another one.
    assert citation(build(records[::-1], title="50 % of {X}_1 & Y")) == text
    other = [records[0].model_copy(update={"finished": "2025-01-01T00:00:00Z"}), *records[1:]]
    assert citation(build(other, title="50 % of {X}_1 & Y")) != text
    scores = {
        name: metric.model_copy(update={"value": metric.value + 1e-9})
        for name, metric in records[0].metrics.items()
    }
    other = [records[0].model_copy(update={"metrics": scores}), *records[1:]]
    assert citation(build(other, title="50 % of {X}_1 & Y")) != text
    assert citation(replace(leaderboard, protocol="demo")).count("@") == 1
