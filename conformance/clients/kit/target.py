"""The server under test: where it listens and who may log in.

Every option may be given by the environment too (`TARGET_…`): the wrappers `with-dbmail`
and `with-dovecot` set it for the program that they run.
"""

import argparse
import json
import os

from . import wire

OPTIONS = (
    ("name", "server", "what the report calls the server"),
    ("imap-host", "127.0.0.1", "host of IMAP"),
    ("imap-port", "143", "port of IMAP in clear text (and STARTTLS)"),
    ("imaps-port", "", "port of IMAP with TLS from the first octet; none: steps with TLS fail"),
    ("lmtp", "127.0.0.1:24", "HOST:PORT or unix:PATH of LMTP"),
    ("users", "", "NAME:PASSWORD,…: accounts of the tests alone, the more the better; each name "
                  "must also be an address that LMTP delivers to; their mail is deleted"),
    ("tls-name", "localhost", "the name of the server in its certificate"),
    ("authority", "", "file of the certificate that the server's is signed by (or is)"),
    ("pid", "", "the server's process, or its first (for memory)"),
    ("health", "", "URL that answers 200 when the server is ready"),
)


class Target:
    """The server's addresses and accounts."""

    def __init__(self, options):
        self.name = options.name
        self.imap = (options.imap_host, int(options.imap_port))
        self.imaps = (options.imap_host, int(options.imaps_port)) if options.imaps_port else None
        if options.lmtp.startswith("unix:"):
            self.lmtp = options.lmtp[len("unix:"):]
        else:
            host, _, port = options.lmtp.rpartition(":")
            self.lmtp = (host, int(port))
        self.users = [tuple(pair.split(":", 1)) for pair in options.users.split(",") if pair]
        self.tls_name = options.tls_name
        self.authority = options.authority or None
        self.pid = int(options.pid) if options.pid else None
        self.health = options.health or None

    def session(self, user, timeout=60):
        """A raw IMAP session, logged in as `(name, password)`."""
        return wire.Imap(self.imap, user[0], user[1], timeout)


def add_options(parser):
    """Adds the options of a `Target` to an argparse parser."""
    group = parser.add_argument_group("the server (each also as TARGET_… in the environment)")
    for name, default, text in OPTIONS:
        variable = "TARGET_" + name.upper().replace("-", "_")
        group.add_argument("--" + name, default=os.environ.get(variable, default),
                           help=f"{text} [{default or 'none'}]")


def environment(**values):
    """The environment that says to a program of this folder where the server is."""
    return {"TARGET_" + key.upper(): str(value) for key, value in values.items()}


def parser(description):
    """An argparse parser with a program's docstring as its help."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def write_json(path, record):
    """Writes a report where a later step can read it; `-` is standard output."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if path == "-":
        print(text, end="")
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def empty(target, user):
    """Leaves an account with an empty INBOX and no mailbox of a test's making."""
    keep = {b"INBOX", b"DRAFTS", b"SENT", b"JUNK", b"TRASH", b"ARCHIVE"}
    with target.session(user) as imap:
        names = []
        for parts in imap.must(b'LIST "" "*"').lines(b"LIST"):
            values = wire.parse(parts)
            names.append((bytes(values[3]), [f.upper() for f in values[1]]))
        for parts in imap.must(b'LSUB "" "*"').lines(b"LSUB"):
            name = bytes(wire.parse(parts)[3])
            if name.upper() not in keep:
                imap.run(b"UNSUBSCRIBE " + wire.quote(name))
        for name, flags in sorted(names, key=lambda n: -len(n[0])):
            if name.upper() in keep:
                if b"\\NOSELECT" not in flags and imap.select(name):
                    imap.must(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
                    imap.must(b"EXPUNGE")
                    imap.must(b"CLOSE")
            else:
                imap.run(b"DELETE " + wire.quote(name))
        imap.logout()
