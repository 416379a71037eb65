"""Drafts that are saved, and what is kept of deleted configurations."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0006_pins'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ConfigurationDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_index=True, max_length=100, verbose_name='name')),
                ('author_name', models.CharField(max_length=150, verbose_name='author')),
                ('saved_by_name', models.CharField(max_length=150, verbose_name='saved by')),
                ('base_revision', models.PositiveIntegerField(null=True, verbose_name='based on revision')),
                ('base_edition', models.PositiveIntegerField(null=True)),
                ('state', models.JSONField()),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='note')),
                ('findings', models.JSONField(default=list, verbose_name='findings')),
                ('edition', models.PositiveIntegerField(default=1, verbose_name='edition')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, verbose_name='updated at')),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='author')),
                ('configuration', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='drafts', to='configurations.configuration', verbose_name='configuration')),
            ],
            options={
                'verbose_name': 'draft',
                'verbose_name_plural': 'drafts',
                'ordering': ['-updated_at', '-id'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='DeletedConfiguration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_index=True, max_length=100, verbose_name='name')),
                ('state', models.JSONField()),
                ('revisions', models.JSONField(default=list)),
                ('files', models.JSONField(default=dict)),
                ('deleted_by_name', models.CharField(max_length=150, verbose_name='deleted by')),
                ('deleted_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, verbose_name='deleted at')),
                ('deleted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='deleted by')),
            ],
            options={
                'verbose_name': 'deleted configuration',
                'verbose_name_plural': 'deleted configurations',
                'ordering': ['-deleted_at', '-id'],
                'default_permissions': (),
            },
        ),
    ]
