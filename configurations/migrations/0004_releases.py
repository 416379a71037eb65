"""Revisions know their release; each configuration's current revision begins as released to everyone."""

import django.db.models.deletion
from django.db import migrations, models


def release_what_is_current(apps, schema_editor):
    Configuration = apps.get_model("configurations", "Configuration")
    Revision = apps.get_model("configurations", "Revision")
    Release = apps.get_model("rollouts", "Release")
    for configuration in Configuration.objects.filter(current__isnull=False).order_by("pk"):
        revision = Revision.objects.only("created_at", "author_id").get(pk=configuration.current_id)
        release = Release.objects.create(
            subject="configuration",
            subject_id=configuration.pk,
            version_id=revision.pk,
            audience={"version": 1, "kind": "everyone"},
            released_at=revision.created_at,
            released_by_id=revision.author_id,
        )
        Revision.objects.filter(pk=revision.pk).update(release=release)


def forget_releases(apps, schema_editor):
    apps.get_model("configurations", "Revision").objects.update(release=None)
    apps.get_model("rollouts", "Release").objects.filter(subject="configuration").delete()


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0003_count_editions'),
        ('rollouts', '0001_releases'),
    ]

    operations = [
        migrations.AddField(
            model_name='revision',
            name='release',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='rollouts.release', verbose_name='release'),
        ),
        migrations.RunPython(release_what_is_current, forget_releases),
    ]
