"""The rows of this app, one file for each idea."""

from configurations.models.pins import Pin, PinQuerySet, pinned_elsewhere, pinned_keys
from configurations.models.revisions import (
    NAME_PATTERN,
    RELEASE_SUBJECT,
    Assignment,
    Configuration,
    ConfigurationQuerySet,
    Revision,
    RevisionQuerySet,
    TargetingGeneration,
    files_from_json,
    files_to_json,
)

__all__ = [
    "NAME_PATTERN",
    "RELEASE_SUBJECT",
    "Assignment",
    "Configuration",
    "ConfigurationQuerySet",
    "Pin",
    "PinQuerySet",
    "Revision",
    "RevisionQuerySet",
    "TargetingGeneration",
    "files_from_json",
    "files_to_json",
    "pinned_elsewhere",
    "pinned_keys",
]
