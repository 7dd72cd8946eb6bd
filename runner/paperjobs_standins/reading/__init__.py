"""Reads a paper's author block by rules, as the Claude stand-in's mind: it knows layouts, never a particular paper.

prompt -> authors and pages -> author block (people, marks, affiliation lines) -> facts -> the requested form
"""
