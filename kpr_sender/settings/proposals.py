"""What a configuration says where a municipality need not decide anything: NHN's addresses, and when its year is."""

from __future__ import annotations

from datetime import date
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.profiles import known_years

_BUS: Final = {
    Environment.VALIDERING: ("tb.nhn.no", "NHNPRODServiceBus"),
    Environment.PRODUKSJON: ("tb.nhn.no", "NHNPRODServiceBus"),
    Environment.AR_TEST: ("tb.test.nhn.no", "NHNTESTServiceBus"),
}
REGISTER: Final = {
    Environment.VALIDERING: "https://ws.nhn.no/v1/AR/Basic",
    Environment.PRODUKSJON: "https://ws.nhn.no/v1/AR/Basic",
    Environment.AR_TEST: "https://ws.test.nhn.no/v1/AR/Basic",
}
"""CommunicationPartyService, as it is reached from Helsenettet; KPR Validering is in the production register."""
REST_REGISTER: Final = {
    Environment.VALIDERING: "https://cpapi.grunndata.nhn.no",
    Environment.PRODUKSJON: "https://cpapi.grunndata.nhn.no",
    Environment.AR_TEST: "https://cpapi.test.grunndata.nhn.no",
}
HELSEID: Final = {
    Environment.VALIDERING: "https://helseid-sts.nhn.no",
    Environment.PRODUKSJON: "https://helseid-sts.nhn.no",
    Environment.AR_TEST: "https://helseid-sts.test.nhn.no",
}
QUEUES: Final = {
    Environment.VALIDERING: "171479_async",
    Environment.PRODUKSJON: "122612_async",
    Environment.AR_TEST: "8133973_async",
}
"""FHI's, where no register is asked: to be compared with Adresseregisteret."""
_NEW_YEAR_BEGINS: Final = 7
"""The month from which a set-up is for the year that runs, which is reported in January; before it for the last one."""


def on_nhn(environment: Environment) -> dict[str, dict[str, object]]:
    """Return the sections that are alike for every municipality, by section."""
    host, exchange = _BUS[environment]
    # HITS 1216 2.1.4 and 3.1: a path to an authority, and online revocation; without an answer, try again later.
    protection: dict[str, object] = {"roots": ["certs/roots.pem"], "revocation": "require"}
    return {
        "registry": {"kind": "soap", "url": REGISTER[environment]},
        "protection": {} if environment is Environment.AR_TEST else protection,
        "bus": {"host": host, "exchange": exchange},
    }


def reporting_year(today: date) -> int:
    """Return the year whose data is reported next, as far as years are known."""
    return min(today.year - (today.month < _NEW_YEAR_BEGINS), max(known_years()))
