"""Failures are booked on the assignment, by hash. Those that are known are booked now."""

from django.db import migrations, models

_BATCH = 1_000


def book_known_failures(apps, schema_editor):
    assignments = apps.get_model("configurations", "Assignment").objects
    failed = assignments.filter(status="failed", revision__isnull=False).exclude(agent__configuration_hash="")
    keys = list(failed.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), _BATCH):
        rows = list(assignments.filter(pk__in=keys[start : start + _BATCH]).select_related("agent"))
        for row in rows:
            row.failures = {
                row.agent.configuration_hash: {
                    "revision": row.revision_id,
                    "error": row.error_message[:8_192],
                    "named": row.agent.remote_config_hash == row.agent.configuration_hash,
                }
            }
        assignments.bulk_update(rows, ["failures"], batch_size=200)


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0009_roll_backs'),
        ('configurations', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='assignment',
            name='failures',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.RunPython(book_known_failures, migrations.RunPython.noop, elidable=True),
    ]
