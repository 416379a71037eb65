import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=40, verbose_name='subject')),
                ('subject_id', models.BigIntegerField(verbose_name='subject key')),
                ('version_id', models.BigIntegerField(verbose_name='version key')),
                ('audience', models.JSONField(verbose_name='audience')),
                ('released_at', models.DateTimeField(verbose_name='released at')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended at')),
                ('released_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='released by')),
            ],
            options={
                'verbose_name': 'release',
                'verbose_name_plural': 'releases',
                'ordering': ['-pk'],
                'indexes': [models.Index(fields=['subject', 'subject_id', 'ended_at'], name='release_subject')],
            },
        ),
    ]
