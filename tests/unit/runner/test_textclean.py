"""Text of PDFs: accents, hyphens, and what a database refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.textclean import clean_page, one_line, storable


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Simi\u00b4c", "Simić"),  # the accent is drawn before its letter
        ("M\u00a8uller", "Müller"),
        ("M \u00a8uller", "Müller"),  # and set apart from the word
        ("Fran\u00b8cois", "François"),
        ("Franc\u00b8ois", "François"),
        ("Poincare\u00b4 of", "Poincaré of"),
        ("Mart\u00b4\u0131nez", "Martínez"),  # a dotless i below the accent
        ("\ufb01nite di\ufb00erence", "finite difference"),  # ligatures
        ("re-\nsults", "results"),
        ("Jean-\nLuc", "Jean-\nLuc"),  # a name keeps its hyphen
        ("compu\x02\r\ntation", "computation"),  # pdfium's mark of a broken word
        ("a\x00b\ud800c", "abc"),
        ("  two   words \n\n\n\nend ", "two words\n\nend"),
        ("`code`", "`code`"),
    ],
)
def test_a_page_is_repaired(raw: str, clean: str) -> None:
    assert clean_page(raw) == clean


@given(st.text(st.characters()))
def test_whatever_comes_in_what_comes_out_can_be_stored(text: str) -> None:
    for out in (clean_page(text), storable(text), one_line(text)):
        assert "\x00" not in out
        out.encode("utf-8")
