"""Two folders of results: what moved between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from record_values import make_record, metric
from scipy import stats

from leaderboard.compare.reruns import Rerun, compare_reruns, describe, moved_p
from leaderboard.statistics import Summary

OLD = (80.0, 81.0, 79.5, 80.5, 80.2)


def runs(values, method="mae", first=0, definition="dsc/v1", **changes):
    return [
        make_record(
            method=method,
            seed=first + k,
            metrics={
                "dsc": metric(value, definition),
                "pooled": metric(k, "pooled/v1", headline=False),
            },
            **changes,
        )
        for k, value in enumerate(values)
    ]


def only(before, after) -> Rerun:
    (rerun,) = compare_reruns(before, after)
    return rerun


def test_several_seeds_are_held_against_their_spread():
    new = (82.0, 82.5, 81.9, 82.2, 82.8)
    expected = stats.ttest_ind(OLD, new, equal_var=False).pvalue
    rerun = only(runs(OLD), runs(new))
    assert rerun.p == pytest.approx(expected, rel=1e-12)
    assert rerun.state == "moved"
    assert rerun.difference == pytest.approx(sum(new) / 5 - sum(OLD) / 5)
    assert only(runs(OLD), runs(OLD[::-1])).state == "within noise"


@pytest.mark.parametrize(("single", "state"), [(80.9, "within noise"), (84.0, "moved")])
def test_a_single_run_is_held_against_the_spread_of_the_others(single, state):
    expected = stats.ttest_ind(OLD, [single], equal_var=True).pvalue
    assert moved_p(OLD, [single]) == pytest.approx(expected, rel=1e-12)
    assert moved_p([single], OLD) == pytest.approx(expected, rel=1e-12)
    assert only(runs(OLD), runs([single])).state == state


def test_equal_values_of_the_common_seeds_are_equal():
    assert only(runs(OLD), runs(OLD)).state == "equal"
    assert only(runs(OLD), runs(OLD[1:2], first=1)).state == "equal"
    # No common seed: nothing was repeated exactly.
    assert only(runs(OLD[:3]), runs(OLD[:3], first=3)).state == "within noise"


def test_other_settings_are_named_also_without_common_seeds():
    def configured(first, **settings):
        made = runs(OLD[:3], first=first)
        return [
            run.model_copy(update={"config": {**settings, "seed": run.seed}, "config_hash": f"{k}"})
            for k, run in enumerate(made, first)
        ]

    one = configured(0, epochs=1)
    assert only(one, configured(3, epochs=2)).origin == ("settings",)
    assert only(one, configured(3, epochs=1)).origin == ()
    assert only(one, runs(OLD[:3], first=3, split_hash="other")).origin[1:] == ("split",)


def test_rounding_is_no_spread():
    assert moved_p([70.0, 70.0 + 1e-14, 70.0 + 2e-14], [71.0]) is None


def test_without_a_spread_nothing_is_claimed():
    assert only(runs([80.0]), runs([81.0])).state == "noise unknown"
    assert only(runs([80.0, 80.0]), runs([81.0])).state == "noise unknown"


def test_p_values_are_corrected_over_the_cells_that_differ():
    new = tuple(value + 1.1 for value in OLD[::-1])
    raw = stats.ttest_ind(OLD, new, equal_var=False).pvalue
    assert 0.01 < raw < 0.05
    others = ("dino", "hpm", "simmim", "spt")
    before = [run for method in ("mae", *others) for run in runs(OLD, method)]
    same = [run for method in others for run in runs(OLD, method)]
    alone = {r.place[1]: r for r in compare_reruns(before, [*runs(new), *same])}
    assert alone["mae"].p == pytest.approx(raw, rel=1e-12)
    assert alone["mae"].state == "moved"
    noise = [run for method in others for run in runs(OLD[::-1], method)]
    among = {r.place[1]: r for r in compare_reruns(before, [*runs(new), *noise])}
    assert among["mae"].p == pytest.approx(5 * raw, rel=1e-12)
    assert among["mae"].state == "within noise"


def test_what_cannot_be_compared_is_said():
    assert only(runs(OLD), []).state == "only in A"
    assert only([], runs(OLD)).state == "only in B"
    other = only(runs(OLD), runs(OLD, definition="dsc/v2"))
    assert (other.state, other.difference, other.p) == ("other definition", None, None)


def test_a_row_names_what_else_differs():
    changed = only(runs(OLD), runs(OLD, split_hash="other", config={"lr": 1}, config_hash="c"))
    assert describe(changed) == (
        "journal/mae/arcade_v",
        "dsc",
        "80.24 ± 0.56 (n = 5)",
        "80.24 ± 0.56 (n = 5)",
        "0.00",
        "",
        "equal (settings, split differ)",
    )
    tiny = replace(changed, equal=False, p=1e-9, origin=())
    assert describe(tiny)[-2:] == ("1.0e-09", "within noise")  # 0.00 at the decimals shown
    # Of an index between -1 and 1, four decimals are shown.
    small = replace(
        tiny,
        place=(*tiny.place[:3], "silhouette"),
        before=Summary(0.1234, 0.0002, 5),
        after=Summary(0.1254, 0.0001, 5),
    )
    assert describe(small)[2:] == (
        *("0.1234 ± 0.0002 (n = 5)", "0.1254 ± 0.0001 (n = 5)"),
        *("+0.0020", "1.0e-09", "moved"),
    )
