"""Who can decide what a folder makes us run: its owner, and everybody who may write it.

A run directory holds code, submissions with shell lines, and pickles, which a command or a job runs in the name of
whoever gives the command. It must therefore be the user's own. The folders above it may be shared with a group of the
user's, as the store of a project is: its members can see runs and add their own, and are trusted not to exchange them.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path

TRUST = "run what lies in a run directory that others own or may write"  # the help of --trust
LEVELS = 2  # of STORE/runs/NAME, those above the run's own


def require_own(folder: Path, files: Iterable[str] = (), trust: bool = False) -> None:
    """Refuse a run directory, or one that is about to be made, in which others decide what is run.

    Args:
        folder: STORE/runs/NAME, or the like of a sweep or a job.
        files: patterns of what is run or read for it, within `folder`.
        trust: refuse nothing.

    Raises:
        UserError: names the first file or folder, and why.
    """
    if trust or (found := first_risk(folder, files)) is None:
        return
    path, reason = found
    if not is_others(path):
        remedy = "make it yours alone (`chmod -R go-w`), copy the run to a folder of your own"
    elif path in real_path(folder).parents:
        remedy = f"ask {owner(path)} for `chmod g+w {path}` where you share a group, set store= to a folder of your own"
    else:
        remedy = "choose another name=..., copy the run to a folder of your own"
    raise UserError(f"{path} {reason}, and what lies there would run in your name: {remedy}, or add --trust")


def owner(path: Path) -> str:
    """The name of the user whose file or folder it is."""
    try:
        return _user(path.stat().st_uid)
    except OSError:
        return "its owner"


def is_others(path: Path) -> bool:
    """True if it is there and belongs to another user."""
    try:
        return path.stat().st_uid != os.geteuid()
    except OSError:
        return False


def is_writable(path: Path) -> bool:
    """Whether this user may write a file, or add to a folder, that exists."""
    return os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK)


def first_risk(folder: Path, files: Iterable[str] = (), levels: int = LEVELS) -> tuple[Path, str] | None:
    """The first of a run directory, its files and the store above it that others can change, and how; else None.

    Args:
        levels: how many of the folders above are looked at.
    """
    folder = folder.absolute()
    places = [(folder, False), *((path, False) for pattern in files for path in sorted(folder.glob(pattern)))]
    places += [(path, True) for path in real_path(folder).parents[:levels]]
    return next(((path, reason) for path, is_shared in places if (reason := risk(path, is_shared))), None)


def risk(path: Path, is_shared: bool = False) -> str | None:
    """How somebody else can change a file or folder: "belongs to bob", "can be written by ..."; None if nobody can.

    Args:
        is_shared: the members of a group of this user may write it, and any of them may own it.
    """
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            if not _is_trusted(found.st_uid):
                return f"is a link that belongs to {_user(found.st_uid)}"
            found = path.stat()
    except OSError:  # not there (any more): nothing is run of it
        return None
    is_ours = is_shared and bool(found.st_mode & stat.S_IWGRP) and found.st_gid in {os.getegid(), *os.getgroups()}
    if not _is_trusted(found.st_uid) and not is_ours:
        return f"belongs to {_user(found.st_uid)}"
    if is_shared and found.st_mode & stat.S_ISVTX:
        return None  # as of /tmp: others add to it, and change nothing of what is there
    if found.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if found.st_mode & stat.S_IWGRP and not is_ours and not _is_private(found.st_gid):
        return f"can be written by the group {_group(found.st_gid)}"
    return None


def keep_others_out(path: Path) -> None:
    """Take the right to write from all others, whatever the umask gave; nothing happens where the file is not ours."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if found.st_uid == os.geteuid() and found.st_mode & 0o022:
        path.chmod(stat.S_IMODE(found.st_mode) & ~0o022)


def _is_trusted(uid: int) -> bool:
    return uid in (0, os.geteuid())


def _is_private(gid: int) -> bool:
    """True for the group that many systems make for each user, with him alone in it."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
