"""Who gets in by OpenID Connect, and that nobody else gets anything."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from itsdangerous import TimestampSigner
from joserfc import jwk
from starlette.testclient import TestClient

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.web import Allowed, WebSettings
from kpr_sender.web.login import BACK, OpenIdLogin
from tests.helpers.openid_provider import CLIENT, SECRET, Provider, provider
from tests.helpers.tls_certificates import make_authority
from tests.helpers.web_page import Clock, Known, application

HOST = "kpr.example.no"
ADDRESS = f"https://{HOST}"
COOKIE = "__Host-kpr"
ALL = "Stavanger"
"""What is on the page, and on no other."""
_VISITORS: dict[str, httpx2.Client] = {}
"""What goes where the page leads, in place of a browser, by the provider's address."""
SESSIONS = Secret("a-test-secret-that-sessions-are-signed-with")


@pytest.fixture(scope="module")
def one_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Provider, Path]]:
    folder = tmp_path_factory.mktemp("provider")
    authority = make_authority(folder)
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    with provider(authority, folder) as made, httpx2.Client(verify=trusting, trust_env=False) as visitor:
        _VISITORS[made.issuer] = visitor
        yield made, authority.ca_file


@pytest.fixture
def idp(one_provider: tuple[Provider, Path]) -> Provider:
    """The provider as it should be."""
    made, _ = one_provider
    fresh = Provider(issuer=made.issuer, back=f"{ADDRESS}{BACK}", key=made.key)
    vars(made).update(vars(fresh))
    return made


@pytest.fixture
def web(one_provider: tuple[Provider, Path], idp: Provider) -> WebSettings:
    return WebSettings(
        issuer=idp.issuer,
        client_id=CLIENT,
        client_secret=Secret(SECRET),
        allow=Allowed("groups", ("kpr-drift", "kpr-leder")),
        session_secret=SESSIONS,
        ca_file=one_provider[1],
    )


def login(web: WebSettings, clock: Clock, *, environment: str = "validering") -> OpenIdLogin:
    return OpenIdLogin(web, environment=environment, address=ADDRESS, now=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def browser(web: WebSettings, clock: Clock) -> Iterator[TestClient]:
    app = application(Known(), access=login(web, clock), clock=clock)
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def at_provider(idp: Provider, location: str) -> str:
    """Go where the page leads, and return where the provider leads back to, below the page's address."""
    answer = _VISITORS[idp.issuer].get(location)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"].removeprefix(ADDRESS)


def begun(browser: TestClient, path: str = "/login") -> str:
    answer = browser.get(path)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def log_in(browser: TestClient, idp: Provider, path: str = "/login") -> httpx2.Response:
    return browser.get(at_provider(idp, begun(browser, path)))


def session_in(browser: TestClient) -> dict[str, object]:
    signed = browser.cookies[COOKIE].rpartition(".")[0].rpartition(".")[0]
    found: dict[str, object] = json.loads(base64.b64decode(signed))
    return found


def test_whoever_has_the_claim_gets_in_with_pkce_state_and_nonce_and_leaves_nothing_of_himself(
    browser: TestClient, idp: Provider
) -> None:
    before = browser.get("/m/1103?lang=nb")
    assert (before.status_code, ALL in before.text) == (401, False)
    assert 'href="/login?to=%2Fm%2F1103"' in before.text

    back = log_in(browser, idp, "/login?to=%2Fm%2F1103")

    asked = idp.asked[-1]
    assert asked["code_challenge_method"] == "S256"
    assert all(len(asked[name]) >= 20 for name in ("code_challenge", "state", "nonce"))
    assert (back.status_code, back.headers["location"]) == (303, "/m/1103")
    cookie = back.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "path=/", "max-age=28800", "httponly", "samesite=lax", "secure"
    }  # fmt: skip
    assert set(session_in(browser)) == {"until", "id"}
    assert ALL in browser.get("/m/1103").text
    assert "NORDMANN" not in browser.get("/").text


def test_a_session_lasts_eight_hours_from_its_login_and_not_longer_however_often_it_is_used(
    browser: TestClient, idp: Provider, clock: Clock
) -> None:
    log_in(browser, idp)
    clock.at += timedelta(hours=7, minutes=59)
    assert browser.get("/").status_code == 200
    begun(browser)  # a login that is begun and not ended signs the session anew
    clock.at += timedelta(minutes=1)

    assert browser.get("/").status_code == 401


def test_who_logs_out_is_out_and_so_is_a_copy_of_his_cookie(browser: TestClient, idp: Provider) -> None:
    log_in(browser, idp)
    copy = browser.cookies[COOKIE]

    assert 'action="/logout"' in browser.get("/").text
    assert browser.get("/logout").status_code == 405
    assert browser.post("/logout").status_code == 303

    assert COOKIE not in browser.cookies
    assert browser.get("/", headers={"cookie": f"{COOKIE}={copy}"}).status_code == 401


@pytest.mark.parametrize(
    "claims", [{}, {"groups": []}, {"groups": ["others"]}, {"groups": "kpr-drift2"}, {"groups": 1}]
)
def test_who_lacks_the_claim_is_told_so_and_gets_nothing(
    browser: TestClient, idp: Provider, claims: dict[str, object]
) -> None:
    idp.claims = claims

    back = log_in(browser, idp)

    assert back.status_code == 403
    assert "web.allow" in back.text
    assert browser.get("/").status_code == 401


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("groups", {"groups": "kpr-leder"}),
        ("realm_access.roles", {"realm_access": {"roles": ["kpr-leder"]}}),
        ("https://example.no/roles", {"https://example.no/roles": ["x", "kpr-drift"]}),
    ],
)
def test_a_claim_may_be_one_value_or_lie_in_another(
    web: WebSettings, idp: Provider, clock: Clock, claim: str, claims: dict[str, object]
) -> None:
    idp.claims = claims
    named = replace(web, allow=Allowed(claim, ("kpr-drift", "kpr-leder")))
    app = application(access=login(named, clock), clock=clock)
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        assert log_in(client, idp).status_code == 303


def test_a_state_that_is_not_this_browsers_leads_nowhere(
    browser: TestClient, web: WebSettings, idp: Provider, clock: Clock
) -> None:
    others = at_provider(idp, begun(browser))
    with TestClient(application(access=login(web, clock)), base_url=ADDRESS, follow_redirects=False) as victim:
        assert victim.get(others).status_code == 400, "a login that somebody else began (login CSRF)"
        begun(victim)
        assert victim.get(others).status_code == 400
        assert victim.get("/").status_code == 401
    forged = re.sub("state=[^&]+", "state=forged", others)
    assert browser.get(forged).status_code == 400
    assert browser.get(f"{BACK}?code=1").status_code == 400
    assert browser.get(f"{BACK}?error=access_denied&error_description=KARI").status_code == 400
    assert "KARI" not in browser.get(f"{BACK}?error=access_denied&error_description=KARI").text

    assert browser.get(others).status_code == 303, "the one who began it"
    assert browser.get(others).status_code == 400, "once"


@pytest.mark.parametrize(
    ("flaw", "value"),
    [
        ("token", {"nonce": "another"}),
        ("token", {"nonce": None}),
        ("token", {"iss": "https://elsewhere.example"}),
        ("token", {"aud": "another-client"}),
        ("token", {"exp": 1_700_000_000}),
        ("signs_with", "another key"),
        ("unsigned", True),
        ("without_token", True),
    ],
)
def test_an_id_token_that_is_not_valid_lets_nobody_in(
    browser: TestClient, idp: Provider, flaw: str, value: object
) -> None:
    if flaw == "signs_with":
        value = jwk.RSAKey.generate_key(2048, {"kid": "1"}, auto_kid=False)
    setattr(idp, flaw, value)

    back = log_in(browser, idp)

    assert back.status_code == 403, back.text
    assert "NORDMANN" not in back.text
    assert browser.get("/").status_code == 401


def test_a_code_of_somebody_else_is_worth_nothing(
    browser: TestClient, web: WebSettings, idp: Provider, clock: Clock
) -> None:
    stolen = parse_qs(urlsplit(at_provider(idp, begun(browser))).query)["code"][0]
    with TestClient(application(access=login(web, clock)), base_url=ADDRESS, follow_redirects=False) as thief:
        own = at_provider(idp, begun(thief))
        assert thief.get(re.sub("code=[^&]+", f"code={stolen}", own)).status_code in {400, 403}, "PKCE"
        assert thief.get("/").status_code == 401


def test_a_forged_cookie_is_none(browser: TestClient, web: WebSettings, idp: Provider, clock: Clock) -> None:
    log_in(browser, idp)
    good = browser.cookies[COOKIE]
    payload, time, signature = good.split(".")
    later = base64.b64encode(json.dumps({"until": 9e9, "id": "x"}).encode()).decode()
    forged = [
        f"{later}.{time}.{signature}",
        f"{payload}.{time}.{signature[:-2]}AA",
        f"{payload}.{time}",
        TimestampSigner("another secret").sign(later.encode()).decode(),
        TimestampSigner(SESSIONS.reveal()).sign(later.encode()).decode(),
        later,
        "",
    ]
    browser.cookies.clear()
    for cookie in forged:
        assert browser.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 401
    assert browser.get("/", headers={"cookie": f"{COOKIE}={good}"}).status_code == 200, "the one they were made of"

    for other in (
        login(web, clock, environment="produksjon"),
        login(replace(web, session_secret=Secret("another secret of this length, at least")), clock),
        login(replace(web, allow=Allowed("groups", ("kpr-leder",))), clock),
    ):
        with TestClient(application(access=other, clock=clock), base_url=ADDRESS, follow_redirects=False) as client:
            assert client.get("/", headers={"cookie": f"{COOKIE}={good}"}).status_code == 401


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://127.0.0.1/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
def test_another_provider_than_the_one_that_is_configured_is_asked_nothing(
    browser: TestClient, idp: Provider, said: dict[str, object]
) -> None:
    idp.metadata = said
    assert browser.get("/login").status_code == 502
    idp.metadata = {}
    assert log_in(browser, idp).status_code == 303, "once it is what it must be"


def test_a_provider_that_does_not_answer_or_has_another_certificate_is_said(
    web: WebSettings, idp: Provider, clock: Clock, tmp_path: Path
) -> None:
    strangers = make_authority(tmp_path / "strangers")
    for other in (replace(web, issuer="https://127.0.0.1:9"), replace(web, ca_file=strangers.ca_file)):
        with TestClient(application(access=login(other, clock)), base_url=ADDRESS, follow_redirects=False) as client:
            answer = client.get("/login")
            assert (answer.status_code, "cannot be reached" in answer.text) == (502, True)


def test_what_a_provider_says_of_itself_changes_nothing_of_how_it_is_asked(
    browser: TestClient, idp: Provider, tmp_path: Path
) -> None:
    with provider(make_authority(tmp_path), tmp_path) as stranger:  # nobody trusts its certificate
        idp.metadata = {"token_endpoint": f"{stranger.issuer}/token", "verify": False, "trust_env": True}

        assert log_in(browser, idp).status_code == 502


def test_a_short_session_secret_is_refused(web: WebSettings, clock: Clock) -> None:
    with pytest.raises(ConfigInvalid, match="too short"):
        login(replace(web, session_secret=Secret("short")), clock)


def test_where_to_is_a_page_of_ours_or_the_first(browser: TestClient, idp: Provider) -> None:
    for wanted in ("https://elsewhere.example", "//elsewhere.example", "/m/../x", "/logout", ""):
        answer = log_in(browser, idp, f"/login?to={wanted}")
        assert answer.headers["location"] == "/"
