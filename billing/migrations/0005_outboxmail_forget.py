from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0004_usageevent_visitor'),
    ]

    operations = [
        migrations.AddField(
            model_name='outboxmail',
            name='forget',
            field=models.BooleanField(db_default=False, default=False, help_text='Deleted as soon as it is sent', verbose_name='forget once sent'),
        ),
    ]
