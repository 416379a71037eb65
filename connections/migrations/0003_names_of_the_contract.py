from django.db import migrations

from rollouts.former_names import present_names


def rename(apps, _schema_editor):
    """Policies that are kept get the names that outside programs rely on."""
    rows = apps.get_model("connections", "ConnectionSettings").objects
    for row in list(rows.exclude(rollout_policy=None).only("rollout_policy")):
        rows.filter(pk=row.pk).update(rollout_policy=present_names(row.rollout_policy))


class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0002_whole_names'),
    ]

    operations = [
        migrations.RunPython(rename, migrations.RunPython.noop),
    ]
