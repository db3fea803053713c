"""TLS by Python's ``ssl``, outside proton: 1.2 or later, chain and host name checked, own CA where configured."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Final

from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError

# X509_V_ERR codes of OpenSSL's x509_vfy.h.
_VERIFY_ERRORS: Final = {
    **dict.fromkeys((2, 18, 19, 20, 21), "is not issued by an authority that we know"),
    **dict.fromkeys((9,), "is not valid yet"),
    **dict.fromkeys((10,), "is expired"),
    **dict.fromkeys((62, 64), "is made out to another host name"),
}
_VERIFY_NEXT: Final = {
    **dict.fromkeys((2, 18, 19, 20, 21), "Check bus.ca_file; do not switch the check off."),
    **dict.fromkeys((9, 10), "Check this machine's clock, then ask the bus's operator (kundesenter@nhn.no)."),
    **dict.fromkeys((62, 64), "Check bus.host: it must be the name in the certificate."),
}
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_TOO_OLD: Final = (
    *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER"),
    *("SSLV3_ALERT_HANDSHAKE_FAILURE", "INTERNAL_ERROR"),
)


def require_loopback(address: str) -> None:
    """Refuse to log in without TLS anywhere but on this machine: PLAIN shows the password to the network.

    Args:
        address: Host name or address as configured, or the address that answered.

    Raises:
        ConfigInvalid: It is not a loopback address.
    """
    if not is_loopback(address):
        raise ConfigInvalid(
            "The bus is configured without TLS, and its address is not on this machine.",
            where="bus.tls",
            next_step="Set bus.tls to true; without TLS only a loopback address is allowed.",
        )


def is_loopback(address: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def refusal(error: ssl.SSLError, where: str) -> KprError:
    """Say what a failed handshake means.

    Args:
        error: What ``ssl`` raised.
        where: Host and port, for the message.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        return AccessRefused(
            f"The bus's certificate {_VERIFY_ERRORS.get(code, 'cannot be verified')} ({error.verify_message}).",
            where=where,
            next_step=_VERIFY_NEXT.get(code, ""),
        )
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return ConfigInvalid(
            "What answers does not speak TLS.", where=where, next_step="Check bus.port and bus.tls (TLS is on 5671)."
        )
    if reason in _TOO_OLD:
        return AccessRefused(f"The bus offers no TLS 1.2 or later ({reason}).", where=where)
    if "CERTIFICATE" in reason:
        return AccessRefused(f"TLS failed on a certificate ({reason}).", where=where)
    return BusUnreachable(f"The TLS handshake failed ({reason or type(error).__name__}).", where=where)
