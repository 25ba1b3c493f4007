"""Names of multipliers: what is read, what is written, what is refused and with which words."""

from __future__ import annotations

import pytest
from family_checks import example, specs
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.errors import InputError
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec, SpecError


@settings(deadline=None, max_examples=400)
@given(specs(), st.booleans())
def test_texts_read_back(spec: MultiplierSpec, swapped: bool) -> None:
    if swapped:
        spec = spec.exchanged()
    text = str(spec)
    assert MultiplierSpec.parse(text) == spec
    for made in (MultiplierSpec.make, MultiplierSpec.nearest):
        assert (
            made(
                spec.family,
                width=spec.widths,
                signed=spec.signed,
                swapped=swapped,
                **dict(spec.parameters),
            )
            == spec
        )
    assert text.isascii()
    assert not set(text) & set(" \t\n\"'")


@settings(deadline=None)
@given(specs(width=8))
def test_texts_of_parts_read_back(spec: MultiplierSpec) -> None:
    assert MultiplierSpec.parse_part(spec.part_text(), 8) == spec


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_complete_and_ordered(family: str) -> None:
    spec = example(family)
    assert [name for name, _ in spec.parameters] == [
        parameter.name for parameter in FAMILIES[family].parameters
    ]
    assert str(spec).partition(":")[0] == family


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("exact", "exact"),
        (" exact:tree=dadda , width=8,signed=0", "exact"),
        ("exact:signed=1,width=6,tree=array", "exact:tree=array,width=6,signed=1"),
        ("exact:width=6x6", "exact:width=6"),
        ("exact:width=8x8", "exact"),
        ("bam:width=8x05,v=6,h=4,swap=0", "bam:h=4,v=6,width=8x5"),
        ("bam:width=8x5,v=6,h=7,swap=1", "bam:h=7,v=6,width=8x5,swap=1"),
        ("exact:swap=1,kind=booth,signed=1", "exact:kind=booth,signed=1,swap=1"),
        ("mitchell:swap=0", "mitchell"),
        ("drum:k=04", "drum:k=4"),
        ("bam:v=6,h=0,comp=0", "bam:h=0,v=6"),
        ("mask:bits=00FF", "mask:bits=ff"),
        ("recursive:ll=drum[tree=array,k=3],hh=exact", "recursive:ll=drum[k=3,tree=array]"),
        (
            "recursive:width=16,ll=recursive[ll=udm,lh=drum[k=3],loa=2],loa=1,signed=1",
            "recursive:ll=recursive[lh=drum[k=3],ll=udm,loa=2],loa=1,width=16,signed=1",
        ),
    ],
)
def test_canonical_texts(text: str, canonical: str) -> None:
    assert str(MultiplierSpec.parse(text)) == canonical


def test_values() -> None:
    spec = MultiplierSpec.parse("bam:h=1,v=6,width=10,signed=1")
    assert (spec.family, spec.widths, spec.signed) == ("bam", (10, 10), True)
    assert (spec.integer("h"), spec.integer("v"), spec.choice("tree")) == (1, 6, "dadda")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "drun:k=4",
            "no multiplier family is called 'drun'; did you mean 'drum'? there are exact, ",
        ),
        ("", "no multiplier family is called ''; there are exact, "),
        ("drum", "'drum': k is missing; write drum:k=3..7,[tree=array|wallace|dadda|serial]"),
        ("drum:", "'drum:': '' is not key=value; write drum:k=3..7,"),
        ("drum:k=4,", "'drum:k=4,': '' is not key=value; write drum:k=3..7,"),
        ("drum:4", "'drum:4': '4' is not key=value; write drum:k=3..7,"),
        ("drum:k=4,k=5", "'drum:k=4,k=5': k comes twice; write drum:k=3..7,"),
        ("drum:k=9", "'drum:k=9': k=9 is not 3..7 at width 8; write drum:k=3..7,"),
        ("drum:k=four", "'drum:k=four': k=four is not 3..7 at width 8; write drum:k=3..7,"),
        ("drum:k=4,bits=3", "'drum:k=4,bits=3': drum has no parameter 'bits'; write drum:k=3..7,"),
        ("drum:k=4,width=99", "'drum:k=4,width=99': drum comes in widths 2..16, not 99"),
        (
            "drum:k=4,width=x",
            (
                "'drum:k=4,width=x': width=x is not a number of bits; write width=6, or width=8x5 "
                "for a's and b's"
            ),
        ),
        (
            "drum:k=4,width=8x",
            (
                "'drum:k=4,width=8x': width=8x is not a number of bits; write width=6, or "
                "width=8x5 for a's and b's"
            ),
        ),
        ("drum:k=4,width=8x17", "'drum:k=4,width=8x17': drum comes in widths 2..16, not 8x17"),
        (
            "drum:k=3,width=3x2",
            "'drum:k=3,width=3x2': no k of drum fits width 3x2; take wider operands",
        ),
        (
            "bam:h=6,v=0,width=8x5",
            "'bam:h=6,v=0,width=8x5': h=6 is not 0..4 at width 8x5; write bam:h=0..4,v=0..9,",
        ),
        ("drum:k=4,signed=yes", "'drum:k=4,signed=yes': signed is 'yes', not 0 or 1"),
        ("drum:k=4,swap=ab", "'drum:k=4,swap=ab': swap is 'ab', not 0 or 1"),
        (
            "exact:tree=daddy",
            (
                "'exact:tree=daddy': tree=daddy is not array|wallace|dadda|serial at width 8; "
                "write exact:[kind="
            ),
        ),
        (
            "exact:kind=behavioural,tree=array",
            (
                "'exact:kind=behavioural,tree=array': these parameters do not go together; the "
                "nearest that do are exact:kind=behavioural"
            ),
        ),
        (
            "mask:bits=xyz",
            "'mask:bits=xyz': bits=xyz is not hexadecimal, bit width_a*row+column set where",
        ),
        ("recursive:width=3", "'recursive:width=3': recursive comes in widths 4..16, not 3"),
        (
            "recursive:ll=drum[k=3",
            (
                "'recursive:ll=drum[k=3': ll: 'drum[k=3': the brackets do not match; write "
                "drum[k=3..3,"
            ),
        ),
        (
            "recursive:ll=drum[k=3]]",
            (
                "'recursive:ll=drum[k=3]]': ll: 'drum[k=3]]': k=3] is not 3..3 at width 4; write "
                "drum[k=3..3,"
            ),
        ),
        (
            "recursive:ll=drum[]",
            "'recursive:ll=drum[]': ll: 'drum[]': '' is not key=value; write drum[k=3..3,",
        ),
        (
            "recursive:ll=drum[k=3,width=4]",
            (
                "'recursive:ll=drum[k=3,width=4]': ll: 'drum[k=3,width=4]': drum has no parameter "
                "'width'"
            ),
        ),
        (
            "recursive:ll=exact[swap=1]",
            "'recursive:ll=exact[swap=1]': ll: 'exact[swap=1]': exact has no parameter 'swap'",
        ),
        (
            "recursive:ll=recursive,width=6",
            (
                "'recursive:ll=recursive,width=6': ll: 'recursive': recursive comes in widths "
                "4..16, not 3"
            ),
        ),
        (
            "recursive:ll=perforate[j=2,k=3]",
            "'recursive:ll=perforate[j=2,k=3]': ll: 'perforate[j=2,k=3]': these parameters do not "
            "go together; the nearest that do are perforate[j=2,k=2]",
        ),
    ],
)
def test_refusals_are_one_line_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        MultiplierSpec.parse(text)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)
    assert isinstance(refusal.value, InputError)


def test_make_checks_and_nearest_settles() -> None:
    with pytest.raises(SpecError, match=r"'drum': k=99 is not 3\.\.7 at width 8"):
        MultiplierSpec.make("drum", k=99)
    assert str(MultiplierSpec.nearest("drum", k=99)) == "drum:k=7"
    assert (
        str(MultiplierSpec.nearest("exact", kind="behavioural", tree="array"))
        == "exact:kind=behavioural"
    )
    with pytest.raises(SpecError, match="exact: not one of array"):
        MultiplierSpec.nearest("exact", tree="banyan")
    with pytest.raises(SpecError, match="drum: k is missing; write drum:k="):
        MultiplierSpec.nearest("drum")
    with pytest.raises(SpecError, match=r"widths 4\.\.16, not 3x8"):
        MultiplierSpec.nearest("compressor", width=(3, 8), kind="lin", cols=4)
