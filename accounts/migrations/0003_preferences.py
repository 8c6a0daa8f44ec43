from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_mailbox'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='language',
            field=models.CharField(blank=True, choices=[('de', 'German'), ('en', 'English')], db_default='', default='', max_length=5, verbose_name='language'),
        ),
        migrations.AddField(
            model_name='user',
            name='quota_mails',
            field=models.BooleanField(db_default=True, default=True, help_text="A mail at 80, 95 and 100 % of the day's tokens", verbose_name='quota mails'),
        ),
        migrations.AddField(
            model_name='user',
            name='substitution',
            field=models.CharField(choices=[('any', 'any other that works'), ('family', 'only the same model elsewhere, or its own stand-in'), ('strict', "nobody: rather no answer than another's")], db_default='any', default='any', max_length=6, verbose_name='substitution'),
        ),
    ]
