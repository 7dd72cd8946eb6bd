"""What of Claude's answer about authors is believed."""

from paperjobs_runner.pipelines.author_extraction.answer import AnsweredPerson, AuthorsAnswer
from paperjobs_runner.pipelines.author_extraction.verify import people_by_name, people_of
from paperjobs_runner.store.findings import FoundPerson

PAGE = """A Study
Ana Šimić1,* (0000-0002-1825-0097), Bo Li2, Martin King Jr.2
1 Uni, 2 Corp. {asimic, bo}@uni.example
* Corresponding author"""
AUTHORS = ["Ana Simic", "Bo Li", "Martin King Jr.", "ATLAS Collaboration"]


def person(name: str, **fields: object) -> AnsweredPerson:
    values = {
        "printed_name": None,
        "emails": [],
        "orcid": None,
        "is_corresponding": False,
        "affiliations": [],
        **fields,
    }
    return AnsweredPerson.model_validate({"name": name, **values})


def people(*answered: AnsweredPerson, page: str = PAGE) -> tuple[list[FoundPerson], int]:
    found = people_of(AuthorsAnswer(affiliations=[], authors=list(answered)), [page], AUTHORS)
    return list(found.people), found.dropped


def test_what_the_paper_prints_is_kept_with_its_accents() -> None:
    (ana, *_), dropped = people(
        person(
            "Ana Simic",
            printed_name="Ana Šimić",
            emails=["asimic@uni.example"],
            orcid="https://orcid.org/0000-0002-1825-0097",
            is_corresponding=True,
        )
    )
    assert ana == FoundPerson(
        given="Ana",
        family="Šimić",
        suffix=None,
        is_collaboration=False,
        orcid="0000-0002-1825-0097",
        emails=("asimic@uni.example",),
        is_corresponding=True,
    )
    assert dropped == 0


def test_every_author_of_arxivs_list_is_there_in_its_order_whatever_claude_says() -> None:
    found, dropped = people(person("Bo Li"), person("Somebody Else"))
    assert [one.family for one in found] == ["Simic", "Li", "King", None]
    assert (found[2].suffix, found[3].is_collaboration) == ("Jr.", True)
    assert dropped == 1
    assert found == list(people_by_name(AUTHORS))


def test_an_address_that_is_not_printed_is_dropped_and_counted() -> None:
    found, dropped = people(person("Bo Li", emails=["bo.li@uni.example", "bo@uni.example", "not an address"]))
    assert (found[1].emails, dropped) == (("bo@uni.example",), 2)


def test_an_orcid_with_a_wrong_checksum_or_from_elsewhere_is_dropped_and_counted() -> None:
    found, dropped = people(
        person("Ana Simic", orcid="0000-0002-1825-0098"), person("Bo Li", orcid="0000-0001-5109-3700")
    )
    assert ([one.orcid for one in found], dropped) == ([None] * 4, 2)


def test_what_two_authors_were_given_belongs_to_the_first() -> None:
    found, dropped = people(person("Ana Simic", emails=["bo@uni.example"]), person("Bo Li", emails=["BO@uni.example"]))
    assert ([one.emails for one in found[:2]], dropped) == ([("bo@uni.example",), ()], 1)


def test_nobody_corresponds_in_a_paper_that_does_not_speak_of_it() -> None:
    said = person("Bo Li", is_corresponding=True)
    assert people(said)[0][1].is_corresponding
    found, dropped = people(said, page="A Study\nAna Šimić, Bo Li\nbo@uni.example")
    assert (found[1].is_corresponding, dropped) == (False, 1)


def test_a_spelling_that_the_paper_does_not_print_changes_no_name() -> None:
    found, _ = people(person("Ana Simic", printed_name="Ána Şimiç"), page="A Study by Ana Simic and others")
    # The letters are the paper's (accents aside), so the worst that can happen is a wrong accent.
    assert found[0].family in ("Simic", "Şimiç")
    assert people(person("Bo Li", printed_name="Mallory Evil"))[0][1].family == "Li"


def test_a_footnotes_number_before_an_address_is_no_part_of_it() -> None:
    page = "Ana Simic\n1asimic@uni.example 3m@corp.example"
    (ana, *_), dropped = people(person("Ana Simic", emails=["asimic@uni.example", "3m@corp.example"]), page=page)
    assert (ana.emails, dropped) == (("asimic@uni.example", "3m@corp.example"), 0)
