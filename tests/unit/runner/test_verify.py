"""What of Claude's answer is believed."""

from paperjobs_runner.pipelines.institution_extraction.answer import (
    AnsweredAuthor,
    AnsweredInstitution,
    InstitutionsAnswer,
)
from paperjobs_runner.pipelines.institution_extraction.verify import verify

PAGE = """A Study of Things
Ana Šimić1,2 and Bo Li2
1 Department of Physics, ETH Zürich, Switzer-
land  2MIT, Cambridge, USA
We thank Example University."""
AUTHORS = ["Ana Šimić", "Bo Li"]


def institution(name: str, evidence: str, **fields: str) -> AnsweredInstitution:
    return AnsweredInstitution(
        name=name, evidence=evidence, department=fields.get("department"), country=fields.get("country")
    )


def test_institutions_are_normalised_and_linked_to_their_authors() -> None:
    answer = InstitutionsAnswer(
        institutions=[
            institution("ETH Zurich", "Department of Physics, ETH Zürich, Switzerland", country="Switzerland"),
            institution("MIT", "MIT, Cambridge, USA"),
        ],
        authors=[AnsweredAuthor(name="A. Simic", institutions=[0, 1]), AnsweredAuthor(name="Bo Li", institutions=[1])],
    )
    findings = verify(answer, [PAGE], AUTHORS)
    assert [found.name for found in findings.institutions] == ["ETH Zürich", "Massachusetts Institute of Technology"]
    assert [author.name for author in findings.authors] == AUTHORS
    assert findings.authors[0].institution_keys == ("eth zurich", "massachusetts institute of technology")
    assert findings.authors[1].institution_keys == ("massachusetts institute of technology",)
    assert (findings.dropped_institutions, findings.dropped_links) == (0, 0)


def test_an_institution_that_the_paper_does_not_name_is_dropped_with_its_links() -> None:
    answer = InstitutionsAnswer(
        institutions=[
            institution("Harvard University", "Harvard University, USA"),
            institution("MIT", "MIT, Cambridge"),
        ],
        authors=[AnsweredAuthor(name="Bo Li", institutions=[0, 1, 9])],
    )
    findings = verify(answer, [PAGE], AUTHORS)
    assert [found.key for found in findings.institutions] == ["massachusetts institute of technology"]
    assert findings.authors[1].institution_keys == ("massachusetts institute of technology",)
    assert (findings.dropped_institutions, findings.dropped_links) == (1, 2)


def test_evidence_may_run_over_lines_and_differ_in_accents_and_case() -> None:
    answer = InstitutionsAnswer(institutions=[institution("ETH", "eth zurich, switzerland")], authors=[])
    assert verify(answer, [PAGE], AUTHORS).dropped_institutions == 0


def test_a_quotation_too_short_to_prove_anything_is_not_evidence() -> None:
    answer = InstitutionsAnswer(institutions=[institution("Acme", "1,")], authors=[])
    assert verify(answer, [PAGE], AUTHORS).dropped_institutions == 1


def test_two_spellings_of_one_institution_become_one() -> None:
    answer = InstitutionsAnswer(
        institutions=[
            institution("MIT", "2MIT, Cambridge"),
            institution("Massachusetts Institute of Technology", "MIT, Cambridge, USA"),
        ],
        authors=[AnsweredAuthor(name="Bo Li", institutions=[0, 1])],
    )
    findings = verify(answer, [PAGE], AUTHORS)
    assert len(findings.institutions) == 1
    assert findings.authors[1].institution_keys == ("massachusetts institute of technology",)


def test_an_author_whom_arxiv_does_not_list_is_left_out() -> None:
    answer = InstitutionsAnswer(
        institutions=[institution("MIT", "MIT, Cambridge")],
        authors=[AnsweredAuthor(name="Eve Intruder", institutions=[0])],
    )
    findings = verify(answer, [PAGE], AUTHORS)
    assert [author.name for author in findings.authors] == AUTHORS
    assert all(author.institution_keys == () for author in findings.authors)


def test_what_is_stored_holds_nothing_a_database_refuses() -> None:
    answer = InstitutionsAnswer(
        institutions=[institution("MI\x00T", "MIT,\x00 Cambridge", department="a\ud800b", country="\x00")], authors=[]
    )
    (found,) = verify(answer, [PAGE], AUTHORS).institutions
    assert (found.name, found.evidence, found.department, found.country) == (
        "Massachusetts Institute of Technology",
        "MIT, Cambridge",
        "ab",
        None,
    )
