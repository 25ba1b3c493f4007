"""Sampled metrics against exhaustive ones, where both can be had."""

from __future__ import annotations

import pytest

from hdl.errors import InputError
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable
from hdl.tables.sampled_metrics import sampled_error_metrics
from hdl.yosys.gate_netlist import gates


@pytest.mark.parametrize(
    "text",
    [
        "drum:k=4",
        "bam:h=2,v=6,comp=40",
        "mitchell:signed=1",
        "am1:m=6",
        "exact",
        "drum:k=3,width=8x5",
        "bam:h=1,v=4,width=5x7,signed=1",
    ],
)
def test_intervals_hold_the_exhaustive_values(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    whole = error_metrics(ProductTable.of(spec)).to_json()
    circuit = gates(rtlil(spec))
    outside = total = 0
    for seed in range(10):
        sampled = sampled_error_metrics(circuit, signed=spec.signed, samples=20_000, seed=seed)
        assert sampled.zero_error == whole["zero_error"]
        assert sampled.wce_at_least <= whole["wce"]
        assert sampled.wcre_at_least_pct <= whole["wcre_pct"] + 1e-9
        for name, (low, high) in sampled.confidence.items():
            total += 1
            outside += not low - 1e-9 <= whole[name] <= high + 1e-9
            assert low - 1e-9 <= getattr(sampled, name) <= high + 1e-9, name
    # 5 % fall outside by chance; metrics of one sample go together.
    assert outside <= 0.2 * total


def test_published_mean_of_16_bit_drum() -> None:
    # Hashemi, Bahar, Reda, ICCAD 2015, Table I: DRUM6 has a mean relative error of 1.47 %.
    spec = MultiplierSpec.parse("drum:k=6,width=16")
    sampled = sampled_error_metrics(gates(rtlil(spec)), signed=False, samples=1 << 20)
    low, high = sampled.confidence["mred_pct"]
    assert low - 0.005 < 1.47 < high + 0.005
    assert high - low < 0.01
    assert sampled.to_json()["distribution"] == "uniform, 1048576 random operand pairs"


def test_too_few_samples_are_refused() -> None:
    circuit = gates(rtlil(MultiplierSpec.parse("exact:width=4")))
    with pytest.raises(
        InputError, match="999 samples say too little of operands of 4 bits; take 1000 or more"
    ):
        sampled_error_metrics(circuit, signed=False, samples=999)
