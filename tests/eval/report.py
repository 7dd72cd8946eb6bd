"""The evaluation's result, for people and as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from eval.answers import FIELDS
from eval.run import Evaluated
from eval.score import FieldScore, Score, total


def field_totals(papers: Sequence[Evaluated]) -> dict[str, Score]:
    """Each field over all papers."""
    return {field: total(paper.fields[field].score for paper in papers) for field in FIELDS}


def text(papers: Sequence[Evaluated], *, verbose: bool) -> str:
    """Tables: fields, papers (worst first), pipelines; with `verbose` every wrong and missed item."""
    parts = [_fields(papers), _papers(papers), _pipelines(papers), _planted(papers)]
    if verbose:
        parts.insert(2, "\n".join(_items(papers)))
    return "\n\n".join(parts)


def document(papers: Sequence[Evaluated]) -> str:
    """Everything, as JSON."""
    return json.dumps(
        {
            "fields": {field: _numbers(score) for field, score in field_totals(papers).items()},
            "papers": {
                one.paper.arxiv_id: {
                    "style": one.paper.style,
                    "fields": {field: _detailed(result) for field, result in one.fields.items()},
                    "runs": {
                        run.pipeline: {"code": run.code, "seconds": round(run.seconds, 3), "calls": dict(run.calls)}
                        for run in one.runs
                    },
                    "planted": list(one.planted),
                }
                for one in papers
            },
        },
        indent=2,
        ensure_ascii=False,
    )


def _fields(papers: Sequence[Evaluated]) -> str:
    lines = [f"{'field':16} {'true':>5} {'found':>6} {'right':>6} {'precision':>10} {'recall':>7}"]
    for field, score in field_totals(papers).items():
        lines.append(
            f"{field:16} {score.right + score.missed:5} {score.right + score.wrong:6} {score.right:6} "
            f"{_share(score.precision):>10} {_share(score.recall):>7}"
        )
    return "\n".join(lines)


def _papers(papers: Sequence[Evaluated]) -> str:
    lines = [f"{'paper, worst first':20} {'layout':26} {'F1':>5}  wrong and missed"]
    for one in sorted(papers, key=lambda one: _whole(one).f1):
        faults = (
            f"{field} {_faults(result.score)}" for field, result in one.fields.items() if result.wrong or result.missed
        )
        lines.append(f"{one.paper.arxiv_id:20} {one.paper.style:26} {_whole(one).f1:5.2f}  {', '.join(faults)}")
    return "\n".join(lines)


def _pipelines(papers: Sequence[Evaluated]) -> str:
    lines = [f"{'pipeline':24} {'runs':>5} {'done':>5} {'p50 s':>6} {'max s':>6}  calls for a paper, mean"]
    for pipeline in dict.fromkeys(run.pipeline for one in papers for run in one.runs):
        runs = [run for one in papers for run in one.runs if run.pipeline == pipeline]
        calls = sum((run.calls for run in runs), start=Counter[str]())
        seconds = [run.seconds for run in runs]
        named = ", ".join(f"{name} {count / len(runs):.2f}" for name, count in calls.items())
        done = sum(run.code == 0 for run in runs)
        lines.append(f"{pipeline:24} {len(runs):5} {done:5} {median(seconds):6.2f} {max(seconds):6.2f}  {named}")
    return "\n".join(lines)


def _planted(papers: Sequence[Evaluated]) -> str:
    through = [f"{one.paper.arxiv_id}: {', '.join(one.planted)}" for one in papers if one.planted]
    return f"planted words that got through: {'; '.join(through) or 'none'}"


def _items(papers: Iterable[Evaluated]) -> Iterable[str]:
    for one in papers:
        for field, result in one.fields.items():
            for word, items in (("wrong", result.wrong), ("missed", result.missed)):
                yield from (f"{one.paper.arxiv_id} {field} {word}: {' | '.join(item)}" for item in sorted(items))


def _whole(one: Evaluated) -> Score:
    return total(result.score for result in one.fields.values())


def _faults(score: Score) -> str:
    return " ".join(
        part for part in (f"+{score.wrong}" if score.wrong else "", f"-{score.missed}" if score.missed else "") if part
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _numbers(score: Score) -> dict[str, float | None]:
    return {
        "right": score.right,
        "wrong": score.wrong,
        "missed": score.missed,
        "precision": score.precision,
        "recall": score.recall,
    }


def _detailed(result: FieldScore) -> dict[str, object]:
    lists = {"wrongItems": sorted(result.wrong), "missedItems": sorted(result.missed)}
    return {**_numbers(result.score), **lists}
