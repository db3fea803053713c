"""Small documents of the three formats, and what can be done to them: seeded, many at a time.

A document is a tree of our own, so that what a serializer would tidy up (CDATA, references, prefixes, comments inside
values) can be written too.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from kpr_sender.preflight.catalogue.fields import Catalogue, iplos, xpr_ide
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.schemas import payload, payload_schema

CATALOGUES: Final[dict[str, Callable[[], Catalogue]]] = {
    "kpr_ipl": iplos,
    "kpr_ide_53_1_2": lambda: xpr_ide("53.1.2"),
    "kpr_ide_53_1_3": lambda: xpr_ide("53.1.3"),
}
NAMESPACES: Final = {
    "kpr_ipl": "http://www.npr.no/xmlstds/iplos/2019",
    "kpr_ide_53_1_2": "http://www.npr.no/xmlstds/53_1_2_ide",
    "kpr_ide_53_1_3": "http://www.npr.no/xmlstds/53_1_3_ide",
}
OTHER: Final = "urn:example:other"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_MOST_ROWS: Final = 2  # of a kind under one person


@dataclass
class Node:
    """One element; what stands in it is raw XML or elements."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[str | Node] = field(default_factory=list)
    prefix: str = ""
    declares: str = ""

    def children(self) -> list[Node]:
        return [each for each in self.content if isinstance(each, Node)]

    def all(self) -> Iterator[Node]:
        yield self
        for child in self.children():
            yield from child.all()

    def copy(self) -> Node:
        content = [each if isinstance(each, str) else each.copy() for each in self.content]
        return Node(self.name, dict(self.attributes), content, self.prefix, self.declares)

    def xml(self) -> str:
        tag = f"{self.prefix}{self.name}"
        attributes = "".join(f" {name}={_quoted(value)}" for name, value in self.attributes.items())
        inside = "".join(each if isinstance(each, str) else each.xml() for each in self.content)
        start = f"{tag}{self.declares}{attributes}"
        return f"<{start}>{inside}</{tag}>" if inside else f"<{start}/>"


@dataclass
class Document:
    """One document of a format."""

    form: str
    root: Node
    excused: set[str] = field(default_factory=set)
    finish: list[Callable[[str], str]] = field(default_factory=list)

    def data(self) -> bytes:
        text = self.root.xml()
        for each in self.finish:
            text = each(text)
        return text.encode()


@cache
def _quoted(value: str) -> str:
    return value if value.startswith(('"', "'")) else quoteattr(value)


# -- documents to begin with --------------------------------------------------------------------------------------


@cache
def _base(form: str) -> list[Node]:
    schema = payload_schema(form)
    nodes = [_node(etree.fromstring(payload(form))), *map(_node, _samples(form))]
    for node in nodes:
        node.declares = f' xmlns="{NAMESPACES[form]}" xmlns:xsi="{XSI}" xmlns:o="{OTHER}" xmlns:n="{NAMESPACES[form]}"'
        assert schema.validate(etree.fromstring(node.xml())), schema.error_log
    return nodes


def _samples(form: str) -> Iterator[etree._Element]:
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, 7):
            paths = write_pair(Path(folder), year=2024, persons=1 + seed % 2, seed=seed)
            text = paths[form != "kpr_ipl"].read_bytes()
            if form == "kpr_ide_53_1_2":
                text = text.replace(b"53_1_3", b"53_1_2").replace(b"53.1.3", b"53.1.2").replace(b'="17"', b'="16"')
            yield _shrunk(etree.fromstring(text), seed)


def _shrunk(root: etree._Element, seed: int) -> etree._Element:
    if seed % 2 and len(root) and root[-1].tag.endswith("Institusjon"):
        root.append(etree.fromstring(etree.tostring(root[-1])))
        root[-1].set("institusjonID", "a second")
    for person in root.iterfind("{*}PERSON"):
        kept: dict[str, int] = {}
        for row in list(person):
            kept[row.tag] = kept.get(row.tag, 0) + 1
            if len(row) and kept[row.tag] > 1 + seed % _MOST_ROWS:
                person.remove(row)
    return root


def _node(element: etree._Element) -> Node:
    content: list[str | Node] = [escape(element.text or "")]
    for child in element:
        content += [_node(child), escape(child.tail or "")]
    return Node(
        etree.QName(element).localname,
        {str(name): str(value) for name, value in element.attrib.items()},
        [each for each in content if each != ""],
    )


def documents(form: str, count: int, seed: int) -> Iterator[Document]:
    """Yield mutated documents of a format; the same arguments, the same documents."""
    random = Random(f"{form} {seed}")
    for _ in range(count):
        document = Document(form, random.choice(_base(form)).copy())
        for mutate in random.choices(MUTATIONS, k=random.choice((0, 1, 1, 1, 1, 2, 2, 3))):
            mutate(document, random)
        yield document


# -- what is done to them -----------------------------------------------------------------------------------------

VALUES: Final[Sequence[str]] = (
    *("", " ", "\t", "0", "1", " 1", "1 ", "\n1\t", "+1", "-1", "-0", "+0", "01", "0000000000000000000000001", "1 1"),
    *(
        "16",
        "17",
        "18",
        "12",
        "010",
        "11",
        "13",
        "E",
        "B",
        "e",
        " E",
        "P",
        "p",
        " P",
        "3.7",
        "3.70",
        "53.1.2",
        "53.1.3",
    ),
    *(
        "32767",
        "32768",
        "-32768",
        "-32769",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "+-1",
        "--1",
        "-",
    ),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" * 40, "+", "."),
    *("1.0", "1.", ".1", "+.1", "-.5", "1e3", "1,5", "INF", "NaN", "123.45", "1234.5", "1000.10", "10000.1", "99999.9"),
    *("12345", "12345.0", "123456", "00012345.00", "0.00", "0.001", "0.010", "1.200000", "00.01", "168.00", "0x1", "٣"),
    *("20240101", "20240231", "20241301", "20240132", "20240100", "2024010", "202401011", "99991231", "00000101", "ab"),
    *(" 20240101", "20240101 ", "2024-01-01", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "2024-1-1"),
    *("2024-01-01Z", "2024-01-01z", "2024-01-01+14:00", "2024-01-01+14:01", "2024-01-01-13:59", "2024-01-01+1:00"),
    *("0000-01-01", "-0001-01-01", "-0004-02-29", "-0005-02-29", "10000-01-01", "010000-01-01", " 2024-01-01 "),
    *("2024-13-01", "2024-04-31", "2024-01-01T00:00:00", "9223372036854775807-01-01", "9223372036854775808-01-01"),
    *("0f0d9d5e-6f0a-4a0e-9b86-5d9a2f9d5b10", "{0F0D9D5E-6F0A-4A0E-9B86-5D9A2F9D5B10}", "{0f0d9d5e}", "1001", "1002"),
    *("x" * 4, "x" * 5, "x" * 10, "x" * 11, "x" * 15, "x" * 16, "x" * 300, "æøå𝒳", "æ𝒳", "æ", "\u00a01", "a\u0301"),
)


def _some(document: Document, random: Random) -> Node:
    return random.choice(list(document.root.all()))


def _leaf(document: Document, random: Random) -> Node:
    leaves = [each for each in document.root.all() if each.content and not each.children()]
    return random.choice(leaves) if leaves else _some(document, random)


def _with_parent(document: Document, random: Random) -> tuple[Node, int]:
    places = [
        (node, at) for node in document.root.all() for at, child in enumerate(node.content) if isinstance(child, Node)
    ]
    return random.choice(places) if places else (document.root, 0)


def _drop(document: Document, random: Random) -> None:
    parent, at = _with_parent(document, random)
    del parent.content[at : at + 1]


def _repeat(document: Document, random: Random) -> None:
    parent, at = _with_parent(document, random)
    again = [each.copy() for each in parent.content[at : at + 1] if isinstance(each, Node)]
    for each in again:
        if random.random() < 0.6:
            for name in ("pid", "institusjonID"):
                if name in each.attributes:
                    each.attributes[name] += random.choice(("0", " ", "x"))
    parent.content[at:at] = again


def _swap(document: Document, random: Random) -> None:
    parent = random.choice([each for each in document.root.all() if len(each.content) > 1] or [document.root])
    if len(parent.content) > 1:
        one, other = random.sample(range(len(parent.content)), 2)
        parent.content[one], parent.content[other] = parent.content[other], parent.content[one]


def _move(document: Document, random: Random) -> None:
    parent, at = _with_parent(document, random)
    moved = parent.content[at : at + 1]
    target = _some(document, random)
    if all(isinstance(each, Node) and target not in list(each.all()) for each in moved):
        del parent.content[at : at + 1]
        place = random.randint(0, len(target.content))
        target.content[place:place] = moved


def _any_name(document: Document, random: Random) -> str:
    catalogue = CATALOGUES[document.form]()
    known = [*catalogue.blocks, *(each.name for each in catalogue.fields.values() if each.kind == "element")]
    return random.choice((*known, "peFnr", "unknown"))


def _rename(document: Document, random: Random) -> None:
    if (node := _some(document, random)) is not document.root:
        node.name = _any_name(document, random)


def _insert(document: Document, random: Random) -> None:
    target = _some(document, random)
    at = random.randint(0, len(target.content))
    target.content.insert(at, Node(_any_name(document, random), {}, [escape(random.choice(VALUES))]))


def _retype(document: Document, random: Random) -> None:
    node = _leaf(document, random)
    node.content = [escape(random.choice(VALUES))]


def _retype_attribute(document: Document, random: Random) -> None:
    holders = [each for each in document.root.all() if each.attributes]
    if holders:
        node = random.choice(holders)
        node.attributes[random.choice(list(node.attributes))] = random.choice(VALUES)


def _pad(document: Document, random: Random) -> None:
    node = _leaf(document, random)
    node.content.insert(random.choice((0, len(node.content))), random.choice((" ", "\n", "\t ", "&#13;", "\u00a0")))


def _empty(document: Document, random: Random) -> None:
    node = _leaf(document, random)
    node.content = [random.choice(("", "", "<!-- -->", "<?a b?>", "<![CDATA[ ]]>", "&#32;"))]


def _empty_cdata(document: Document, random: Random) -> None:
    _leaf(document, random).content = ["<![CDATA[]]>"]
    document.excused.add("empty CDATA section")


def _broken_up(document: Document, random: Random) -> None:
    """The same value, written otherwise."""
    node = _leaf(document, random)
    text = "".join(each for each in node.content if isinstance(each, str))
    if not node.children() and not set(text) & set("&<") and text:
        at = random.randint(0, len(text) - 1)
        letter = random.choice((f"&#{ord(text[at])};", f"&#x{ord(text[at]):X};", f"<![CDATA[{text[at]}]]>", text[at]))
        between = random.choice(("", "<!-- 7 <b> -->", "<?a 7?>", "<!---->"))
        node.content = [text[:at], between, letter, text[at + 1 :]]


def _text(document: Document, random: Random) -> None:
    target = _some(document, random)
    what = ("x", "&#120;", "<![CDATA[x]]>", " ", "\n\t", "&#32;", "&#xD;", "<![CDATA[ ]]>", "\u00a0", "&#160;", "&amp;")
    target.content.insert(random.randint(0, len(target.content)), random.choice(what))


def _aside(document: Document, random: Random) -> None:
    target = _some(document, random)
    what = random.choice(("<!-- <PERSON> -->", "<?a b?>", "<!--\n-->", "\n"))
    if what != "\n" or target.name not in {"PasientIdent", "Kontaktperson"}:
        target.content.insert(random.randint(0, len(target.content)), what)


def _drop_attribute(document: Document, random: Random) -> None:
    node = random.choice([each for each in document.root.all() if each.attributes] or [document.root])
    if node.attributes:
        del node.attributes[random.choice(list(node.attributes))]


def _add_attribute(document: Document, random: Random) -> None:
    catalogue = CATALOGUES[document.form]()
    known = [each.name for each in catalogue.fields.values() if each.kind == "attribute"]
    name = random.choice((*known, "x", "o:x", "n:pid", "n:pePeID", "xml:lang", "xml:id", "xmlns:q"))
    value = "urn:example:q" if name == "xmlns:q" else random.choice(("1", "1001", "no"))
    _some(document, random).attributes.setdefault(name, value)


def _optional_attribute(document: Document, random: Random) -> None:
    node = _some(document, random)
    block = CATALOGUES[document.form]().blocks.get(node.name)
    for name, attribute in block.attributes.items() if block else ():
        if not attribute.least:
            node.attributes.setdefault(name, random.choice(VALUES))


def _attribute_order(document: Document, random: Random) -> None:
    node = _some(document, random)
    names = random.sample(list(node.attributes), len(node.attributes))
    node.attributes = {name: node.attributes[name] for name in names}


def _attribute_spelling(document: Document, random: Random) -> None:
    node = _some(document, random)
    for name, value in node.attributes.items():
        if value and not set(value) & set("&<\"'"):
            node.attributes[name] = random.choice((f"'{value}'", f'"&#{ord(value[0])};{value[1:]}"', f'"{value}"'))


def _schema_hint(document: Document, random: Random) -> None:
    name = random.choice(("xsi:schemaLocation", "xsi:noNamespaceSchemaLocation"))
    _some(document, random).attributes[name] = random.choice(("urn:a nowhere.xsd", "urn:a", ""))


def _xsi(document: Document, random: Random) -> None:
    node = _some(document, random)
    name, value = random.choice((("nil", "true"), ("nil", "false"), ("nil", "0"), ("nil", "x"), ("foo", "1")))
    node.attributes[f"xsi:{name}"] = value


def _xsi_type(document: Document, random: Random) -> None:
    value = random.choice(('"xs:string"', '"xs:short"', '"xs:byte"', '"xs:nothing"', '"n:DatoType"'))
    node = _some(document, random)
    node.attributes["xsi:type"] = value
    node.attributes["xmlns:xs"] = "http://www.w3.org/2001/XMLSchema"
    document.excused.add("xsi:type")


def _other_namespace(document: Document, random: Random) -> None:
    node = _some(document, random)
    node.prefix = "o:"


def _no_namespace(document: Document, random: Random) -> None:
    _some(document, random).attributes["xmlns"] = random.choice(("", OTHER, NAMESPACES[document.form]))
    if document.root.attributes.pop("xmlns", None) is not None:
        document.root.declares = document.root.declares.replace(f' xmlns="{NAMESPACES[document.form]}"', "", 1)


def _prefixed(document: Document, random: Random) -> None:
    if random.random() < 0.5:
        _some(document, random).prefix = "n:"
        return
    for node in document.root.all():
        node.prefix = node.prefix or "n:"
    document.root.declares = document.root.declares.replace(f' xmlns="{NAMESPACES[document.form]}"', "", 1)


def _wrong_root(document: Document, random: Random) -> None:
    what = random.randrange(4)
    if what == 0:
        document.root.name = _any_name(document, random)
        if document.root.name in {"Institusjon", "Kontaktperson", "PasientIdent"}:
            document.excused.add("part of an identmelding")
    elif what == 1:
        document.root.declares = document.root.declares.replace("2019", "2018").replace("_ide", "_ipl")
    elif what == 2:
        document.root = Node("Wrapped", {}, [document.root])
    else:
        children = document.root.children()
        if children:
            declares, document.root = document.root.declares, random.choice(children)
            document.root.declares = declares
            document.excused.add("part of an identmelding")


def _malformed(document: Document, random: Random) -> None:
    places = (
        "</x>",
        "<x>",
        "&unknown;",
        "&",
        "<",
        "]]>",
        "\x01",
        "<x:y/>",
        "<!-- -- -->",
        "<a b='1' b='2'/>",
        "\ufffe",
    )
    what = random.choice(places)

    def broken(text: str) -> str:
        at = random.choice([found.end() for found in re.finditer(">", text)] or [0])  # it may be cut off already
        return text[:at] + what + text[at:]

    document.finish.append(random.choice((broken, lambda text: text[: random.randint(0, len(text) - 1)])))


def _around(document: Document, random: Random) -> None:
    before = random.choice(('<?xml version="1.0" encoding="UTF-8"?>\n', "<!-- -->", "\n", "\ufeff", ""))
    after = random.choice(("\n", "<!-- -->", "<?a?>", "x", "<x/>", ""))
    document.finish.append(lambda text: f"{before}{text}{after}")


MUTATIONS: Final[Sequence[Callable[[Document, Random], None]]] = (
    *(_drop, _repeat, _repeat, _swap, _move, _rename, _insert, _retype, _retype, _retype_attribute, _retype_attribute),
    *(_pad, _empty, _empty_cdata, _broken_up, _broken_up, _text, _aside, _aside, _drop_attribute, _add_attribute),
    *(_optional_attribute, _attribute_order, _attribute_spelling, _schema_hint, _xsi, _xsi_type, _other_namespace),
    *(_no_namespace, _prefixed, _prefixed, _wrong_root, _malformed, _around),
)
