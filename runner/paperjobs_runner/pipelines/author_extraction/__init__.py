"""Finds out about a paper's authors: names in parts, e-mails, ORCID iDs, affiliations, who corresponds."""
