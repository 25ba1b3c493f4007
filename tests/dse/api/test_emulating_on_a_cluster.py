"""Commands that emulate come to the same by the workers of a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from small_run import NETWORK, write_images, write_run

import dse
from dse.api.emulating import emulate_all
from dse.cli import main

pytestmark = pytest.mark.slow

SPECS = ("exact:width=5x4", "exact:width=4x3", "tm:k=1,width=4x3")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as found:
        yield found.scheduler_address


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.mark.parametrize("exact_first_last", [False, True])
def test_designs_are_emulated(address: str, data: Path, exact_first_last: bool) -> None:
    def found(cluster: str) -> list[dict[str, Any]]:
        measured = emulate_all(
            ["tm:k=3,width=8x7", "tm:k=1,width=4x3", "tm:k=3,width=8x7"],
            network=NETWORK,
            data=data,
            images=8,
            exact_first_last=exact_first_last,
            cluster=cluster,
        )
        return [asdict(one) | {"seconds": 0} for one in measured]

    assert found(address) == found("")


def test_assignments_learn_and_are_verified(address: str, data: Path, tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", SPECS)
    other = Path(shutil.copytree(one, tmp_path / "other"))
    asked: dict[str, Any] = {"kinds": 2, "max_drop": 2, "data": data, "recalibrate": 2}
    here, there = (
        dse.assign(run, out=run / "out", verify=1, images=8, cluster=cluster, **asked)
        for run, cluster in ((one, ""), (other, address))
    )
    assert (here.front, here.singles) == (there.front, there.singles)
    assert here.pick.emulated_images == 8
    again = dse.assign(other, out=other / "out", verify=1, images=8, **asked)
    assert again.front == here.front


def test_a_calibration(
    address: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = []
    for folder, cluster in (("here", ()), ("there", ("--cluster", address))):
        options = ("--networks", NETWORK, "--encodings", "sign_magnitude", "--multipliers", "8")
        images = ("--data", str(data), "--images", "8", "--out", folder)
        monkeypatch.setattr("sys.argv", ["dse", "study", *options, *images, *cluster])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        text = (tmp_path / folder / f"{NETWORK}.sign_magnitude.emulated.jsonl").read_text()
        lines.append(sorted(text.splitlines()))
    assert lines[0] == lines[1]
    assert len(lines[0]) > 8
