"""Any destination that dlt can merge into as the target of a sync: found by name, and locked on this machine."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.destination.reference import Destination
from dlt.common.exceptions import MissingDependencyException

from linq_source import settings
from linq_source.errors import ConfigurationError
from linq_source.runner import Target


def warehouse_target(name: str, dataset_name: str = settings.DATASET_NAME, **how: Any) -> Target:
    """Return the target that `--destination` names, without asking anything of it; `how` are further fields.

    Raises ConfigurationError for a destination that dlt does not know, that nothing installed can reach, or that
    cannot delete and insert in one merge.
    """
    try:
        destination: Any = Destination.from_reference(name)
        strategies = destination.capabilities().supported_merge_strategies or []
    except (UnknownDestinationModule, ValueError):
        raise ConfigurationError(f"--destination {name}: dlt knows no such destination. Try postgres.") from None
    except (MissingDependencyException, ImportError):
        raise ConfigurationError(
            f"--destination {name}: what reaches it is not installed: pip install 'dlt[{name}]' beside linq-source."
        ) from None
    if "delete-insert" not in strategies:
        raise ConfigurationError(
            f"--destination {name} cannot replace rows (dlt has no delete-insert merge for it), so its tables "
            "would not mirror Linq. Choose a database or warehouse."
        )
    return Target(destination=destination, dataset_name=dataset_name, lock_path=_lock_path(name, dataset_name), **how)


def _lock_path(name: str, dataset_name: str) -> Path:
    """Return the lock file of a dataset: it keeps out a second run on this machine, and none on another."""
    digest = hashlib.sha256(f"{name}\n{dataset_name}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"linq_source_{digest}.lock"
