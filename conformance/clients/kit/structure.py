"""BODYSTRUCTURE (RFC 9051 §7.5.2) as a tree of parts with their section numbers."""

from . import wire

MEDIA = ("type", "subtype", "params", "id", "description", "encoding", "octets")


class Part:
    """One body part; `section` is its number as BODY[…] takes it, b"" for the whole message."""

    def __init__(self, section, kind, octets=None, lines=None):
        self.section = section
        self.kind = kind
        self.octets = octets
        self.lines = lines
        self.children = []

    def walk(self):
        """This part and all below, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def text(value, what):
    if value is not None and not isinstance(value, wire.Text):
        raise wire.WireError(f"{what} of BODYSTRUCTURE is not a string: {value!r}")
    return value


def number(value, what):
    if isinstance(value, wire.Text) or not isinstance(value, bytes) or not value.isdigit():
        raise wire.WireError(f"{what} of BODYSTRUCTURE is not a number: {value!r}")
    return int(value)


def params(value):
    if value is None:
        return
    if not isinstance(value, list) or not value or len(value) % 2 or \
            not all(isinstance(v, wire.Text) for v in value):
        raise wire.WireError(f"not a parameter list: {value!r}")


def message(body):
    """The tree of a whole message from the parsed value of BODYSTRUCTURE."""
    if isinstance(body, list) and body and isinstance(body[0], list):
        return part(body, b"")
    return part(body, b"1")


def numbered(section, index):
    return b"%d" % index if not section else section + b".%d" % index


def part(body, section):
    """One `body` of the grammar."""
    if not isinstance(body, list) or not body:
        raise wire.WireError(f"not a body: {body!r}")
    if isinstance(body[0], list):
        count = next((i for i, v in enumerate(body) if not isinstance(v, list)), len(body))
        if count == len(body) or not text(body[count], "subtype"):
            raise wire.WireError(f"a multipart without a subtype: {body!r}"[:300])
        if len(body) > count + 1:
            params(body[count + 1])
        out = Part(section, b"MULTIPART/" + body[count].upper())
        out.children = [part(child, numbered(section, i + 1))
                        for i, child in enumerate(body[:count])]
        return out
    if len(body) < 7:
        raise wire.WireError(f"a body of {len(body)} fields: {body!r}")
    kind = text(body[0], "type").upper() + b"/" + text(body[1], "subtype").upper()
    params(body[2])
    text(body[3], "id")
    text(body[4], "description")
    if text(body[5], "encoding") is None:
        raise wire.WireError("no encoding in BODYSTRUCTURE")
    out = Part(section, kind, number(body[6], "octets"))
    if kind in (b"MESSAGE/RFC822", b"MESSAGE/GLOBAL") and len(body) > 9 \
            and isinstance(body[7], list):
        if len(body[7]) != 10:
            raise wire.WireError(f"an envelope of {len(body[7])} fields")
        out.lines = number(body[9], "lines")
        inner = body[8]
        if isinstance(inner, list) and inner and isinstance(inner[0], list):
            # The multipart of an enclosed message has no number of its own.
            child = part(inner, section)
            out.children = child.children
        else:
            out.children = [part(inner, numbered(section, 1))]
        out.kind = b"MESSAGE/RFC822"
    elif kind.startswith(b"TEXT/"):
        if len(body) < 8:
            raise wire.WireError(f"{kind!r} without its lines")
        out.lines = number(body[7], "lines")
    elif kind == b"MESSAGE/RFC822":
        raise wire.WireError("message/rfc822 without its envelope, body and lines")
    return out
