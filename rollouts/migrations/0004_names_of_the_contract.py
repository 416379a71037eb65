from django.db import migrations, models

from rollouts.former_names import STATES, present_names

_COUNTED = ["applied", "waiting", "held", "offline", "lost"]


def rename(apps, _schema_editor):
    """States, steps and policies get the names that outside programs rely on; nothing else of them changes."""
    rollouts, steps = (apps.get_model("rollouts", name).objects for name in ("Rollout", "RolloutStep"))
    for former, present in STATES.items():
        rollouts.filter(state=former).update(state=present)
        steps.filter(kind=former).update(kind=present)
    for row in list(rollouts.only("policy")):
        rollouts.filter(pk=row.pk).update(policy=present_names(row.policy))
    for row in list(steps.filter(data__has_key="policy").only("data")):
        steps.filter(pk=row.pk).update(data={**row.data, "policy": present_names(row.data["policy"])})
    for row in list(steps.filter(data__has_keys=_COUNTED).only("data")):
        steps.filter(pk=row.pk).update(data=_counts(row.data))


def _counts(data):
    """How agents stood at a step: each counted once, what else was known beside it."""
    found = dict(data)
    found["done"] = found.pop("applied")
    found["pending"] = found["waiting"] + found["held"]
    found["offline"] += found["lost"]
    return {**found, "to_come": 0}


class Migration(migrations.Migration):

    dependencies = [
        ('rollouts', '0003_freezes'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollout',
            name='windowless_stage',
            field=models.SmallIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='rollout',
            name='state',
            field=models.CharField(choices=[('awaiting_approval', 'Awaiting approval'), ('scheduled', 'Scheduled'), ('running', 'Running'), ('paused', 'Paused'), ('completed', 'Completed'), ('aborted', 'Aborted'), ('rolled_back', 'Rolled back'), ('replaced', 'Replaced')], default='running', max_length=20, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='rolloutstep',
            name='kind',
            field=models.CharField(choices=[('started', 'Started'), ('approved', 'Approved'), ('stage_began', 'Stage began'), ('gate_passed', 'Gate passed'), ('gate_failed', 'Gate failed'), ('paused', 'Paused'), ('resumed', 'Resumed'), ('begun_now', 'Begun outside the window'), ('aborted', 'Aborted'), ('rolled_back', 'Rolled back'), ('replaced', 'Replaced'), ('completed', 'Completed')], max_length=20, verbose_name='step'),
        ),
        migrations.RunPython(rename, migrations.RunPython.noop),
    ]
