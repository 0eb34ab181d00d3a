"""The reference of the measurement is the same network, and the rows say how far they agree."""

from __future__ import annotations

import pytest
import torch

from benchmark.anatomy.unext import UNeXt
from benchmark.errors import InputError
from benchmark.speed.segmentor import bench_segmentor, layer_by_layer


def test_layer_by_layer_is_the_network():
    torch.manual_seed(0)
    network = UNeXt()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    network = network.double().eval()
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    torch.testing.assert_close(layer_by_layer(network, images), network(images), rtol=0, atol=1e-12)


def test_rows():
    there, back = bench_segmentor(batch=2, view=64, repeats=1)
    assert there["what"].startswith("segmentor S(I), 2 frames 64x64, 1 thread(s), processor time")
    assert float(there["agreement_min"]) > 0.999
    assert float(back["agreement_mean"]) > 0.9
    with pytest.raises(InputError, match="--view 40"):
        bench_segmentor(view=40)
