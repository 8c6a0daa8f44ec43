"""The texts that every site needs, for the operator to complete."""

from django.db import migrations

TODO_DE = "> **Vom Betreiber zu ergänzen**, unter Administration → Texte: Name, Anschrift und E-Mail-Adresse."
TODO_EN = "> **To be completed by the operator**, under Administration → Texts: name, address and e-mail address."

PRIVACY_DE = f"""# Datenschutz

{TODO_DE}

## Was gespeichert wird

- **Konto:** E-Mail-Adresse, Passwort (als Argon2-Prüfwert), Einstellungen, angemeldete Geräte und Sitzungen.
- **Belege:** je Anfrage Modell, Zahl der Tokens, Dauer und die Regel, nach der abgerechnet wurde. Nicht der Inhalt.
- **Gäste:** ein Prüfwert der Netzwerkadresse, um das Tageskontingent zu zählen.
- **Wiederholungsschutz:** Wer einen `Idempotency-Key` mitschickt, dessen Antwort wird bis zu 24 Stunden aufbewahrt.

## Wohin Anfragen gehen

Eine Anfrage geht an den Anbieter des gewählten Modells, und nur dann an einen anderen, wenn dieser ausfällt und du Ersatz erlaubst. Die Antwort sagt,
wer geantwortet hat.

## Cookies

Nur nötige: Sitzung, Schutz vor gefälschten Formularen, Sprache und Erscheinungsbild. Diese Seiten laden nichts von fremden Servern.
"""
PRIVACY_EN = f"""# Privacy

{TODO_EN}

## What is stored

- **Account:** e-mail address, password (as an Argon2 hash), settings, devices and sessions.
- **Receipts:** for each request the model, the number of tokens, the time taken and the rule that charged it. Not its content.
- **Guests:** a hash of the network address, to count the day's tokens.
- **Requests sent twice:** whoever sends an `Idempotency-Key` has the answer kept for up to 24 hours.

## Where requests go

A request goes to the provider of the chosen model, and to another one only where that fails and you allow a substitute. The answer says who answered.

## Cookies

Only what is needed: session, protection against forged forms, language and appearance. These pages load nothing from anybody else's servers.
"""
TEXTS = (
    ("privacy", "de", "Datenschutz", PRIVACY_DE),
    ("privacy", "en", "Privacy", PRIVACY_EN),
    ("imprint", "de", "Impressum", f"# Impressum\n\n{TODO_DE}\n"),
    ("imprint", "en", "Imprint", f"# Imprint\n\n{TODO_EN}\n"),
    ("terms", "de", "Nutzungsbedingungen", f"# Nutzungsbedingungen\n\n{TODO_DE}\n"),
    ("terms", "en", "Terms", f"# Terms of use\n\n{TODO_EN}\n"),
)


def write(apps, schema_editor):
    Text = apps.get_model("triforce", "Text")
    for position, (slug, language, title, body) in enumerate(TEXTS):
        Text.objects.get_or_create(slug=slug, language=language, defaults={"title": title, "body": body, "position": position})


class Migration(migrations.Migration):
    dependencies = [("triforce", "0001_initial")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
