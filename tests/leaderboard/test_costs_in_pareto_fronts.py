"""The Pareto front against hand-worked cases and its definition, and what boards offer."""

import random

import pytest

from benchmark.method_costs import MeasuredSpeed, MethodCosts
from leaderboard.build import published_leaderboard
from leaderboard.costs import cost_axes, pareto_front
from leaderboard.data import board_data
from leaderboard.published import read_tables


def front(points, **directions):
    return [point for point, on in zip(points, pareto_front(points, **directions)) if on]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(3, 70)], [(3, 70)]),
        # Dearer and worse, dearer and equal, equally dear and worse: all dominated by the first.
        ([(1, 80), (2, 79), (2, 80), (1, 79)], [(1, 80)]),
        # Dearer and better stays, as does cheaper and worse.
        ([(1, 80), (2, 81), (0.5, 60)], [(1, 80), (2, 81), (0.5, 60)]),
        # Two equal points are on the front together, and off it together.
        ([(1, 80), (1, 80), (2, 90)], [(1, 80), (1, 80), (2, 90)]),
        ([(1, 80), (2, 75), (2, 75)], [(1, 80)]),
        # All cost the same: the best alone.
        ([(5, 70), (5, 72), (5, 71)], [(5, 72)]),
        # All score the same: the cheapest alone.
        ([(5, 70), (4, 70), (6, 70)], [(4, 70)]),
    ],
)
def test_front_by_hand(points, expected):
    assert front(points) == expected


def test_directions():
    """Images per second cost less where they are more, and lower ranks are better."""
    points = [(10, 1), (30, 2), (20, 3), (30, 1.5)]
    assert front(points, cost_rises=False) == [(30, 2), (20, 3)]
    assert front(points, cost_rises=False, score_rises=False) == [(10, 1), (30, 1.5)]
    assert front(points, score_rises=False) == [(10, 1)]


@pytest.mark.parametrize("seed", range(40))
def test_front_is_what_its_definition_says(seed):
    """All pairs compared, on coarse grids with many ties and on distinct values."""
    rng = random.Random(seed)
    steps = rng.choice([2, 5, 1000])
    points = [(rng.randrange(steps), rng.randrange(steps)) for _ in range(rng.randrange(1, 60))]
    for cost_rises in (True, False):
        for score_rises in (True, False):

            def no_worse(a, b, cheap=cost_rises, good=score_rises):
                cost = a[0] <= b[0] if cheap else a[0] >= b[0]
                return cost and (a[1] >= b[1] if good else a[1] <= b[1])

            expected = [
                not any(no_worse(other, point) and other != point for other in points)
                for point in points
            ]
            assert pareto_front(points, cost_rises, score_rises) == expected


def speed(rate: float) -> MeasuredSpeed:
    return MeasuredSpeed(rate, 1.0, "", 100.0, "paper", 64, "H200", 1, "bf16")


COSTS = {
    "mae": MethodCosts(network=80, trained=110, step_flops=2 * 10**9, measured=(speed(100.0),)),
    "vasomim": MethodCosts(network=80, trained=111, step_flops=3 * 10**9, measured=(speed(70.0),)),
    "dino": MethodCosts(network=1),
}


def test_axes_are_the_costs_that_differ(build, records):
    """Not the parameters of the network, which are equal, nor those of methods without a row."""
    leaderboard = build(records, costs=COSTS)
    axes = {axis.id: axis for axis in cost_axes(leaderboard.boards[0], leaderboard.costs)}
    assert list(axes) == ["step_gflops", "trained_m", "images_per_s"]
    assert axes["step_gflops"].values == {"mae": 2.0, "vasomim": 3.0}
    assert axes["images_per_s"].higher_is_better
    assert not axes["trained_m"].higher_is_better
    (axis, *_) = board_data(leaderboard)["boards"][0]["cost_axes"]
    assert (axis["id"], axis["title"], axis["unit"]) == ("step_gflops", "Training step", "GFLOPs")
    assert axis["definition"].endswith("counted from the configs")


def test_published_rows_beside_measured_ones_have_no_cost(build, records):
    """Obtained by others: they never meet on one front."""
    leaderboard = build(records, costs=COSTS, published=read_tables())
    board = leaderboard.boards[0]
    published = {row.id for row in board.rows if row.context}
    assert published
    for axis in cost_axes(board, leaderboard.costs):
        assert not published & axis.values.keys()


def test_published_costs_of_a_table_are_its_axes():
    """Table V prints parameters and GFLOPs beside the scores."""
    leaderboard = published_leaderboard(read_tables())
    boards = {board.id: board for board in leaderboard.boards}
    axes = {axis.id: axis for axis in cost_axes(boards["journal-V"], ())}
    assert axes.keys() == {"cost/params_m", "cost/gflops"}
    by_title = {row.id: row.title for row in boards["journal-V"].rows}
    values = {by_title[row]: value for row, value in axes["cost/gflops"].values.items()}
    assert (values["None"], values["LPIPS"]) == (19.01, 80.45)
    assert cost_axes(boards["journal-I"], ()) == []
