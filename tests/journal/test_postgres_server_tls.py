"""TLS to the database by an authority made now: what is verified, what is refused with which words and exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from kpr_sender.errors import KprError
from kpr_sender.journal import postgres_server
from kpr_sender.journal.postgres_server import bare, connect
from kpr_sender.sandbox import pki
from tests.helpers.command import until
from tests.helpers.postgres import USER, Database, Server
from tests.helpers.tls_certificates import Authority, make_authority

_FULL = "sslmode=verify-full"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who issues the server's certificate and the clients'."""
    return make_authority(tmp_path / "authority")


@pytest.fixture
def with_tls(postgres: Database, authority: Authority, tmp_path: Path) -> Iterator[Database]:
    """The database on a server with TLS for ``localhost``; another database there requires a client certificate."""
    server = postgres.server
    access = server.data / "pg_hba.conf"
    before = access.read_text("utf-8")
    files = (*authority.issue(tmp_path / "server", "localhost"), authority.ca_file)
    for name, file in zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), files, strict=True):
        own = server.folder / name
        own.write_bytes(file.read_bytes())
        own.chmod(0o600)
        os.chown(own, access.stat().st_uid, access.stat().st_gid)
        _set(server, name, f"'{own}'")
    certain = f"hostssl certain {USER} 127.0.0.1/32"
    without_password = f"hostssl by_certificate {USER} 127.0.0.1/32 cert"
    access.write_text(f"{certain} md5 clientcert=verify-full\n{without_password}\n{before}", "utf-8")
    try:
        _set(server, "ssl", "on")
        yield postgres
    finally:
        access.write_text(before, "utf-8")
        _set(server, "ssl", "off")


def _set(server: Server, name: str, value: str) -> None:
    with server.boss() as boss:
        boss.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        boss.execute("SELECT pg_reload_conf()")
    if name == "ssl":
        until(lambda: _shown(server) == value)


def _shown(server: Server) -> str:
    with server.boss() as boss:
        row = boss.execute("SHOW ssl").fetchone()
        assert row is not None
        return str(row[0])


def _client(authority: Authority, folder: Path, user: str) -> str:
    """Return what an address says for a client certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    made = pki.certificate(
        pki.name(user),
        key,
        authority.authority.issuer,
        pki.valid_from(datetime.now(UTC)),
        usages=("digital_signature",),
        extensions=[x509.Extension(usage.oid, critical=False, value=usage)],
    )
    folder.mkdir()
    (folder / "client.pem").write_bytes(made.public_bytes(Encoding.PEM))
    secret = folder / "client.key"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    secret.chmod(0o600)
    return f"&sslcert={folder / 'client.pem'}&sslkey={secret}"


def _refused(database: Database, url: str, code: int, words: str, next_step: str) -> None:
    with pytest.raises(KprError, match=words) as raised:
        connect(database.settings(url=url))
    assert raised.value.exit_code == code, url
    assert next_step in raised.value.next_step
    assert "disable" not in f"{raised.value.what} {raised.value.next_step}"


def _is_refused(database: Database, url: str) -> bool:
    try:
        connect(database.settings(url=url)).close()
    except KprError:
        return True
    return False


def test_the_server_s_certificate_is_verified_by_the_authority_and_the_name(
    with_tls: Database, authority: Authority, tmp_path: Path
) -> None:
    root, other = f"&sslrootcert={authority.ca_file}", f"&sslrootcert={make_authority(tmp_path / 'other').ca_file}"
    by_name = f"postgresql://{USER}@localhost:{with_tls.server.port}/{with_tls.name}?{_FULL}"
    by_address = f"{with_tls.url}?{_FULL}"
    for taken in (by_name + root, f"{by_name}{root}&hostaddr=127.0.0.1"):
        settings = with_tls.settings(url=taken)
        with bare(settings) as connection:
            row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert row is not None
            assert row[0] is True
        connect(settings).close()
    _refused(with_tls, by_name + other, 77, "certificate cannot be verified", "sslrootcert in journal.url")
    _refused(with_tls, by_address + root, 77, "made out to another name", "Let journal.url name the server")
    missing = f"&sslrootcert={tmp_path / 'nowhere.pem'}"
    _refused(with_tls, by_name + missing, 78, "authority's certificate for the database cannot be used", "PEM file")
    (tmp_path / "not.pem").write_text("no certificate")
    unusable = f"&sslrootcert={tmp_path / 'not.pem'}"
    _refused(with_tls, by_name + unusable, 78, "authority's certificate for the database cannot be used", "PEM file")
    ended = authority.issue(tmp_path / "ended", "localhost", expired=True)
    for name, file in zip(("ssl_cert_file", "ssl_key_file"), ended, strict=True):
        (with_tls.server.folder / name).write_bytes(file.read_bytes())
    with with_tls.server.boss() as boss:
        boss.execute("SELECT pg_reload_conf()")
    until(lambda: _is_refused(with_tls, by_name + root))
    _refused(with_tls, by_name + root, 77, "certificate cannot be verified", "whether its certificate has ended")


def test_a_client_certificate_is_shown_where_the_server_requires_one(
    with_tls: Database, authority: Authority, tmp_path: Path
) -> None:
    with with_tls.server.boss() as boss:
        for name in ("certain", "by_certificate"):
            boss.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE template0".encode())
    url = f"postgresql://{USER}@localhost:{with_tls.server.port}/certain?{_FULL}&sslrootcert={authority.ca_file}"
    ours = _client(authority, tmp_path / "ours", USER)
    try:
        connect(with_tls.settings(url=url + ours)).close()
        another = _client(authority, tmp_path / "another", "another")
        unknown = _client(make_authority(tmp_path / "elsewhere"), tmp_path / "unknown", USER)
        for wrong in ("", unknown):
            _refused(with_tls, url + wrong, 77, "does not accept our client certificate", "sslcert and sslkey")
        # The server says of the name what it says of a wrong password.
        _refused(with_tls, url + another, 77, "refused the login", "client certificate is made out to that user")
        alone = url.replace("/certain", "/by_certificate")
        connect(with_tls.settings(url=alone + ours, password=None)).close()
        _refused(with_tls, alone + another, 77, "does not accept our client certificate", "sslcert and sslkey")
        (tmp_path / "ours/client.key").chmod(0o644)
        _refused(with_tls, url + ours, 78, "or its key, cannot be used", "chmod 600")
        (tmp_path / "ours/client.key").unlink()
        _refused(with_tls, url + ours, 78, "or its key, cannot be used", "chmod 600")
    finally:
        with with_tls.server.boss() as boss:
            for name in ("certain", "by_certificate"):
                boss.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_what_the_environment_says_of_the_server_counts_for_it_too(
    with_tls: Database, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address in the configuration has no host, or one of this machine: libpq then asks the environment."""
    monkeypatch.setattr(postgres_server, "is_loopback", lambda _: False)  # the only other machine there is
    unsaid = f"postgresql://{USER}@/{with_tls.name}"
    monkeypatch.setenv("PGHOST", "localhost")
    monkeypatch.setenv("PGPORT", str(with_tls.server.port))
    for mode in ("disable", "require"):
        monkeypatch.setenv("PGSSLMODE", mode)
        _refused(with_tls, unsaid, 78, "on another machine, and its certificate is not verified", "sslmode=verify-full")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.ca_file))
    connect(with_tls.settings(url=unsaid)).close()


def test_a_server_without_tls_is_refused_where_tls_is_required(postgres: Database, authority: Authority) -> None:
    url = f"postgresql://{USER}@localhost:{postgres.server.port}/{postgres.name}"
    wanted = f"{url}?{_FULL}&sslrootcert={authority.ca_file}"
    _refused(postgres, wanted, 78, "has no TLS", "ssl = on")
