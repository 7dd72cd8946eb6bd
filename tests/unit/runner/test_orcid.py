"""ORCID iDs: which are valid, and where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.orcid import check_digit, is_orcid, orcids_in, read_orcid


@pytest.mark.parametrize(
    ("written", "orcid"),
    [
        ("0000-0002-1825-0097", "0000-0002-1825-0097"),  # ORCID's own example
        ("0000-0002-1694-233X", "0000-0002-1694-233X"),  # a checksum of ten
        ("0000-0002-1694-233x", "0000-0002-1694-233X"),
        ("https://orcid.org/0000-0002-1825-0097", "0000-0002-1825-0097"),
        ("ORCID:0000-0002-1825-0097.", "0000-0002-1825-0097"),
        ("0000\u20130002\u20131825\u20130097", "0000-0002-1825-0097"),  # en dashes
        ("0000-0002-\n1825-0097", "0000-0002-1825-0097"),  # over a line's end
        ("0009-0000-1234-5679", None),  # a wrong checksum
        ("0000-0002-1825-0098", None),
        ("0000-0000-0000-0001", None),  # given to nobody
        ("10000-0002-1825-0097", None),  # part of a longer number
        ("1234-0000-0002-1825-0097", None),
        ("0000-0002-1825-0097-1", None),
        ("0000000218250097", None),  # any number of sixteen digits would do
        ("", None),
    ],
)
def test_an_id_is_read_however_it_is_printed(written: str, orcid: str | None) -> None:
    assert read_orcid(written) == orcid


def test_places_are_places_in_the_text() -> None:
    text = "Ana (orcid.org/0000-0002-1825-0097), Bo 0000-0002-1694-233X"
    assert [text[one.start : one.end] for one in orcids_in(text)] == [
        "orcid.org/0000-0002-1825-0097",
        "0000-0002-1694-233X",
    ]


def test_two_ids_are_not_one() -> None:
    assert read_orcid("0000-0002-1825-0097 0000-0002-1694-233X") is None


@given(st.from_regex(r"000[09][0-9]{11}", fullmatch=True).filter(lambda digits: digits.strip("0")), st.data())
def test_one_wrong_digit_is_always_noticed(digits: str, data: st.DataObject) -> None:
    def written(fifteen: str, last: str) -> str:
        whole = fifteen + last
        return "-".join(whole[start : start + 4] for start in range(0, 16, 4))

    last = check_digit(digits)
    assert is_orcid(written(digits, last))
    place = data.draw(st.integers(0, 14))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != digits[place]]))
    assert not is_orcid(written(digits[:place] + other + digits[place + 1 :], last))


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    assert all(is_orcid(one.orcid) for one in orcids_in(text))
