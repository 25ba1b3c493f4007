"""What measures further designs as a run's own are verified."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_exploration import make_exploration, realistic_points
from small_run import ENCODING, NETWORK, write_images

import dse
from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from dse.engine.request import Search, record_search
from dse.search.budget import Budget
from hdl.errors import InputError
from hdl.multipliers import MultiplierSpec


def test_further_designs_are_measured_on_the_images_that_verify(tmp_path: Path) -> None:
    data = write_images(tmp_path / "images")
    folder = tmp_path / "run"
    folder.mkdir()
    learning = Search(NETWORK, (ENCODING,), Budget.parse("area"), recalibrate=4, data=data)
    record_search(learning, folder)
    run = dse.Run(folder, make_exploration(realistic_points(5)), folder / "report.html")
    trained = zoo.zoo_network(NETWORK)
    judging = ImageRoles.of(load_dataset(data, image_px=trained.image_px)).judging
    # A search learns from half of so few images.
    assert run.emulator(data).images == len(judging) - len(judging) // 2
    found = run.emulator(data, images=6, skip=5).measure(
        MultiplierSpec.parse("tm:k=4,width=8x7"), ENCODING
    )
    truth = zoo.ground_truth(trained, ENCODING, ImageRoles.of(load_dataset(data)))
    table = MultiplierSpec.parse("tm:k=4,width=8x7").table()
    assert found.top1_pct == truth.measure(table, judging.part(5, 11)).top1_pct
    with pytest.raises(InputError, match=r"--skip 5000 leaves none of the \d+ judging images"):
        run.emulator(data, skip=5000)
    with pytest.raises(InputError, match="is not the network 'resnet8' of the run in"):
        run.emulator(data, network="resnet20")
