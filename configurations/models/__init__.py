"""The rows of this app, one file for each idea."""

from configurations.models.compositions import (
    Composition,
    CompositionPart,
    agents_running,
    runs,
    runs_any,
    runs_revision,
)
from configurations.models.deleted_configurations import DeletedConfiguration, DeletedConfigurationQuerySet
from configurations.models.held_values import HeldValue
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
from configurations.models.saved_drafts import (
    ConfigurationDraft,
    ConfigurationDraftQuerySet,
    drafts_of_each,
    findings_from_json,
    findings_to_json,
)

__all__ = [
    "NAME_PATTERN",
    "RELEASE_SUBJECT",
    "Assignment",
    "Composition",
    "CompositionPart",
    "Configuration",
    "ConfigurationDraft",
    "ConfigurationDraftQuerySet",
    "ConfigurationQuerySet",
    "DeletedConfiguration",
    "DeletedConfigurationQuerySet",
    "HeldValue",
    "Pin",
    "PinQuerySet",
    "Revision",
    "RevisionQuerySet",
    "TargetingGeneration",
    "agents_running",
    "drafts_of_each",
    "files_from_json",
    "files_to_json",
    "findings_from_json",
    "findings_to_json",
    "pinned_elsewhere",
    "pinned_keys",
    "runs",
    "runs_any",
    "runs_revision",
]
