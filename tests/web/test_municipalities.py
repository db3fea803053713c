"""What the page knows of a fleet's municipalities: from their journals, and of certificates without asking anybody."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.app import journal_storage
from kpr_sender.errors import ConfigInvalid, JournalUnwritable, NothingSubmitted
from kpr_sender.model import Environment, SubmissionState
from kpr_sender.notify.metrics_file import PrometheusFile
from kpr_sender.notify.port import Measured
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from kpr_sender.web.certificates import CertificateLives
from kpr_sender.web.municipalities import FleetMunicipalities
from tests.helpers.fleet import fleet, submitted
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.tls_certificates import make_authority
from tests.journal.builders import brought_to

NOW = datetime.now(UTC)


def test_a_line_says_what_the_journal_does_and_one_that_is_damaged_is_that_one_s_alone(tmp_path: Path) -> None:
    made = fleet(tmp_path, "0301-03", "1103", "4601", "5001", own='[municipality.report]\nyear = "none"')
    submitted(made, "1103", answered=True)
    submitted(made, "0301-03", answered=False)
    made.of("4601").journal.write_text("this is no journal")
    known = FleetMunicipalities(made.read(), now=lambda: datetime.now(UTC))

    lines = {one.key: one for one in known.lines()}

    assert known.environment is Environment.LOKAL
    assert list(lines) == ["0301-03", "1103", "4601", "5001"]
    delivered, published = lines["1103"], lines["0301-03"]
    assert delivered.report is not None
    assert published.report is not None
    assert delivered.report.submission.state is SubmissionState.DELIVERED
    assert delivered.error is None
    assert delivered.name == "KOMMUNE 1103"
    for one in (delivered, published):
        assert one.since is not None
        assert one.last_run is not None
        assert NOW - timedelta(minutes=5) < one.last_run <= one.since <= datetime.now(UTC)
    assert published.report.submission.state is SubmissionState.PUBLISHED
    assert isinstance(lines["4601"].error, JournalUnwritable)
    assert isinstance(lines["5001"].error, ConfigInvalid)
    assert lines["5001"].last_run is None


def test_details_have_both_shipments_and_their_history_of_that_bydel_alone(tmp_path: Path) -> None:
    made = fleet(tmp_path, "1103", "4601")
    submission = submitted(made, "1103", answered=True)
    known = FleetMunicipalities(made.read(), now=lambda: datetime.now(UTC))

    details = known.details("1103")

    assert details is not None
    assert [one.submission.submission_id for one in details.reports] == [submission.submission_id]
    assert {one.msg_id for one in details.history} == {one.msg_id for one in submission.shipments}
    assert {"created", "publish-begins", "accepted", "receipt-ok"} <= {one.what for one in details.history}
    nothing = known.details("4601")
    assert nothing is not None
    assert isinstance(nothing.line.error, NothingSubmitted)
    assert (nothing.reports, nothing.history) == ((), ())
    assert known.details("0301") is None


def test_a_journal_in_postgresql_is_shown_as_one_in_a_file(tmp_path: Path, postgres: Database) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    made = fleet(tmp_path, "1103", files=False)
    text = made.path.read_text().replace(
        "[journal]\n", f'[journal]\nurl = "{postgres.url}"\npassword_file = "password"\n'
    )
    made.path.write_text(f'{text}[municipality.bus]\nreceipts_queue = "{postgres.queue}"\n')
    settings = made.read().named("1103").known
    assert isinstance(settings, Settings)
    known = FleetMunicipalities(made.read(), now=lambda: datetime.now(UTC))
    (before,) = known.lines()
    assert isinstance(before.error, NothingSubmitted)
    assert before.last_run is None

    with closing(journal_storage(settings).open(who="vakt")) as journal:
        msg_id = brought_to(journal, ShipmentState.PUBLISHED).msg_id

    (after,) = known.lines()
    assert after.report is not None
    assert after.last_run is not None
    assert NOW - timedelta(minutes=5) < after.last_run <= datetime.now(UTC)
    details = known.details("1103")
    assert details is not None
    assert msg_id in {one.msg_id for one in details.history}


def test_certificates_are_as_the_last_run_found_them_else_as_files_have_them(tmp_path: Path) -> None:
    made = fleet(tmp_path, "1103", files=False)
    known = made.read().named("1103").known
    assert isinstance(known, Settings)
    pem, _ = make_authority(tmp_path).issue(tmp_path, "a")
    der = tmp_path / "signing.der"
    der.write_bytes(x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER))
    receiver = replace(known.receiver, encryption_certificate=pem, signing_certificates=(der, tmp_path / "none.pem"))
    settings = replace(known, receiver=receiver)
    lives = CertificateLives()
    of_files = lives.of(settings)
    assert [str(one.role) for one in of_files] == ["FHI's for encryption", "FHI's for signing"]
    assert all(NOW < one.ends < NOW + timedelta(days=31) and not one.refused for one in of_files)

    metrics = tmp_path / "kpr.prom"
    watched = replace(settings, monitor=replace(settings.monitor, metrics_file=metrics))
    assert lives.of(watched) == of_files, "no run has left anything"
    labels, ours, other = ("environment", "role"), ("lokal", "ours for signing"), ("produksjon", "ours for signing")
    ends: dict[tuple[str, ...], float] = {ours: NOW.timestamp(), ("lokal", "somebody's"): 1.0, other: 1.0}
    PrometheusFile(metrics).write(
        [
            Measured("kpr_certificate_not_after_timestamp_seconds", "x", labels, ends),
            Measured("kpr_certificate_refused", "x", labels, {ours: 1.0}),
        ]
    )

    (one,) = lives.of(watched)

    assert (str(one.role), round(one.ends.timestamp()), one.refused) == (ours[1], round(NOW.timestamp()), True)
    metrics.write_text("this is no metrics file {{{")
    assert lives.of(watched) == of_files
