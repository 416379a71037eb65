"""What speaks for a second agent under one uid: a row with columns instead of JSON beside the agent.

Of what was remembered only "the stored state may be the other agent's" goes on. Displaced connections end with the
process that is upgraded, and addresses that poll in turn show themselves again within a few polls.
"""

import agents.models.agent
import django.db.models.deletion
from django.db import migrations, models


def keep_foreign_states(apps, schema_editor):
    """The agents whose next word must be their whole state."""
    told_apart = apps.get_model("agents", "Agent").objects.filter(rivalry__foreign_state=True)
    model = apps.get_model("agents", "DuplicateUid")
    model.objects.bulk_create(
        [model(agent_id=key, stage="told_apart") for key in told_apart.values_list("pk", flat=True)], batch_size=500
    )


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0013_reveal_all_secrets'),
    ]

    operations = [
        migrations.CreateModel(
            name='DuplicateUid',
            fields=[
                ('agent', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='duplicate_uid', serialize=False, to='agents.agent')),
                ('stage', models.CharField(max_length=16)),
                ('lease_id', models.CharField(blank=True, max_length=64)),
                ('lease_process', models.CharField(blank=True, max_length=64)),
                ('lease_opened_at', models.DateTimeField(null=True)),
                ('transport', models.CharField(blank=True, choices=[('websocket', 'WebSocket'), ('http', 'HTTP')], max_length=16)),
                ('remote_address', models.CharField(blank=True, max_length=64)),
                ('sequence_num', agents.models.agent.SequenceNumberField(default=0)),
                ('successor_sequence_num', agents.models.agent.SequenceNumberField(default=0)),
                ('displaced_at', models.DateTimeField(null=True)),
                ('returns', models.PositiveIntegerField(default=0)),
                ('has_returned', models.BooleanField(default=False)),
                ('returned_late', models.BooleanField(default=False)),
                ('late_returns_unanswered', models.PositiveIntegerField(default=0)),
                ('has_other_counter', models.BooleanField(default=False)),
                ('must_move', models.BooleanField(default=False)),
                ('newcomer_address', models.CharField(blank=True, max_length=64)),
            ],
            options={
                'verbose_name': 'duplicate instance UID',
                'verbose_name_plural': 'duplicate instance UIDs',
            },
        ),
        migrations.RunPython(keep_foreign_states, migrations.RunPython.noop),
        migrations.RemoveIndex(
            model_name='agent',
            name='agent_rival_lease',
        ),
        migrations.RemoveField(
            model_name='agent',
            name='rival_lease',
        ),
        migrations.RemoveField(
            model_name='agent',
            name='rivalry',
        ),
        migrations.AddIndex(
            model_name='duplicateuid',
            index=models.Index(condition=models.Q(('lease_id', ''), _negated=True), fields=['lease_id'], name='duplicate_uid_lease'),
        ),
    ]
