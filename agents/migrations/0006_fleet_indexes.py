"""Indexes for lists over a large fleet; two of them are of kinds that only PostgreSQL has."""

import logging

from django.db import DatabaseError, migrations, models, transaction

# What `agents.label_conditions` asks for with "contains".
LABELS = "CREATE INDEX agent_labels ON agents_agent USING gin (labels jsonb_path_ops)"
# The expression of `agents.text_search`, letter by letter as the database reads it.
EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
SEARCH = (
    "CREATE INDEX agent_search ON agents_agent USING gin (upper((chr(10) || name || chr(10) || hostname || chr(10)"
    " || service_name)::text) gin_trgm_ops)"
)


def create_postgresql_indexes(apps, schema_editor):
    """Without the right to create the extension, or where the server lacks it, searching stays slow and nothing fails."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(LABELS)
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute(EXTENSION)
                cursor.execute(SEARCH)
        except DatabaseError as error:
            logging.getLogger(__name__).warning(
                "Searching agents by text reads all of them, for PostgreSQL's extension pg_trgm could not be created (%s)."
                " In a large fleet have an administrator of the database run: %s; %s;",
                str(error).strip(), EXTENSION, SEARCH,
            )


def drop_postgresql_indexes(apps, schema_editor):
    """The extension stays: others may use it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS agent_search")
        schema_editor.execute("DROP INDEX IF EXISTS agent_labels")


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0005_several_nodes'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_facts',
        ),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_version',
        ),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_os_type',
        ),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_hostname',
        ),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_configuration',
        ),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_first_seen',
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['first_seen_at', 'id'], name='agent_first_seen'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['connected_at', 'id'], name='agent_connected_at'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['connected', 'healthy', 'in_sync', 'config_failed', 'os_type', 'version', 'transport', 'configuration_name'], name='agent_facts'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['version', 'id'], name='agent_version'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['os_type', 'id'], name='agent_os_type'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['hostname', 'id'], name='agent_hostname'),
        ),
        migrations.AddIndex(
            model_name='agent',
            index=models.Index(fields=['configuration_name', 'id'], name='agent_configuration'),
        ),
        migrations.RunPython(create_postgresql_indexes, drop_postgresql_indexes),
    ]
