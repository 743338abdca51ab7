"""A database server for a run of its own, and ways to stop one and start it again.

`Container` starts a durable server by the `docker` command, on a port that stays the same when it is started again, and
removes it with its data. `Given` is a server that somebody else looks after, restarted by a command of theirs; without
one it can't be.
"""

import os
import subprocess
import time

from . import servers

PASSWORD = "dbmail-test"
START_SECONDS = 180
STOP_SECONDS = 20
ASK_SECONDS = 0.3


class Image:
    """How a server of one kind is started, asked whether it answers, and named in a URL."""

    def __init__(self, name, port, variable, url, client):
        self.image, self.port, self.variable, self.url, self.client = name, port, variable, url, client


def _mysql(name, program, options=""):
    return Image(name, 3306, name.split(":")[0].upper() + "_ROOT_PASSWORD",
                 "mysql://root:{password}@127.0.0.1:{port}/{database}" + options,
                 [program, "-h127.0.0.1", "-uroot", f"-p{PASSWORD}", "-N", "-B", "-e"])


IMAGES = {
    "postgres": Image("postgres:17", 5432, "POSTGRES_PASSWORD",
                      "postgres://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable",
                      ["psql", "-h127.0.0.1", "-Upostgres", "-AtqF\t", "-c"]),
    "mariadb": _mysql("mariadb:11.8", "mariadb", "?ssl-mode=disabled"),
    # With TLS: in clear it takes no password that it does not remember, and after a restart it remembers none.
    "mysql": _mysql("mysql:9.7", "mysql"),
}


class Container:
    """A database server in a container, with its durable settings, and one database."""

    def __init__(self, kind, arguments=(), database="mail"):
        self.kind, self.recipe, self.database = kind, IMAGES[kind], database
        self.arguments = list(arguments)
        image = os.environ.get(f"DBMAIL_TEST_{kind.upper()}_IMAGE", self.recipe.image)
        port = servers.free_port()
        self.name = f"dbmail-databases-own-{kind}-{os.getpid()}-{port}"
        # The label by which `database stop` and the tests find what was left behind.
        self._docker("run", "--detach", "--name", self.name, "--label", "dbmail.databases=own",
                     "--env", f"{self.recipe.variable}={PASSWORD}",
                     "--publish", f"127.0.0.1:{port}:{self.recipe.port}", image, *self.arguments)
        self.url = self.recipe.url.format(password=PASSWORD, port=port, database=database)
        try:
            self._until_it_answers()
            self.query(f"CREATE DATABASE {database}", database=None)
        except BaseException:
            self.close()
            raise

    def _docker(self, *words, check=True):
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=START_SECONDS)
        if check and done.returncode:
            raise RuntimeError(f"docker {words[0]}: {done.stderr.strip()}")
        return done

    def _client(self, statement, database):
        words = list(self.recipe.client)
        if database and self.kind == "postgres":
            words[1:1] = ["-d", database]
        elif database:
            words[1:1] = ["-D", database]
        return self._docker("exec", "--env", f"PGPASSWORD={PASSWORD}", self.name, *words, statement, check=False)

    def query(self, statement, database=""):
        """The rows of a statement, as lists of text."""
        done = self._client(statement, self.database if database == "" else database)
        if done.returncode:
            raise RuntimeError(f"{statement[:80]}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def file(self, path):
        """The octets of a file in the container."""
        done = subprocess.run(["docker", "exec", self.name, "cat", path], capture_output=True, timeout=START_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{path}: {done.stderr.decode().strip()}")
        return done.stdout

    def _until_it_answers(self):
        end = time.monotonic() + START_SECONDS
        while True:
            done = self._client("SELECT 1", None)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not answer: {done.stderr.strip()}")
            time.sleep(ASK_SECONDS)

    def restart(self, kill=False):
        """Stops it in order, or as a loss of power would, and starts it again; the seconds until it answers."""
        start = time.monotonic()
        if kill:
            self._docker("kill", self.name)
        else:
            # Asked to, where it can be: as the first process of a container a server may not hear a signal.
            if self.kind != "postgres":
                self._client("SHUTDOWN", None)
            self._docker("stop", "--time", str(STOP_SECONDS), self.name)
        self._docker("start", self.name)
        self._until_it_answers()
        return time.monotonic() - start

    def memory(self):
        """Resident octets of the processes in the container."""
        total = 0
        for pid in self._docker("top", self.name, "-eo", "pid").stdout.split()[1:]:
            try:
                with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
                    total += int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except OSError:
                pass
        return total

    def close(self):
        self._docker("rm", "--force", "--volumes", self.name, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Given:
    """A database that somebody else started: its URL, and the command that restarts its server, if there is one."""

    def __init__(self, url, command=None):
        self.url, self.command = url, command
        self.kind = (url or "sqlite:").split(":")[0]

    def restart(self, kill=False):
        """Runs the command, with MODE=kill in its environment when it is to be like a loss of power."""
        start = time.monotonic()
        done = subprocess.run(self.command, shell=True, capture_output=True, text=True, timeout=START_SECONDS,
                              env=os.environ | {"MODE": "kill" if kill else "stop"})
        if done.returncode:
            raise RuntimeError(f"{self.command}: exit code {done.returncode}: {done.stderr.strip()}")
        return time.monotonic() - start

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
