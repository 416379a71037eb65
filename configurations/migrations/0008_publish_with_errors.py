from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0007_drafts'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='configuration',
            options={'ordering': ['name'], 'permissions': [('publish_with_errors', 'Can publish what checks block')], 'verbose_name': 'configuration', 'verbose_name_plural': 'configurations'},
        ),
    ]
