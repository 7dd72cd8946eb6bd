"""Whose addresses and iDs the stand-in takes what it reads for."""

from paperjobs_standins.reading.contacts import contacts_of

NAMES = ["Ana Šimić", "Bo Li", "José García-López", "Chen Wei"]


def test_a_plain_address_belongs_to_whose_name_it_is_made_of() -> None:
    contacts = contacts_of(["asimic@uni.example, bo.li@corp.example.org"], NAMES)
    assert [contact.emails for contact in contacts] == [["asimic@uni.example"], ["bo.li@corp.example.org"], [], []]


def test_a_group_with_one_host_is_written_out() -> None:
    contacts = contacts_of(["{ana,bli, chenwei}@uni.example"], NAMES)
    assert [contact.emails for contact in contacts] == [
        ["ana@uni.example"],
        ["bli@uni.example"],
        [],
        ["chenwei@uni.example"],
    ]


def test_an_address_that_fits_two_or_nobody_is_nobodys() -> None:
    contacts = contacts_of(["li@x.example office@x.example"], ["Bo Li", "An Li"])
    assert [contact.emails for contact in contacts] == [[], []]


def test_an_orcid_belongs_to_the_name_before_it() -> None:
    contacts = contacts_of(["Ana Šimić (0000-0002-1825-0097)\nBo Li, ORCID 0000-0001-5109-3700"], NAMES)
    assert [contact.orcid for contact in contacts] == ["0000-0002-1825-0097", "0000-0001-5109-3700", "", ""]


def test_who_corresponds_is_told_by_name_by_address_or_by_mark() -> None:
    by_name = contacts_of(["Ana Šimić, Bo Li\nCorrespondence to: Bo Li <bo.li@x.example>"], NAMES)
    by_address = contacts_of(["Corresponding author: asimic@x.example"], NAMES)
    by_mark = contacts_of(["Ana Šimić1, Bo Li1,*\n1 Uni\n* Corresponding author."], NAMES)
    assert [contact.corresponding for contact in by_name] == [False, True, False, False]
    assert [contact.corresponding for contact in by_address] == [True, False, False, False]
    assert [contact.corresponding for contact in by_mark] == [False, True, False, False]


def test_the_mark_decides_who_corresponds_not_who_is_named_next() -> None:
    page = (
        "Ana Šimić*, Bo Li\n*Corresponding author(s). E-mail(s): as@x.example;\nContributing authors: bo.li@x.example"
    )
    assert [contact.corresponding for contact in contacts_of([page], NAMES)] == [True, False, False, False]
    sentence = "Corresponding author: Bo Li. Ana Šimić is with the University of X."
    assert [contact.corresponding for contact in contacts_of([sentence], NAMES)] == [False, True, False, False]


def test_parts_initials_and_transcriptions_of_a_name_are_known() -> None:
    names = ["João Carlos dos Santos Filho", "Katharina Größl", "Giuseppe D'Angelo", "Eleni Papadopoulou"]
    page = "jc.santos@x.example groessl@x.example giuseppe.dangelo@x.example epapadop@x.example"
    assert [[one.partition("@")[0] for one in contact.emails] for contact in contacts_of([page], names)] == [
        ["jc.santos"],
        ["groessl"],
        ["giuseppe.dangelo"],
        ["epapadop"],
    ]
