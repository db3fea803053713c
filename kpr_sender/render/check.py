"""A check's report as the keys of ``kpr-send check --json``, described in docs/check.md."""

from __future__ import annotations

from typing import Any

from kpr_sender.preflight.catalogue.codes import all_service_types
from kpr_sender.preflight.comparison import Change, Comparison
from kpr_sender.preflight.findings import Finding
from kpr_sender.preflight.report import Group, Report, groups, verdict
from kpr_sender.preflight.statistics import YearStatistics


def check_json(report: Report) -> dict[str, Any]:
    """Return a report in plain values, without personal data.

    Args:
        report: What a check found.
    """
    decided = verdict(report)
    return {
        "environment": report.environment.value,
        "year": report.year,
        "verdict": decided.text,
        "counts": {
            "stop": report.stops,
            "drop": report.drops,
            "warn": report.warnings,
            "note": report.notes,
        },
        "findings": [_group(group) for group in groups(report)],
        "figures": _figures(report.statistics) | {"idents": report.idents},
        "comparison": None if report.comparison is None else _comparison(report.comparison),
    }


def _group(group: Group) -> dict[str, Any]:
    rule = group.rule
    return {
        "rule": rule.id,
        "effect": rule.effect.value,
        "consequence": rule.consequence.value,
        "title": rule.title,
        "receiver": rule.receiver,
        "advice": rule.advice,
        "source": rule.source,
        "count": group.count,
        "places": [_place(finding) for finding in group.places],
    }


def _place(finding: Finding) -> dict[str, Any]:
    return {"file": finding.file.value, "line": finding.line, "path": finding.path, "said": finding.said}


def _figures(stats: YearStatistics) -> dict[str, Any]:
    names = all_service_types()
    return {
        "year": stats.year,
        "persons": stats.persons,
        "persons_without_service": stats.without_service,
        "services": stats.services,
        "refused": stats.refused,
        "hours": round(stats.hours, 2),
        "starts": list(stats.starts),
        "types": [
            {
                "type": code,
                "name": names[code].code.norwegian if code in names else "",
                "users": counted.users,
                "services": counted.services,
                "hours": round(counted.hours, 2),
                "starts": list(counted.starts),
            }
            for code, counted in ((code, stats.of(code)) for code in stats.types)
        ],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "last_year": _figures(comparison.last),
        "persons": _change(comparison.persons),
        "persons_without_service": _change(comparison.without_service),
        "types": [
            {
                "type": row.type,
                "users": _change(row.users),
                "services": _change(row.services),
                "hours": _change(row.hours),
            }
            for row in comparison.rows
        ],
    }


def _change(change: Change) -> dict[str, float | None]:
    percent = change.percent
    return {
        "last": round(change.last, 2),
        "this": round(change.this, 2),
        "percent": None if percent is None else round(percent, 1),
    }
