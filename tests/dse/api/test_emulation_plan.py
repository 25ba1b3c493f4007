"""Which images a run learns from, and which verify it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_run import NETWORK, small_search, write_images

from cnn_eval import zoo
from cnn_eval.datasets import Dataset, ImageRoles
from dse.api.emulation_plan import EmulationPlan, recorded_path
from dse.engine.request import Search
from hdl.errors import InputError


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, Path]:
    """A search that learns from images, and where these are."""
    data = write_images(tmp_path_factory.mktemp("plan") / "images")
    search = replace(small_search(), network=NETWORK, recalibrate=4, data=data)
    return search, data


def planned(
    search: Search, data: Path | None, verify: int = 4, skip: int | None = None
) -> EmulationPlan:
    return EmulationPlan.prepared(search, NETWORK, None, data, verify, 2000, skip)


def learned(plan: EmulationPlan) -> str:
    assert plan.to_learn_from is not None
    return plan.to_learn_from[1].sha256()


def verifying(plan: EmulationPlan) -> Dataset:
    assert plan.roles is not None
    return plan.sample(plan.roles)


def test_a_run_goes_on_learning_from_the_images_it_began_with(
    begun: tuple[Search, Path], tmp_path: Path
) -> None:
    search, data = begun
    first, other = planned(search, data), write_images(tmp_path / "other", seed=1)
    again = planned(search, other)
    assert learned(again) == learned(first)
    judging = ImageRoles.of(zoo.zoo_network(NETWORK).images(other)).judging
    assert verifying(again).sha256() == judging.sha256()
    # The same images under another name verify from behind those that it has learned from.
    moved = planned(search, write_images(tmp_path / "moved"))
    assert moved.start == first.start > again.start == 0
    # Where they are gone, others take their place.
    gone = replace(search, data=tmp_path / "gone")
    assert learned(planned(gone, other)) != learned(first)
    with pytest.raises(InputError, match=f"no data at '{tmp_path}/gone'"):
        planned(gone, None)


def test_a_search_without_images_learns_from_none(begun: tuple[Search, Path]) -> None:
    search, data = begun
    plain = replace(search, recalibrate=0, data=None)
    assert planned(plain, data).to_learn_from is None
    with pytest.raises(InputError, match="--verify 4 needs images; give them with --data PATH"):
        planned(plain, None)
    with pytest.raises(InputError, match="--recalibrate 4 needs images; give them with --data"):
        planned(replace(search, data=None), None, verify=0)


def test_images_that_the_search_knows_are_verified_on_only_when_asked(
    begun: tuple[Search, Path],
) -> None:
    search, data = begun
    plan = planned(search, data)
    assert plan.unseen
    assert [planned(search, data, skip=skip).unseen for skip in (plan.start, plan.start - 1)] == [
        True,
        False,
    ]


def test_a_run_is_of_its_own_network() -> None:
    message = "--network resnet18 is not the network 'resnet20' of the run in 'DIR'; leave it out"
    with pytest.raises(InputError, match=message):
        EmulationPlan.prepared(
            small_search(), "resnet18", None, None, 0, 2000, None, run=Path("DIR")
        )


def test_names_of_data_sets_are_recorded_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recorded_path("digits") == Path("digits")
    write_images(tmp_path / "images")
    assert recorded_path("images") == tmp_path / "images"
