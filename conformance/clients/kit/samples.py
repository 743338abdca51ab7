"""The messages that the clients work on, written for the purpose, and mailbox names."""

import base64
import re
import secrets

# Of this run: a server may take a message that comes twice from one sender for a repeated delivery.
RUN = secrets.token_hex(4)


def sender(name="sender"):
    """A reverse-path of this run alone."""
    return f"{name}.{RUN}@example.org"


SPACES = "Work items"
GREEK = "Größe/Übung №1"
JAPANESE = "日本語"


def from_utf7(name):
    """A mailbox name as IMAP4rev1 sends it (RFC 3501 §5.1.3), decoded."""
    def decode(found):
        if not found[1]:
            return "&"
        data = found[1].replace(b",", b"/")
        return base64.b64decode(data + b"=" * (-len(data) % 4)).decode("utf-16-be")
    return "".join(
        part if isinstance(part, str) else part.decode("ascii")
        for part in _split(name, decode))


def _split(name, decode):
    at = 0
    for found in re.finditer(rb"&([A-Za-z0-9+,]*)-", name):
        yield name[at:found.start()]
        yield decode(found)
        at = found.end()
    yield name[at:]


def utf7(name):
    """A mailbox name as IMAP4rev1 wants it."""
    out = bytearray()
    pending = ""

    def flush():
        nonlocal pending
        if pending:
            coded = base64.b64encode(pending.encode("utf-16-be")).rstrip(b"=")
            out.extend(b"&" + coded.replace(b"/", b",") + b"-")
            pending = ""
    for c in name:
        if " " <= c <= "~":
            flush()
            out.extend(b"&-" if c == "&" else c.encode())
        else:
            pending += c
    flush()
    return bytes(out)


def subject(message):
    """The first Subject of a message, as it stands."""
    found = re.search(rb"^Subject: ([^\r\n]*)", message, re.M | re.I)
    return found[1].decode("utf-8", "replace") if found else ""


def message(title, body="Hello.\r\n", extra=""):
    """A small message with a Message-ID of its own."""
    ident = re.sub(r"[^a-z0-9]+", "-", title.lower())
    return (f"From: Anna Example <anna@example.org>\r\nTo: Ben <ben@example.test>\r\n"
            f"Subject: {title}\r\nDate: Mon, 05 Jan 2026 10:11:12 +0100\r\n"
            f"Message-ID: <{ident}@example.org>\r\n{extra}\r\n{body}").encode()


def attachment():
    """Two parts: text in UTF-8, sent 8bit, and 200,000 octets in base64."""
    blob = base64.encodebytes(bytes((i * 7 + i // 256) % 256 for i in range(200_000)))
    return message("an attachment", (
        "preamble\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße aus Köln\r\n--=_b\r\n"
        "Content-Type: application/octet-stream; name=\"a b.bin\"\r\n"
        "Content-Disposition: attachment; filename=\"a b.bin\"\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
        + blob.decode().replace("\n", "\r\n") + "--=_b--\r\nepilogue\r\n"),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n")


def forwarded():
    """A message within a message within a multipart."""
    inner = message("the inner one", "Inner text.\r\n").decode()
    return message("a forwarded message", (
        "--outer\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--outer\r\n"
        "Content-Type: message/rfc822\r\n\r\n" + inner + "\r\n--outer--\r\n"),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n")


def delivered():
    """The messages that each client is given."""
    return [
        message("a plain one"),
        message("dots at line starts", ".\r\n..\r\n.hidden\r\nend of it\r\n"),
        message("an empty body", ""),
        message("From in the text", "From here on it is text.\r\n>From there too.\r\n"),
        message("a long line", "x" * 990 + "\r\n"),
        message("=?utf-8?q?Gr=C3=BC=C3=9Fe?= in a field", "Short.\r\n",
                "X-Folded: one\r\n two\r\n\tthree\r\n"),
        attachment(),
        forwarded(),
    ]
