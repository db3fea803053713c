"""Keys in a hardware token (PKCS#11): it signs and decrypts, and the private key is never in this process.

PKCS#11 has one login and one set of sessions for each process, so there is one session for each token, shared by
all keys on it and used by one thread at a time. It is opened when the first key is looked for and never closed: closing
one that has logged in logs all others out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar, cast

import pkcs11
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509 import Certificate
from pkcs11 import MGF, Attribute, Mechanism, ObjectClass
from pkcs11.types import Session, Token

from kpr_sender.cms.certificates import load_certificate, rsa_public_key
from kpr_sender.cms.port import AlgorithmRefused, KeyTransport, Oaep
from kpr_sender.errors import AccessRefused, ConfigInvalid, KeyUnavailable, LoginRefused
from kpr_sender.keys.files import intermediates
from kpr_sender.logins import Attempt, Login, unremembered
from kpr_sender.texts import Text

_DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of a SHA-256 digest, up to the digest (RFC 8017 9.2, note 1)."""

_OAEP: Final = {
    "sha1": (Mechanism.SHA_1, MGF.SHA1),
    "sha256": (Mechanism.SHA256, MGF.SHA256),
    "sha384": (Mechanism.SHA384, MGF.SHA384),
    "sha512": (Mechanism.SHA512, MGF.SHA512),
}

_BAD_CIPHERTEXT: Final = (
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
    pkcs11.DataInvalid,
    pkcs11.DataLenRange,
)
_SAYS_NOTHING: Final = (pkcs11.GeneralError, pkcs11.FunctionFailed, pkcs11.DeviceError)
"""A bad ciphertext with some tokens (SoftHSM says GeneralError), an outage with others."""

_CANNOT: Final = (
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.ArgumentsBad,
    pkcs11.FunctionNotSupported,
)
_WRONG_PIN: Final = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange)
_NO_LOGIN: Final = (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized)

_Done = TypeVar("_Done")

_SEVERAL: Final = Text("several certificates")
_NO_CERTIFICATE: Final = Text("no certificate")


class _PrivateKey(Protocol):
    """What python-pkcs11 puts together for an RSA key when it finds one."""

    id: bytes

    def __getitem__(self, key: Attribute) -> bytes: ...

    def sign(self, data: bytes, *, mechanism: Mechanism) -> bytes: ...

    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Address:
    """The place of a key on a hardware token.

    Attributes:
        module: The vendor's PKCS#11 library.
        token_label: The token; empty where the slot says which.
        slot: The slot's number; None where the label says which.
        key_label: CKA_LABEL of the private key; empty for any.
        key_id: CKA_ID of the private key; empty for any.
    """

    module: str
    token_label: str
    slot: int | None
    key_label: str
    key_id: bytes

    @property
    def token(self) -> str:
        """The token, for a message."""
        return (
            Text('labelled "{label}"', label=self.token_label)
            if self.token_label
            else Text("in slot {slot}", slot=self.slot)
        )

    @property
    def key(self) -> str:
        """The key, for a message."""
        label, key_id = self.key_label, self.key_id.hex()
        if label and key_id:
            return Text('labelled "{label}" with id {id}', label=label, id=key_id)
        return Text("with id {id}", id=key_id) if key_id else Text('labelled "{label}"', label=label) if label else ""


_USED_BY_ONE_THREAD: Final = threading.RLock()
_sessions: Final[dict[tuple[str, str, int | None], Session]] = {}


@dataclass(slots=True)
class HardwareKey:
    """A ``Signer`` and a ``Decrypter`` whose key is in a token.

    Attributes:
        address: Where the key is.
        pin: Reads the PIN; called at each login.
        name: The configuration key, for messages.
        attempt: Entered around each login.
        certificate: The key's own.
        chain: The intermediates from the certificate upwards, without the root.
    """

    address: Address
    pin: Callable[[], str] = field(repr=False)
    name: str
    attempt: Attempt = field(default=unremembered, repr=False)
    certificate: Certificate = field(init=False)
    chain: tuple[Certificate, ...] = field(init=False, default=())
    _found: tuple[Session, _PrivateKey] | None = field(init=False, default=None, repr=False)

    @classmethod
    def open(
        cls,
        address: Address,
        *,
        pin: Callable[[], str],
        certificates: Sequence[Certificate],
        name: str,
        attempt: Attempt = unremembered,
    ) -> HardwareKey:
        """Log in and look for the key and its certificate.

        Args:
            address: Where the key is.
            pin: Reads the PIN.
            certificates: The key's own certificate, then its intermediates; empty when they are on the token.
            name: The configuration key, for messages.
            attempt: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.

        Raises:
            ConfigInvalid: The module is no PKCS#11 library, the address fits several tokens, or there is no PIN.
            AccessRefused: Wrong PIN; no such key, or several; no certificate; the key is not the certificate's.
            KeyUnavailable: The token is not there or does not answer.
        """
        key = cls(address, pin, name, attempt)
        with _USED_BY_ONE_THREAD:
            key._twice(lambda: key._take_certificate(key._private_key(), certificates))
        return key

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest.

        Raises:
            KeyUnavailable: The token does not answer, also when asked once more.
        """
        return self._use(lambda key: key.sign(_DIGEST_INFO + digest, mechanism=Mechanism.RSA_PKCS))

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        """Return the content key.

        Raises:
            ValueError: The ciphertext is not valid.
            AlgorithmRefused: The token cannot undo this padding.
            KeyUnavailable: The token does not answer, also when asked once more.
        """
        mechanism, parameter = _mechanism(padding)

        def decrypt(key: _PrivateKey) -> bytes:
            try:
                return key.decrypt(encrypted_key, mechanism=mechanism, mechanism_param=parameter)
            except _BAD_CIPHERTEXT:
                raise ValueError("the token says that the encrypted key is not valid") from None
            except _CANNOT:
                if parameter is None:
                    raise
                raise AlgorithmRefused(Text("RSAES-OAEP with a digest that the token cannot do")) from None
            except _SAYS_NOTHING:
                if not self._decrypts(key):
                    raise
                raise ValueError("the token decrypts, but not this encrypted key") from None

        return self._use(decrypt)

    def _decrypts(self, key: _PrivateKey) -> bool:
        """Distinguish a bad ciphertext from an outage, where the token's answer does not: is a good one decrypted?"""
        proof = b"kpr-sender"
        encrypted = rsa_public_key(self.certificate, name=self.name).encrypt(proof, PKCS1v15())
        try:
            return key.decrypt(encrypted, mechanism=Mechanism.RSA_PKCS) == proof
        except pkcs11.PKCS11Error:
            return False

    def _use(self, work: Callable[[_PrivateKey], _Done]) -> _Done:
        """Do something with the key, which was in order when it was opened.

        Raises:
            KeyUnavailable: Whatever goes wrong with token, session and login: an outage, since it went well before.
        """
        with _USED_BY_ONE_THREAD:
            try:
                return self._twice(lambda: work(self._private_key()))
            except AccessRefused as error:
                raise KeyUnavailable(error.what, where=self.name, next_step=error.next_step) from None

    def _twice(self, work: Callable[[], _Done]) -> _Done:
        """Do it; where session or device were lost, once more with a new session. A refused PIN is not tried again."""
        try:
            return work()
        except (pkcs11.PKCS11Error, KeyUnavailable):
            self._forget()
        try:
            return work()
        except pkcs11.PKCS11Error as error:
            what = Text(
                "The token {token} does not answer ({name}).", token=self.address.token, name=type(error).__name__
            )
            raise KeyUnavailable(what, where=self.name) from None

    def _private_key(self) -> _PrivateKey:
        session = self._session()
        if self._found is None or self._found[0] is not session:
            self._found = (session, self._look_for_key(session))
        return self._found[1]

    def _look_for_key(self, session: Session) -> _PrivateKey:
        wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if self.address.key_label:
            wanted[Attribute.LABEL] = self.address.key_label
        if self.address.key_id:
            wanted[Attribute.ID] = self.address.key_id
        found = list(session.get_objects(wanted))
        if len(found) != 1:
            many = Text("{found} private keys", found=len(found)) if found else Text("no private key")
            raise AccessRefused(
                Text("The token {token} has {many} {key}.", token=self.address.token, many=many, key=self.address.key),
                where=self.name,
                next_step=Text("Name the right one with key_label, key_id or both."),
            )
        return cast("_PrivateKey", found[0])

    def _take_certificate(self, key: _PrivateKey, given: Sequence[Certificate]) -> None:
        certificate, others = (given[0], given[1:]) if given else self._certificate_of(key)
        modulus = rsa_public_key(certificate, name=self.name).public_numbers().n
        try:
            belongs = int.from_bytes(key[Attribute.MODULUS], "big") == modulus
        except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive):
            # A token need not tell. Each signature is verified with the certificate when it is made.
            belongs = True
        if not belongs:
            raise AccessRefused(Text("The private key does not belong to the certificate."), where=self.name)
        self.chain = intermediates(certificate, others)
        self.certificate = certificate

    def _certificate_of(self, key: _PrivateKey) -> tuple[Certificate, list[Certificate]]:
        """Find the certificate with the key's id, as tokens have it, and all others there for the chain."""
        by_id = [
            (each[Attribute.ID], load_certificate(each[Attribute.VALUE], self.name))
            for each in self._session().get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE})
        ]
        own = [certificate for key_id, certificate in by_id if key_id == key.id]
        if len(own) != 1:
            raise AccessRefused(
                Text(
                    "The token {token} has {certificates} for the key {key}.",
                    token=self.address.token,
                    certificates=_SEVERAL if own else _NO_CERTIFICATE,
                    key=self.address.key,
                ),
                where=self.name,
                next_step=Text("Name the certificate's file in certificate."),
            )
        return own[0], [certificate for _, certificate in by_id if certificate is not own[0]]

    @property
    def _place(self) -> tuple[str, str, int | None]:
        return self.address.module, self.address.token_label, self.address.slot

    def _session(self) -> Session:
        if self._place not in _sessions:
            _sessions[self._place] = self._log_in(self._token())
        return _sessions[self._place]

    def _forget(self) -> None:
        """Give the session up, and let the library read its slots once more: some do so only when initialized.

        Other tokens of the same library lose their sessions by that; they are opened again when they are used.
        """
        for place in [place for place in _sessions if place[0] == self.address.module]:
            del _sessions[place]
        self._found = None
        try:
            pkcs11.lib(self.address.module).reinitialize()
        except pkcs11.PKCS11Error:
            return  # Opening a session says what is wrong.

    def _token(self) -> Token:
        try:
            library = pkcs11.lib(self.address.module)
        except pkcs11.PKCS11Error as error:
            raise ConfigInvalid(
                Text("The PKCS#11 module cannot be loaded: {error}.", error=error), where=self.name
            ) from None
        tokens = [slot.get_token() for slot in library.get_slots(token_present=True) if self._is_wanted(slot.slot_id)]
        if self.address.token_label:
            tokens = [token for token in tokens if token.label == self.address.token_label]
        if len(tokens) > 1:
            raise ConfigInvalid(
                Text("There are {tokens} tokens {token}.", tokens=len(tokens), token=self.address.token),
                where=self.name,
                next_step=Text("Name the slot."),
            )
        if not tokens:
            raise KeyUnavailable(Text("There is no token {token}.", token=self.address.token), where=self.name)
        return tokens[0]

    def _is_wanted(self, slot: int) -> bool:
        return self.address.slot in (None, slot)

    def _log_in(self, token: Token) -> Session:
        login = Login(
            Text("token {token} of {module}", token=self.address.token, module=self.address.module),
            self.name,
            tuple(map(str, self._place)),
            self.pin,
        )
        try:
            with self.attempt(login):
                return self._opened(token)
        except pkcs11.UserAlreadyLoggedIn:
            # By the program that this is part of, or by a session of ours that is lost: the login is the process's.
            return token.open()
        except _NO_LOGIN as error:
            raise AccessRefused(
                Text(
                    "The token {token} lets nobody log in ({name}).",
                    token=self.address.token,
                    name=type(error).__name__,
                ),
                where=self.name,
                next_step=Text("Let whoever manages the token set a new PIN."),
            ) from None

    def _opened(self, token: Token) -> Session:
        try:
            return token.open(user_pin=self.pin())
        except _WRONG_PIN:
            raise LoginRefused(
                Text("The token {token} refuses the PIN.", token=self.address.token),
                where=self.name,
                next_step=Text(
                    "Correct the PIN before anything runs again: tokens lock themselves after a few wrong ones."
                ),
            ) from None


def _mechanism(padding: KeyTransport) -> tuple[Mechanism, tuple[Mechanism, MGF, None] | None]:
    if not isinstance(padding, Oaep):
        return Mechanism.RSA_PKCS, None
    if padding.digest.name not in _OAEP or padding.mgf1_digest.name not in _OAEP:
        raise AlgorithmRefused(
            Text(
                "RSAES-OAEP with {digest} and {mgf1_digest}",
                digest=padding.digest.name,
                mgf1_digest=padding.mgf1_digest.name,
            )
        )
    return Mechanism.RSA_PKCS_OAEP, (_OAEP[padding.digest.name][0], _OAEP[padding.mgf1_digest.name][1], None)
