"""Author blocks that no sample paper has: what the rules must read in layouts they were not made from."""

from __future__ import annotations

import pytest

from paperjobs_standins.reading.author_block import AuthorBlock, read_author_block
from paperjobs_standins.reading.prompt import manuscript_in


def read(text: str, *authors: str) -> AuthorBlock:
    names = "\n".join(authors)
    return read_author_block(
        manuscript_in(f'<authors>\n{names}\n</authors>\n<paper>\n<page number="1">\n{text}\n</page>\n</paper>')
    )


def links(block: AuthorBlock) -> set[tuple[str, str]]:
    return {(link.author, link.institution.name) for link in block.links}


def test_letters_glued_to_names_point_at_lettered_lines() -> None:
    block = read(
        "A title\nMaria Garcíaa,b, Jun Lib,\u2217, Tom Ruiza\n"
        "aDepartment of Chemistry, Universidad Complutense de Madrid, 28040 Madrid, Spain\n"
        "bInstitute of Software, Chinese Academy of Sciences, Beijing 100190, China\n"
        "Abstract\n\u2217Corresponding author",
        "Maria García",
        "Jun Li",
        "Tom Ruiz",
    )
    assert links(block) == {
        ("Maria García", "Universidad Complutense de Madrid"),
        ("Maria García", "Chinese Academy of Sciences"),
        ("Jun Li", "Chinese Academy of Sciences"),
        ("Tom Ruiz", "Universidad Complutense de Madrid"),
    }


def test_each_author_has_the_lines_below_the_own_name() -> None:
    block = read(
        "Deep things\nAnna Berg\nDept. of Computer Science\nTechnische Universität Berlin\nBerlin, Germany\n"
        "anna@tu.example\nOlu Ade\nSchool of Computing\nUniversity of Lagos\nLagos, Nigeria\nolu@lag.example\nAbstract",
        "Anna Berg",
        "Olu Ade",
    )
    found = {link.author: link.institution for link in block.links}
    assert found["Anna Berg"].name == "Technische Universität Berlin"
    assert found["Anna Berg"].department == "Dept. of Computer Science"
    assert found["Olu Ade"].country == "Nigeria"


def test_superscript_digits_and_initials_are_understood_and_addresses_may_follow_the_abstract() -> None:
    block = read(
        "Cold atoms\nAnna Müller¹,², R. Stone2✉ & Carl Berg³\nAbstract\nSomething happens.\n"
        "1Institute of Physics, University of Basel, Basel, Switzerland. 2Department of Physics, ETH Zurich, Zurich, "
        "Switzerland. 3CERN, Geneva, Switzerland. ✉e-mail: x@y.example",
        "Anna Müller",
        "Robert Stone",
        "Carl Berg",
    )
    assert links(block) == {
        ("Anna Müller", "University of Basel"),
        ("Anna Müller", "ETH Zurich"),
        ("Robert Stone", "ETH Zurich"),
        ("Carl Berg", "CERN"),
    }


def test_a_shared_line_belongs_to_all_names_above_it() -> None:
    block = read(
        "On rings\nJane Doe and John Roe\nDepartment of Mathematics, University of Leeds, Leeds LS2 9JT, UK\nAbstract",
        "Jane Doe",
        "John Roe",
    )
    assert links(block) == {("Jane Doe", "University of Leeds"), ("John Roe", "University of Leeds")}
    assert {link.institution.country for link in block.links} == {"United Kingdom"}


def test_an_institution_in_brackets_after_the_name_is_read() -> None:
    block = read(
        "On rings\nJane Doe (University of Leeds)\nJohn Roe (Kyoto University)\nAbstract", "Jane Doe", "John Roe"
    )
    assert links(block) == {("Jane Doe", "University of Leeds"), ("John Roe", "Kyoto University")}


def test_an_affiliation_that_breaks_over_lines_is_one() -> None:
    block = read(
        "Spin waves\nX. Y. Zhang1 and L. Wang1,2*\n1 State Key Laboratory of Surface Physics, Fudan University,\n"
        "Shanghai 200433, China\n2 Nanjing University, Nanjing 210093, P. R. China\n(Received 3 May 2015)\nABSTRACT",
        "X. Y. Zhang",
        "L. Wang",
    )
    assert links(block) == {
        ("X. Y. Zhang", "Fudan University"),
        ("L. Wang", "Fudan University"),
        ("L. Wang", "Nanjing University"),
    }
    assert "Shanghai 200433, China" in next(one.evidence for one in block.links)


def test_members_of_a_collaboration_are_found_without_a_list_of_their_names() -> None:
    block = read(
        "A Search\nThe XYZ Collaboration\nA. Alpha1, B.C. De Beta1,2, D. Gamma2, E. Delta1, F. Epsilon2\n"
        "1 University of Oslo, Oslo, Norway\n2 Homer L. Dodge Department of Physics, University of Oklahoma, USA",
        "XYZ Collaboration",
    )
    assert links(block) == {
        ("A. Alpha", "University of Oslo"),
        ("B.C. De Beta", "University of Oslo"),
        ("B.C. De Beta", "University of Oklahoma"),
        ("D. Gamma", "University of Oklahoma"),
        ("E. Delta", "University of Oslo"),
        ("F. Epsilon", "University of Oklahoma"),
    }


@pytest.mark.parametrize(
    "text",
    [
        # no affiliation at all, but institutions in the running text
        "On rings\nJane Doe\nAbstract\nThanks to the University of Nowhere.\nReferences\n[1] Kyoto University Press",
        # a footnote about support
        "On rings\nJane Doe\u2217\nAbstract\nText.\n\u2217Supported by a grant of Kyoto University.",
        # an address that is not where the work was done
        "On rings\nJane Doe†\nAbstract\nText.\n†Current address: Department of Physics, Monash University, Australia",
    ],
)
def test_institutions_that_are_no_affiliation_are_left_out(text: str) -> None:
    assert links(read(text, "Jane Doe")) == set()


def test_a_mark_without_a_line_gives_no_affiliation_rather_than_a_guess() -> None:
    block = read(
        "On rings\nJane Doe1, John Roe3\n1 University of Leeds, Leeds, UK\n2 Kyoto University, Kyoto, Japan\nAbstract",
        "Jane Doe",
        "John Roe",
    )
    assert ("John Roe", "University of Leeds") not in links(block)
    assert ("Jane Doe", "University of Leeds") in links(block)


def test_swapped_marks_give_swapped_links() -> None:
    text = "On rings\nJane Doe{0}, John Roe{1}\n1University of Leeds, UK\n2Kyoto University, Japan\nAbstract"
    names = ("Jane Doe", "John Roe")
    assert links(read(text.format(1, 2), *names)) == {(names[0], "University of Leeds"), (names[1], "Kyoto University")}
    assert links(read(text.format(2, 1), *names)) == {(names[1], "University of Leeds"), (names[0], "Kyoto University")}
