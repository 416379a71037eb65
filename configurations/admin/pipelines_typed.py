"""The picture of the pipelines that a form of files has, as far as it was typed."""

from __future__ import annotations

from configurations.admin.file_forms import FileForms
from configurations.pipelines_shown import PipelinesShown, pipelines_shown


def pipelines_of_forms(forms: FileForms) -> PipelinesShown | None:
    """Of the texts in the forms, with the text fields as what components lead to. ``None`` for what is no Collector's."""
    files, targets = {}, {}
    for place, form in enumerate(forms):
        if form.opaque is None:
            # A file without a key yet is merged as a main file is.
            key = form.former_key if form.former_key is not None else f"\uffff{place}" if place else ""
            files[key] = {"body": str(form["body"].value() or "")}
            targets[key] = form["body"].id_for_label
    return pipelines_shown(files, targets=targets)
