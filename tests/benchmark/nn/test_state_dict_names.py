"""Names of official checkpoints to ours."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.nn.state_dict_names import ENCODER_NAMES, translate


def test_first_matching_prefix_rule_applies() -> None:
    rules = ((r"norm\.2\.", "last."), *ENCODER_NAMES, (r"fixed\.", None))
    assert translate("norm.2.weight", rules) == "last.weight"
    assert translate("norm.1.weight", rules) == "encoder.norm.1.weight"
    assert translate("blocks.11.norm1.bias", rules) == "encoder.blocks.11.norm1.bias"
    assert translate("cls_token", rules) == "encoder.cls_token"
    assert translate("fixed.blocks.0", rules) is None


def test_unknown_names_are_errors() -> None:
    with pytest.raises(InputError, match=r"no rule for the name 'head\.weight'"):
        translate("head.weight", ENCODER_NAMES)
