"""Finds the country at the end of an address, however it is spelt."""

from __future__ import annotations

import re

_COUNTRIES = """
    Algeria, Argentina, Armenia, Australia, Austria, Azerbaijan, Bangladesh, Belarus, Belgium, Bosnia and Herzegovina,
    Brazil, Bulgaria, Cambodia, Canada, Chile, Colombia, Costa Rica, Croatia, Cuba, Cyprus, Denmark, Ecuador, Egypt,
    Estonia, Ethiopia, Finland, France, Georgia, Germany, Ghana, Greece, Hong Kong, Hungary, Iceland, India, Indonesia,
    Iran, Iraq, Ireland, Israel, Italy, Japan, Jordan, Kazakhstan, Kenya, Latvia, Lebanon, Lithuania, Luxembourg,
    Malaysia, Malta, Mexico, Montenegro, Morocco, Nepal, New Zealand, Nigeria, North Macedonia, Norway, Pakistan, Peru,
    Philippines, Poland, Portugal, Qatar, Romania, Saudi Arabia, Senegal, Serbia, Singapore, Slovakia, Slovenia,
    South Africa, Spain, Sri Lanka, Sweden, Switzerland, Taiwan, Thailand, Tunisia, Uganda, Ukraine, Uruguay,
    Uzbekistan, Venezuela, Vietnam
"""
_SPELLINGS = {
    "United States": r"USA|U\.\s?S\.\s?A\.?|United States(?: of America)?|US",
    "United Kingdom": r"UK|U\.\s?K\.?|United Kingdom|England|Scotland|Wales",
    "Netherlands": r"(?:The )?Netherlands",
    "Russia": r"Russia(?:n Federation)?",
    "Turkey": r"Turkey|T\u00fcrkiye",
    "China": r"(?:P\.?\s?R\.? )?China|People's Republic of China",
    "South Korea": r"(?:South |Republic of )?Korea",
    "Czech Republic": r"Czech(?:ia| Republic)",
    **{name.strip(): name.strip() for name in _COUNTRIES.split(",")},
}
_STATE_AND_ZIP = re.compile(
    r"\b(?:A[LKZR]|C[AOT]|DE|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s+\d{5}\b"
)


def country_in(text: str) -> str:
    """The country that the line ends with, in English; empty when it names none."""
    end = re.sub(r"[\d\s.]+$", "", text.rsplit(",", 1)[-1]).strip()
    for country, pattern in _SPELLINGS.items():
        if re.fullmatch(rf"(?:.*\s)?(?:{pattern})", end):
            return country
    return "United States" if _STATE_AND_ZIP.search(text) else ""
