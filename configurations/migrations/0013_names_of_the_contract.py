from django.db import migrations

from rollouts.former_names import present_names


def rename(apps, _schema_editor):
    """Policies that are kept get the names that outside programs rely on."""
    rows = apps.get_model("configurations", "Configuration").objects
    for row in list(rows.exclude(rollout_policy=None).only("rollout_policy")):
        rows.filter(pk=row.pk).update(rollout_policy=present_names(row.rollout_policy))
    for name in ("ConfigurationDraft", "DeletedConfiguration"):
        rows = apps.get_model("configurations", name).objects
        # With their texts these rows are large: one at a time.
        for key in list(rows.filter(state__has_key="rollout_policy").values_list("pk", flat=True)):
            state = rows.only("state").get(pk=key).state
            rows.filter(pk=key).update(state={**state, "rollout_policy": present_names(state["rollout_policy"])})


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0012_held_values'),
    ]

    operations = [
        migrations.RunPython(rename, migrations.RunPython.noop),
    ]
