"""Starts a server of its own for a test, in a folder that is removed afterwards."""

import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from . import target

START_SECONDS = 30
STOP_SECONDS = 20
PASSWORD = "correct horse battery"
CLIENT_USERS = ("python", "curl", "mutt", "mbsync", "fetchmail", "offlineimap", "spare")


def free_port():
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(seconds, ready, alive):
    """Waits until `ready()` is true; an error when `alive()` says that the server is gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        if not alive():
            raise RuntimeError("the server ended while starting")
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready after {seconds} s")


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def self_signed(folder):
    """A key and a certificate for localhost and 127.0.0.1."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "extendedKeyUsage=serverAuth",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True)
    certificate.chmod(0o644)
    return certificate, key


class Server:
    """A running server; a context manager that stops it and removes its folder."""

    name = "server"

    def __init__(self, users=None, keep=False, folder=None):
        self.users = users or [(f"{n}@example.test", PASSWORD) for n in CLIENT_USERS]
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix=f"clients-{self.name}-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.keep = keep
        self.imap, self.imaps, self.lmtp, self.http = (free_port() for _ in range(4))
        self.process = None
        self.certificate, self.key = self_signed(self.folder)
        self.log = self.folder / "server.log"

    def environment(self):
        """What the programs of this folder need to know."""
        return target.environment(
            name=self.name, imap_port=self.imap, imaps_port=self.imaps,
            lmtp=f"127.0.0.1:{self.lmtp}", authority=self.certificate, pid=self.process.pid,
            users=",".join(f"{name}:{password}" for name, password in self.users))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=STOP_SECONDS):
        """SIGTERM, and the exit code; an error when it takes longer than `seconds`."""
        if not self.alive():
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server did not stop within {seconds} s of SIGTERM") from None

    def tail(self, lines=40):
        """The end of the server's log."""
        try:
            text = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(text[-lines:])

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            print(self.tail(), file=sys.stderr)
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.alive():
                self.stop()
        finally:
            if self.keep:
                print(f"kept: {self.folder}", file=sys.stderr)
            else:
                # Not shutil.rmtree: it recurses, and a test may have made a thousand levels.
                subprocess.run(["rm", "-rf", "--", str(self.folder)], check=False)


class Dovecot(Server):
    """Debian's Dovecot: sdbox, its default fsync, users from a passwd-file."""

    name = "dovecot"

    def start(self):
        """Writes the configuration and starts the master process in the foreground."""
        owner = pwd.getpwnam("mail")
        mail = self.folder / "mail"
        mail.mkdir()
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        passwd = self.folder / "passwd"
        passwd.write_text("".join(
            f"{name}:{{PLAIN}}{password}:{owner.pw_uid}:{owner.pw_gid}::{mail}/{name}::\n"
            for name, password in self.users))
        config = self.folder / "dovecot.conf"
        config.write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.log}
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{self.certificate}
ssl_key = <{self.key}
disable_plaintext_auth = no
mail_location = sdbox:~/mail
mailbox_list_index = yes
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 2000
default_process_limit = 2000
default_client_limit = 8000
auth_username_format = %Lu
lda_mailbox_autocreate = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {passwd}
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {passwd}
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Junk {{
    auto = create
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
  mailbox Archive {{
    auto = create
    special_use = \\Archive
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = {self.imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {self.lmtp}
  }}
}}
""")
        self.process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(config)], stdin=subprocess.DEVNULL,
            stdout=open(self.folder / "out", "wb"), stderr=subprocess.STDOUT)
        wait_for(START_SECONDS,
                 lambda: listening(self.imap) and listening(self.lmtp), self.alive)


class Dbmail(Server):
    """Our server, from a binary, over SQLite, or the database that a URL names."""

    name = "dbmail"

    def __init__(self, binary, extra="", url=None, **options):
        super().__init__(**options)
        self.url = url or f"sqlite:{self.folder}/mail.db"
        self.binary = str(pathlib.Path(binary).resolve())
        self.extra = extra
        self.config = self.folder / "dbmail.toml"

    def command(self, *words, **options):
        return subprocess.run([self.binary, "--config", str(self.config), *words],
                              capture_output=True, text=True, timeout=60, **options)

    def configure(self):
        """Writes the configuration; a folder that has one already keeps its database."""
        self.config.write_text(f"""[database]
url = "{self.url}"

[imap]
listen = "127.0.0.1:{self.imap}"
tls_listen = "127.0.0.1:{self.imaps}"

[lmtp]
listen = "127.0.0.1:{self.lmtp}"

[http]
listen = "127.0.0.1:{self.http}"

[tls]
certificate = "{self.certificate}"
key = "{self.key}"
{self.extra}
""")

    def spawn(self):
        """Starts `dbmail serve` and waits until it says that it is ready."""
        self.process = subprocess.Popen(
            [self.binary, "--config", str(self.config), "serve"], stdin=subprocess.DEVNULL,
            stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)
        wait_for(START_SECONDS, self.ready, self.alive)

    def ready(self):
        try:
            with urllib.request.urlopen(self.health(), timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def health(self):
        return f"http://127.0.0.1:{self.http}/health/ready"

    def migrate(self):
        done = self.command("migrate")
        if done.returncode:
            raise RuntimeError(f"dbmail migrate: {done.stdout}{done.stderr}")

    def add_users(self):
        for name, password in self.users:
            done = self.command("user", "add", name, "--password-stdin", input=password + "\n")
            if done.returncode:
                raise RuntimeError(f"dbmail user add {name}: {done.stdout}{done.stderr}")

    def start(self):
        self.configure()
        self.migrate()
        self.add_users()
        self.spawn()

    def environment(self):
        return super().environment() | target.environment(health=self.health())
