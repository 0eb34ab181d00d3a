"""Costs are read back as they were written, with the speeds measured beside them."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.method_costs import (
    MeasuredSpeed,
    MethodCosts,
    methods_with_costs,
    read_costs,
    read_measured_speeds,
    write_costs,
)

_HEAD = (
    "method,step_ms,relative_to_mae,images_per_s,parameters_m,peak_memory_mb,scale,batch,device,"
    "threads,precision,torch,command\n"
)


@pytest.fixture(name="configs")
def _configs(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "docs" / "benchmarks").mkdir(parents=True)
    return tmp_path / "configs"


def _write_speeds(configs, name, *rows):
    path = configs.parent / "docs" / "benchmarks" / name
    path.write_text(_HEAD + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_table_is_read_back(configs):
    costs = {
        "b": MethodCosts(7),
        "a": MethodCosts(),
        "c": MethodCosts(7, 9, 10, 100, 200, 150, 140),
    }
    path = write_costs(costs, configs)
    assert read_costs(configs) == costs
    assert path.read_text() == (
        "method,network,trained,total,network_flops,step_flops,layer_flops,papers_flops\n"
        "a,,,,,,,\nb,7,,,,,,\nc,7,9,10,100,200,150,140\n"
    )


def test_a_table_without_the_papers_flops_is_read(configs):
    (configs / "costs.csv").write_text(
        "method,network,trained,total,network_flops,step_flops,layer_flops\na,7,,,100,200,150\n"
    )
    assert read_costs(configs) == {"a": MethodCosts(7, None, None, 100, 200, 150)}


def test_speeds_are_joined_and_the_most_comparable_comes_first(configs):
    write_costs({"vasomim": MethodCosts(7)}, configs)
    end = "1,fp32,2.11.0,tools/bench.py pretrain vasomim"
    _write_speeds(
        configs,
        "pretrain-equal-masks-paper.csv",
        f'vasomim,10,1.10,20.0,1.0,900,paper,2,"AMD EPYC, CPU",{end} '
        "--mae-options method.masking.ratio=0.5 a.b=1 --out docs",
    )
    _write_speeds(
        configs,
        "pretrain-small.csv",
        f'vasomim,10,1.52,13.7,1.0,387,small,16,"AMD EPYC, CPU",{end} --threads 1',
        f"vasomim,1,1.30,500.0,1.0,9000,paper,256,NVIDIA H200,{end.replace('fp32', 'bf16')}",
    )
    speeds = read_costs(configs)["vasomim"].measured
    assert speeds[0] == MeasuredSpeed(500, 1.3, "", 9000, "paper", 256, "NVIDIA H200", 1, "bf16")
    assert speeds[0].conditions == "NVIDIA H200, scale paper, batch 256, bf16"
    assert [speed.relative_to_mae for speed in speeds] == [1.30, 1.52, 1.10]
    assert speeds[2].mae_options == "method.masking.ratio=0.5 a.b=1"
    assert speeds[2].conditions == (
        "AMD EPYC, CPU (1 thread), scale paper, batch 2, fp32, "
        "MAE with method.masking.ratio=0.5 a.b=1"
    )


def test_the_tables_of_this_repository_hold_speeds_of_mae():
    speeds = read_costs()["mae"].measured
    assert {speed.relative_to_mae for speed in speeds} == {1.0}


def test_without_tables_nothing_is_known(tmp_path):
    assert read_costs(tmp_path / "configs") == {}


def test_analyses_come_after_the_methods():
    names = methods_with_costs()
    first = names.index("analysis-components_guidance")
    assert "vasomim" in names[:first]
    assert all(name.startswith("analysis-") for name in names[first:])


@pytest.mark.parametrize("text", ["method,network\nmae,7\n", "method,network,trained\nmae,many,\n"])
def test_another_table_is_refused(configs, text):
    (configs / "costs.csv").write_text(text)
    with pytest.raises(InputError, match=r"costs\.csv: not a table of costs"):
        read_costs(configs)


def test_another_table_of_speeds_is_refused(configs):
    path = _write_speeds(configs, "pretrain-small.csv", "mae,fast")
    with pytest.raises(InputError, match=r"pretrain-small\.csv: not a table of speeds"):
        read_measured_speeds(path.parent)
