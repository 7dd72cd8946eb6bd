"""Claude's stand-in writes an abstract from the prompt alone."""

from __future__ import annotations

from paperjobs_standins.reading.abstract import structured_abstract, wants_abstract

PROMPT = """<paper>
<section>
A Title
Ana Simic, ETH Zurich. Methods of old.
</section>
<section>
Abstract
We count rings. There are three. More is said below.
</section>
<section>
2 Method
We look at them. Then we count.
</section>
<section>
3 Results
Three rings were seen. The method does not see small ones.
</section>
</paper>
"""


def test_each_text_comes_from_the_section_that_is_for_it() -> None:
    assert structured_abstract(PROMPT) == {
        "summary": "We count rings. There are three. More is said below.",
        "key_points": ["We look at them.", "Three rings were seen."],
        "methods": "We look at them. Then we count.",
        "results": "Three rings were seen. The method does not see small ones.",
        "limitations": "The method does not see small ones.",
    }


def test_another_text_gives_another_abstract() -> None:
    assert structured_abstract(PROMPT.replace("three", "four"))["summary"].startswith("We count rings. There are four.")


def test_a_text_without_sections_is_one() -> None:
    assert structured_abstract("Only this. And that.")["summary"] == "Only this. And that."
    assert structured_abstract("<paper>\n</paper>")["summary"]


def test_the_form_is_known_by_its_properties() -> None:
    names = ("summary", "key_points", "methods", "results", "limitations")
    assert wants_abstract({"properties": {name: {} for name in names}})
    assert not wants_abstract({"properties": {"summary": {}}})
    assert not wants_abstract(None)
