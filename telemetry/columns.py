"""What agents measured of themselves, in the list of agents: columns that are there when such metrics are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Column, Columns
from foundation.clock import clock
from telemetry.charts import sparkline, value_with_unit
from telemetry.measures import MEASURES, Measure
from telemetry.models import LatestTelemetry
from telemetry.services.series import FRESH, Telemetry, telemetry_of
from telemetry.slots import Values

_SHOWN = timedelta(hours=12)
_STEP = 1_800


def _cells(agent_ids: Sequence[int]) -> Mapping[int, Mapping[str, SafeString]]:
    """Two queries for a page."""
    until = clock.now()
    since = until - _SHOWN
    found = telemetry_of(agent_ids, since=since, until=until)
    fresh = {key for key, each in found.items() if each.latest.received_at and until - each.latest.received_at < FRESH}
    return {key: _cells_of(each, each.steps(since, until, _STEP), fresh=key in fresh) for key, each in found.items()}


def _cells_of(
    telemetry: Telemetry, steps: Sequence[tuple[datetime, Values]], *, fresh: bool
) -> Mapping[str, SafeString]:
    latest = telemetry.latest

    def line(measure: Measure) -> SafeString:
        place = MEASURES.index(measure)
        text = value_with_unit(measure, getattr(latest, measure.value))
        if not fresh:
            text = format_html('<span class="quiet" title="{}">{}</span>', _("It sends nothing any more."), text)
        return format_html("{}<br>{}", text, sparkline([means[place] for _at, means in steps]))

    lost = [
        format_html('<br><span class="bad">{} {}</span>', word, value_with_unit(measure, value))
        for measure, word in ((Measure.REFUSED, _("refused")), (Measure.FAILED, _("failed")))
        if fresh and (value := getattr(latest, measure.value))
    ]
    return {
        "cpu": line(Measure.CPU),
        "memory": line(Measure.MEMORY),
        "throughput": format_html("{}{}", line(Measure.ACCEPTED), SafeString("".join(lost))),
    }


def _values(agent_ids: Sequence[int]) -> Mapping[int, Mapping[str, float | None]]:
    """What they sent last, as numbers; a query for all of them."""
    rows = LatestTelemetry.objects.filter(pk__in=agent_ids, received_at__isnull=False).defer("counters")
    return {row.pk: {"cpu": row.cpu, "memory": row.memory, "throughput": row.accepted} for row in rows}


COLUMNS = Columns(
    (
        Column("cpu", gettext_lazy("CPU"), "telemetry__cpu"),
        Column("memory", gettext_lazy("memory"), "telemetry__memory"),
        Column("throughput", gettext_lazy("accepted"), "telemetry__accepted"),
    ),
    _cells,
    lambda: bool(settings.OPAMP_OWN_TELEMETRY),
    _values,
)
