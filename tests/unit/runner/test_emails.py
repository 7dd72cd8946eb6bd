"""E-mail addresses in the text of a paper."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.emails import emails_in, is_email


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("ana@ethz.ch", ["ana@ethz.ch"]),
        ("Write to Ana.Simic@Phys.ETHZ.ch.", ["Ana.Simic@phys.ethz.ch"]),
        ("ana+arxiv@x.edu, bo_li@x.ac.uk", ["ana+arxiv@x.edu", "bo_li@x.ac.uk"]),
        ("\u2217ana@x.edu †bo@x.edu", ["ana@x.edu", "bo@x.edu"]),  # footnote marks
        ("(ana@x.edu)", ["ana@x.edu"]),
        ("<ana@x.edu>.", ["ana@x.edu"]),
        ("e-mail:ana@x.edu;bo@y.org", ["ana@x.edu", "bo@y.org"]),
        ("ana @ x.edu", ["ana@x.edu"]),  # typeset with spaces
        ("ana@\nx.edu", ["ana@x.edu"]),  # over a line's end
        ("ana@x.eduAbstract We", ["ana@x.edu"]),  # the next word came too near
        # groups
        ("{ana,bo}@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("{ana, bo, c.d}@cs.x.edu", ["ana@cs.x.edu", "bo@cs.x.edu", "c.d@cs.x.edu"]),
        ("{ana; bo}@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("{ana | bo}@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("{ana,\nbo} @ x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("[ana, bo]@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("(ana,bo)@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("{ana and bo}@x.edu", ["ana@x.edu", "bo@x.edu"]),
        ("{ana}@x.edu and bo@x.edu", ["ana@x.edu", "bo@x.edu"]),
        # spelt out
        ("ana at x dot edu", ["ana@x.edu"]),
        ("ana dot simic AT cs dot x DOT edu", ["ana.simic@cs.x.edu"]),
        ("ana [at] x [dot] edu", ["ana@x.edu"]),
        ("ana(at)x.edu", ["ana@x.edu"]),
        ("{ana, bo} [at] x.edu", ["ana@x.edu", "bo@x.edu"]),
        # what is none
        ("work done at google.com", []),
        ("we looked at the dot", []),
        ("recall@10.5 and mAP@0.5", []),
        ("@handle, a@b, x@y.1", []),
        ("firstname.lastname@x.edu", []),
        ("{first.last}@x.edu", []),
        ("http://x.edu/~ana", []),
        ("müller@x.de", []),  # half of it would be another one's
        ("a" * 65 + "@x.edu", []),
        ("", []),
    ],
)
def test_addresses_are_found_however_they_are_printed(text: str, addresses: list[str]) -> None:
    assert [email.address for email in emails_in(text)] == addresses


def test_an_address_knows_its_place_in_its_group() -> None:
    first, second = emails_in("mail {ana,bo}@x.edu")
    assert (first.start, first.end, first.position, first.group_size) == (5, 19, 0, 2)
    assert (second.position, second.group_size) == (1, 2)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("a@b.co", True),
        ("a.b-c+d@x-y.museum", True),
        ("a@b", False),
        ("a@b.c1", False),
        ("a@-b.com", False),
        (".a@b.com", False),
        ("a.@b.com", False),
        ("a..b@c.com", False),
        ("a b@c.com", False),
        ("a@b@c.com", False),
        ("a@b.com\n", False),
        ("a@" + "b" * 64 + ".com", False),
        ("a@" + "b." * 130 + "com", False),
        ("name@x.edu", False),  # tells how addresses are made
    ],
)
def test_the_syntax_is_checked(address: str, good: bool) -> None:
    assert is_email(address) is good


_PIECES = st.lists(st.sampled_from([*"ab1.@{},;-() \n[]<>|é", "dot", " at ", ".edu", "a@b.ch"]))


@given(_PIECES.map("".join))
def test_whatever_is_found_is_an_address_and_stands_where_it_says(text: str) -> None:
    for email in emails_in(text):
        assert is_email(email.address)
        local, _, host = email.address.partition("@")
        place = text[email.start : email.end].lower()
        assert all(piece in place for piece in [*local.split("."), *host.split(".")])


@pytest.mark.parametrize("text", ["a" * 100_000, "a." * 50_000, "{a," * 30_000, "a@" * 50_000, "a at " * 20_000,
                                  "a dot " * 20_000, "(" * 100_000, "a@a." * 25_000])  # fmt: skip
def test_a_hostile_page_is_searched_in_little_time(text: str) -> None:
    began = time.process_time()
    emails_in(text)
    assert time.process_time() - began < 5
