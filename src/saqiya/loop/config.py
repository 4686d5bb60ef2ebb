"""`saqiya.toml`: read once, checked once, and named with file and line where it is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from saqiya.domain.ids import Clock
from saqiya.domain.toml import Where, line_of, name_of
from saqiya.errors import ConfigError, UsageError
from saqiya.evaluate.gate import GateParams
from saqiya.stores.bucket import Bucket, Credentials
from saqiya.stores.cache import CACHE_BYTES
from saqiya.stores.folder import Home
from saqiya.stores.workspace import Workspace

__all__ = [
    "Config",
    "DeskConfig",
    "drafted",
    "has_wheel",
    "parse_config",
    "read_config",
    "read_desk",
    "read_store",
    "template",
]

FILE_NAME = "saqiya.toml"
_CATALOG = "postgresql+psycopg://USER@HOST/NAME"
_PASSWORD = "SAQIYA_CATALOG_PASSWORD"  # noqa: S105 - the name of the variable that holds it
_SECRETS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")


@dataclass(frozen=True)
class TaskConfig:
    """What is to be done, by which criterion it counts as done, and with which body: together, the scope."""

    name: str
    criterion: str
    embodiment: str

    @property
    def scope(self) -> str:
        """One running turn and one alpha ledger belong to this name."""
        return f"{self.name}@{self.criterion}/{self.embodiment}"


@dataclass(frozen=True)
class RunConfig:
    """Seed of everything drawn, and how many processes roll out at once (0: in this one)."""

    seed: int = field(default=0, metadata={"low": 0})
    workers: int = field(default=2, metadata={"low": 0, "high": 64})


@dataclass(frozen=True)
class BootstrapConfig:
    """The first demonstrations: how many, and from which middle share of every start factor."""

    demonstrations: int = field(default=20, metadata={"low": 2})
    region: float = field(default=0.4, metadata={"low": 0.01, "high": 1.0})
    smoke: int = field(default=10, metadata={"low": 1})


@dataclass(frozen=True)
class TrainConfig:
    """Which trainer, how policies are called at the site, and the trainer's own settings."""

    trainer: str = "ensemble"
    chunk: int = field(default=8, metadata={"low": 1})
    execute: int = field(default=2, metadata={"low": 1})
    settings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DeployConfig:
    """How many tries are rolled out and logged at the end of a turn."""

    rollouts: int = field(default=200, metadata={"low": 1})


@dataclass(frozen=True)
class DetectConfig:
    """Runtime signals, and the share of nominal successes that may raise a false alarm."""

    detectors: tuple[str, ...] = ("completion", "distance", "dynamics", "signals")
    budget: float = field(default=0.1, metadata={"low": 0.001, "high": 0.5})


@dataclass(frozen=True)
class TriageConfig:
    """How often the start of a corrected failure is tried again under the policy that learned from it; 0: never."""

    recheck: int = field(default=5, metadata={"low": 0})


@dataclass(frozen=True)
class CorrectConfig:
    """How many corrections a turn asks for, and how long before the failure an operator takes over.

    With `minutes` above 0 each turn plans by human minutes, and asks for what its plan holds.
    """

    per_turn: int = field(default=25, metadata={"low": 1})
    minutes: float = field(default=0.0, metadata={"low": 0.0})
    lead_s: float = field(default=0.25, metadata={"low": 0.0})


@dataclass(frozen=True)
class EvaluateConfig:
    """Tries beside the pairs: starts that worked, and starts of corrected failures for each mode."""

    worked: int = field(default=60, metadata={"low": 0})
    regression_per_mode: int = field(default=10, metadata={"low": 0})


@dataclass(frozen=True)
class PhasesConfig:
    """The lower bound of success needed to leave each phase of a task's life."""

    bootstrap: float = field(default=0.45, metadata={"low": 0.0, "high": 1.0})
    mining: float = field(default=0.70, metadata={"low": 0.0, "high": 1.0})
    active_learning: float = field(default=0.80, metadata={"low": 0.0, "high": 1.0})
    automatic_labels: float = field(default=0.85, metadata={"low": 0.0, "high": 1.0})
    self_sustaining: float = field(default=0.90, metadata={"low": 0.0, "high": 1.0})

    def current(self, low: float) -> str:
        """Return the phase a task is in when its success has this lower bound."""
        for phase in dataclasses.fields(self):
            if low < getattr(self, phase.name):
                return phase.name
        return "self_sustaining"


@dataclass(frozen=True)
class StopConfig:
    """When the wheel rests: the lower bound that is wanted, and how many turns without gain are enough.

    `gain_per_10` is for a mode or a task: 10 demonstrations that surely bring less success than this are not collected.
    """

    target: float = field(default=0.90, metadata={"low": 0.0, "high": 1.0})
    turns_without_gain: int = field(default=2, metadata={"low": 1})
    gain_per_10: float = field(default=0.01, metadata={"low": 0.0, "high": 1.0})


@dataclass(frozen=True)
class SiteConfig:
    """The site that policies act at, by its registered name."""

    name: str


@dataclass(frozen=True)
class StoreConfig:
    """Where facts and bytes live: "" for here, else postgresql+psycopg://user@host/name and s3://bucket/prefix.

    Who asks is said by the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; for the catalog
    SAQIYA_CATALOG_PASSWORD or whatever libpq reads), never by a file. `cache_bytes` of a bucket are kept here, mapped.
    """

    catalog: str = ""
    objects: str = ""
    endpoint: str = ""
    region: str = ""
    cache_bytes: int = field(default=CACHE_BYTES, metadata={"low": 0})

    def database(self) -> sa.URL | None:
        """Return the catalog's URL with its password, None where the catalog is the workspace's own file.

        Raises:
            ConfigError: `catalog` is no such URL, holds a password, or its driver is missing.
        """
        if not self.catalog:
            return None
        try:
            url = sa.make_url(self.catalog)
        except sa.exc.ArgumentError as error:
            raise ConfigError("is no URL", subject="store.catalog", remedy=f"Use {_CATALOG}.") from error
        if url.password is not None or any("password" in key.lower() for key in url.query):
            what = "a password in a file is read by whoever reads the file"
            raise ConfigError(what, subject="store.catalog", remedy=f"Take it out and set {_PASSWORD}.")
        if url.drivername != "postgresql+psycopg" or not url.database:
            raise ConfigError(f"{url.drivername} is not known", subject="store.catalog", remedy=f"Use {_CATALOG}.")
        if find_spec("psycopg") is None:
            raise ConfigError("needs a library", subject="store.catalog", remedy="pip install 'saqiya[postgres]'")
        secret = os.environ.get(_PASSWORD, "")  # noqa: TID251 - read once, here
        return url.set(password=secret) if secret else url

    def opened(self, root: Path, *, clock: Clock, entropy: Callable[[int], bytes]) -> Workspace:
        """Open the workspace whose store this is.

        Raises:
            ConfigError: as `database` and `home`.
            NoWorkspace, UsageError, WorkspaceTooNew, Corrupt: as `Workspace.open`.
        """
        return Workspace.open(
            root,
            clock=clock,
            entropy=entropy,
            home=self.home(clock),
            cache_bytes=self.cache_bytes,
            database=self.database(),
        )

    def home(self, clock: Clock) -> Home | None:
        """Return the bucket, None where the bytes live in the workspace.

        Raises:
            ConfigError: `objects` names no bucket, or the library that speaks to one is missing.
        """
        if not self.objects:
            return None
        if find_spec("obstore") is None:
            raise ConfigError("needs a library", subject="store.objects", remedy="pip install 'saqiya[data]'")
        who = [os.environ.get(f"AWS_{name}", "") for name in _SECRETS]  # noqa: TID251 - read once, here
        return Bucket(
            self.objects, now_ns=clock, credentials=Credentials(*who), endpoint=self.endpoint, region=self.region
        )


@dataclass(frozen=True)
class DeskConfig:
    """How people share the work.

    A lease holds for `lease_s` without a sign of life; what was sent back is its operator's for `kept_h`; a share of
    what was decided is shown to a second reviewer; a failure should be corrected `target_h` after it was asked for.
    """

    lease_s: float = field(default=1800.0, metadata={"low": 1.0})
    kept_h: float = field(default=24.0, metadata={"low": 0.0})
    second_share: float = field(default=0.1, metadata={"low": 0.0, "high": 1.0})
    target_h: float = field(default=48.0, metadata={"low": 0.01})


@dataclass(frozen=True)
class Config:
    """The whole of saqiya.toml, one field a section."""

    task: TaskConfig
    site: SiteConfig
    run: RunConfig = field(default_factory=RunConfig)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    deploy: DeployConfig = field(default_factory=DeployConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    triage: TriageConfig = field(default_factory=TriageConfig)
    correct: CorrectConfig = field(default_factory=CorrectConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    gate: GateParams = field(default_factory=GateParams)
    phases: PhasesConfig = field(default_factory=PhasesConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    desk: DeskConfig = field(default_factory=DeskConfig)


def read_config(path: Path) -> Config:
    """Read and check a saqiya.toml.

    Raises:
        ConfigError: the workspace is for data alone; or the file cannot be read, or a key, type or range is wrong: the
            message names file and line.
    """
    if not has_wheel(path):
        raise ConfigError(
            "this workspace has no saqiya.toml: it is for data alone, without site and trainer",
            subject=str(path.parent),
            remedy=f"For a wheel: saqiya init {path.parent} --site SITE --trainer TRAINER.",
        )
    text, _ = _toml(path)
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """Check the text of a saqiya.toml; `path` names it in errors.

    Raises:
        ConfigError: see `read_config`.
    """
    raw = _parsed(text, path)
    config: Config = _Reader(path, text).section(Config, raw, ())
    return config


def _toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", subject=str(path), remedy="Run saqiya init.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not text: {error}", subject=str(path), remedy="Save it as UTF-8.") from error
    return text, _parsed(text, path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error


def has_wheel(path: Path) -> bool:
    """Say whether a saqiya.toml sets up a wheel: a workspace for data alone has none, or [store] and nothing else.

    Raises:
        ConfigError: it cannot be read.
    """
    return path.exists() and bool(_toml(path)[1].keys() - {"store", "desk"})


def read_store(path: Path) -> StoreConfig:
    """Read the section [store] of a saqiya.toml alone: a workspace is opened before the rest is needed, or there.

    Raises:
        ConfigError: as `read_config`, for this section.
    """
    if not path.exists():
        return StoreConfig()
    text, raw = _toml(path)
    store: StoreConfig = _Reader(path, text).value(StoreConfig, raw.get("store", {}), ("store",), {})
    return store


def read_desk(path: Path) -> DeskConfig:
    """Read the section [desk] alone: a workspace for data alone may have it too.

    Raises:
        ConfigError: as `read_config`, for this section.
    """
    if not path.exists():
        return DeskConfig()
    text, raw = _toml(path)
    desk: DeskConfig = _Reader(path, text).value(DeskConfig, raw.get("desk", {}), ("desk",), {})
    return desk


@dataclass(frozen=True)
class _Reader:
    path: Path
    text: str

    def section(self, cls: type[Any], raw: Mapping[str, Any], where: Where) -> Any:  # noqa: ANN401
        hints = get_type_hints(cls)
        known = {f.name: f for f in dataclasses.fields(cls)}
        for key in raw:
            if key not in known:
                raise self.fault((*where, key), f"unknown key; known here: {', '.join(known)}")
        values: dict[str, Any] = {}
        for name, spec in known.items():
            if name not in raw:
                if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                    raise self.fault(where, f"the key {name!r} is missing")
                continue
            values[name] = self.value(hints[name], raw[name], (*where, name), spec.metadata)
        try:
            return cls(**values)
        except UsageError as error:
            raise self.fault(where, f"{error.subject}: {error.what}") from error

    def value(self, hint: Any, raw: Any, where: Where, bounds: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(raw, dict):
                raise self.fault(where, "must be a section")
            return self.section(hint, raw, where)
        if get_origin(hint) is tuple:
            if not isinstance(raw, list) or not all(isinstance(item, get_args(hint)[0]) for item in raw):
                raise self.fault(where, f"must be a list of {get_args(hint)[0].__name__}")
            return tuple(raw)
        if get_origin(hint) is dict:
            if not isinstance(raw, dict) or not all(_is_number(item) for item in raw.values()):
                raise self.fault(where, "must be a table of numbers")
            return {name: float(item) for name, item in raw.items()}
        return self.scalar(hint, raw, where, bounds)

    def scalar(self, hint: Any, raw: Any, where: Where, bounds: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if issubclass(hint, StrEnum):
            if raw not in {item.value for item in hint}:
                raise self.fault(where, f"must be one of {', '.join(hint)}")
            return hint(raw)
        good = _is_number(raw) if hint is float else isinstance(raw, hint) and (hint is bool or raw is not True)
        if not good or (hint is int and isinstance(raw, bool)):
            raise self.fault(where, f"must be {hint.__name__}, not {type(raw).__name__}")
        if "low" in bounds and raw < bounds["low"]:
            raise self.fault(where, f"must be at least {bounds['low']}, not {raw}")
        if "high" in bounds and raw > bounds["high"]:
            raise self.fault(where, f"must be at most {bounds['high']}, not {raw}")
        return float(raw) if hint is float else raw

    def fault(self, where: Where, what: str) -> ConfigError:
        subject = f"{self.path}:{line_of(self.text, where)}"
        return ConfigError(f"{name_of(where)}: {what}", subject=subject, remedy="Correct that line.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def drafted(path: Path, *, site: str, task: TaskConfig, trainer: str, run: RunConfig) -> str:
    """Return the text of a new saqiya.toml, checked; what one for data alone says of the store stays.

    Raises:
        ConfigError: a value is out of range, or what is there cannot be read.
    """
    text = template(site=site, task=task, trainer=trainer, run=run)
    if path.exists() and not has_wheel(path) and (kept := _toml(path)[0].strip()):
        text = f"{kept}\n\n{text.partition('[store]')[0]}"
    parse_config(text, path)
    return text


def template(*, site: str, task: TaskConfig, trainer: str, run: RunConfig) -> str:
    """Return the text of a new saqiya.toml: what must be said, and the defaults as comments."""
    lines = [
        "[task]",
        f'name = "{task.name}"',
        f'criterion = "{task.criterion}"',
        f'embodiment = "{task.embodiment}"',
        "",
        "[site]",
        f'name = "{site}"',
        "",
        "[run]",
        f"seed = {run.seed}",
        f"workers = {run.workers}",
        "",
        "[train]",
        f'trainer = "{trainer}"',
        "",
    ]
    for section in (
        "bootstrap",
        "deploy",
        "detect",
        "triage",
        "correct",
        "evaluate",
        "gate",
        "phases",
        "stop",
        "store",
        "desk",
    ):
        lines.append(f"[{section}]")
        params = get_type_hints(Config)[section]()
        for item in dataclasses.fields(params):
            value = getattr(params, item.name)
            text = json.dumps(list(value)) if isinstance(value, tuple) else json.dumps(value)
            lines.append(f"# {item.name} = {text}")
        lines.append("")
    return "\n".join(lines)
