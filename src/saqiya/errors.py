"""Every error that Saqiya raises on purpose, in one tree.

    SaqiyaError
    ├── UsageError             the call was wrong: fix the arguments
    │   ├── ConfigError        saqiya.toml: unknown key, wrong type, out of range (file and line named)
    │   ├── AlreadyThere       a file that was to be written exists (also a FileExistsError)
    │   ├── UnknownId          no noun has this id, key or prefix
    │   └── UnknownPlugin      nothing is registered under this name, or its library is missing
    ├── InputError             what came in cannot be used: nothing of it was kept as if it were good
    │   ├── UnreadableLog      a log file is corrupt, empty, truncated or of a foreign format
    │   ├── InvalidEpisode     streams break a rule (stamps not increasing, NaN where none may be)
    │   ├── TooLittle          there is not enough to learn from or to calibrate on
    │   ├── InvalidMapping     a table mapping or a trials table does not fit the files
    │   ├── MonitorUnreadable  a monitor's file does not load, or does not fit what is installed here
    │   └── PolicyUnreadable   a policy file does not load, or would run code when loaded
    ├── WorkspaceError         the workspace cannot be used as asked
    │   ├── NoWorkspace        there is none here
    │   ├── WorkspaceTooNew    it was written by a newer Saqiya
    │   ├── WorkspaceBusy      another turn runs in this scope, or others have the workspace open
    │   ├── StorageFull        the disk has no room; what was committed before stays
    │   ├── Erased             the bytes were erased on purpose; a tombstone says why
    │   └── Corrupt            bytes or rows do not match their hash
    ├── SiteFault              a site returned NaN, a wrong shape, or failed
    ├── Leakage                evaluation starts were found in training data
    ├── GuardRefusal           a rule of the house forbids this step now
    │   ├── NothingOpen        no work in the queue suits this person now
    │   └── LeaseLost          the lease expired and went to somebody else, or what it was for is decided
    ├── SignInRefused          name and password, or a token, do not open the door
    └── RecorderFault          strict recording only: a sample was lost or late

Catch `SaqiyaError` to catch them all. Every message says what happened, to which thing, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "AlreadyThere",
    "ConfigError",
    "Corrupt",
    "Erased",
    "GuardRefusal",
    "InputError",
    "InvalidEpisode",
    "InvalidMapping",
    "Leakage",
    "LeaseLost",
    "MonitorUnreadable",
    "NoWorkspace",
    "NothingOpen",
    "PolicyUnreadable",
    "RecorderFault",
    "SaqiyaError",
    "SignInRefused",
    "SiteFault",
    "StorageFull",
    "TooLittle",
    "UnknownId",
    "UnknownPlugin",
    "UnreadableLog",
    "UsageError",
    "WorkspaceBusy",
    "WorkspaceError",
    "WorkspaceTooNew",
]


class SaqiyaError(Exception):
    """The root: carries `subject` (which thing) and `remedy` (what to do next) beside the message."""

    def __init__(self, what: str, *, subject: str = "", remedy: str = "") -> None:
        """Compose `what`, `subject` and `remedy` into one message; each stays readable on its own."""
        self.what, self.subject, self.remedy = what, subject, remedy
        head = f"{subject}: {what}" if subject else what
        super().__init__(f"{head}. {remedy}" if remedy else head)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep keyword facts when an error crosses a process border (the default would drop them)."""
        return (_rebuild, (type(self), self.what, self.subject, self.remedy))


def _rebuild(cls: type[SaqiyaError], what: str, subject: str, remedy: str) -> SaqiyaError:
    return cls(what, subject=subject, remedy=remedy)


class UsageError(SaqiyaError):
    """Raised when a call or command was wrong and nothing was done."""


class ConfigError(UsageError):
    """Raised when saqiya.toml has an unknown key, a wrong type or a value out of range."""


class AlreadyThere(UsageError, FileExistsError):
    """Raised when a file that was to be written exists already; it was not touched."""


class UnknownId(UsageError):
    """Raised when no noun answers to an id, a logical key or a prefix."""


class UnknownPlugin(UsageError):
    """Raised when no plug-in, or more than one, is registered under a name, or its library is missing."""


class InputError(SaqiyaError):
    """Raised when input cannot be used; ingest turns it into a `Rejection`."""


class UnreadableLog(InputError):
    """Raised when a log file is corrupt, empty, truncated or foreign."""


class InvalidEpisode(InputError):
    """Raised when the streams of an episode break a rule that later stages rely on."""


class TooLittle(InputError):
    """Raised when there are too few tries to learn from; whatever asked goes on without that part and says so."""


class InvalidMapping(InputError):
    """Raised when a table mapping or a trials table does not fit the files it describes."""


class MonitorUnreadable(InputError):
    """Raised when a monitor's file does not load, or does not fit the detectors that are installed here."""


class PolicyUnreadable(InputError):
    """Raised when a policy file does not load, or would run code when loaded."""


class WorkspaceError(SaqiyaError):
    """Raised when a workspace cannot be used as asked."""


class NoWorkspace(WorkspaceError):
    """Raised when a command needs a workspace and finds none."""


class WorkspaceTooNew(WorkspaceError):
    """Raised when the catalog was written by a newer Saqiya than this one."""


class WorkspaceBusy(WorkspaceError):
    """Raised when another turn already runs in this scope, or others have open what one must have alone."""


class StorageFull(WorkspaceError):
    """Raised when the disk has no room; what was committed before stays good."""


class Erased(WorkspaceError):
    """Raised when bytes are asked for that were erased on purpose and left a tombstone."""


class Corrupt(WorkspaceError):
    """Raised when stored bytes or rows do not match their hash."""


class SiteFault(SaqiyaError):
    """Raised when a site returns NaN or a wrong shape, or fails."""


class Leakage(SaqiyaError):
    """Raised when evaluation starts, or episodes begun from them, were about to enter training."""


class GuardRefusal(SaqiyaError):
    """Raised when a rule of the house forbids this step now, for example collecting without a target."""


class NothingOpen(GuardRefusal):
    """Raised when a person asks for work and none in the queue is open to them now."""


class LeaseLost(GuardRefusal):
    """Raised when a lease is no longer its holder's: it expired and went to somebody else, or its slot is decided."""


class SignInRefused(SaqiyaError):
    """Raised when a name and password, or a token, do not open the door; it never says which of them was wrong."""


class RecorderFault(SaqiyaError):
    """Raised by a strict recorder when a sample was lost; the default recorder counts it instead."""
