"""A counter of edits beside the revision's number; it begins where that one is, so that ETags known to programs stay true."""

from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def begin_at_the_revision(apps, schema_editor):
    Configuration = apps.get_model("configurations", "Configuration")
    Revision = apps.get_model("configurations", "Revision")
    number = Revision.objects.filter(pk=OuterRef("current_id")).values("number")
    Configuration.objects.filter(current__isnull=False).update(edition=Subquery(number))


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0002_failures_and_roll_backs'),
    ]

    operations = [
        migrations.AddField(
            model_name='configuration',
            name='edition',
            field=models.PositiveIntegerField(default=1, editable=False, verbose_name='edition'),
        ),
        migrations.RunPython(begin_at_the_revision, migrations.RunPython.noop),
    ]
