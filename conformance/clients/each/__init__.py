"""One file a client; `ALL` in the order in which they run."""

from .curl import Curl
from .fetchmail import Fetchmail
from .mbsync import Mbsync
from .mutt import Mutt
from .offlineimap import Offlineimap
from .python import Python

ALL = (Python, Curl, Mutt, Mbsync, Fetchmail, Offlineimap)
