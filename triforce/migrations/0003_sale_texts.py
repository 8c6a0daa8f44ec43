"""Drafts of what a paid subscription needs: terms, the right of withdrawal with its form, and an imprint with the fields that it asks for."""

from django.db import migrations

DRAFT_DE = "> **Entwurf.** Von einer Anwältin oder einem Anwalt zu prüfen; Angaben in eckigen Klammern ergänzt der Betreiber unter Administration → Texte."
DRAFT_EN = "> **Draft.** To be checked by a lawyer; the operator completes what stands in square brackets under Administration → Texts."

TERMS_DE = f"""# Nutzungsbedingungen

{DRAFT_DE}

## 1. Wer und wofür

[Name und Anschrift des Betreibers] stellt mit TriForce den Zugang zu Sprachmodellen verschiedener Anbieter bereit. Diese Bedingungen gelten für alle Tarife.

## 2. Vertragsschluss

Die Darstellung der Tarife ist kein bindendes Angebot. Mit „Zahlungspflichtig bestellen“ gibst du deine Bestellung ab; der Vertrag kommt zustande, sobald wir
den Beginn des Tarifs per E-Mail bestätigen. Diese E-Mail enthält den Vertrag, diese Bedingungen und die Widerrufsbelehrung.

## 3. Leistung

Umfang und Grenzen eines Tarifs stehen auf der Preisseite. Antworten stammen von Maschinen und können falsch sein. Fällt ein Anbieter aus, antwortet, soweit
du es erlaubst, ein anderer; die Antwort nennt ihn.

## 4. Preise und Zahlung

Alle Preise verstehen sich in Euro einschließlich der gesetzlichen Umsatzsteuer. Bezahlt wird im Voraus für einen Monat oder ein Jahr über Stripe. Schlägt
eine Zahlung fehl, bleibt der Tarif drei Tage bestehen; danach ruht er, bis gezahlt ist.

## 5. Laufzeit und Kündigung

Monatlich: Der Vertrag läuft auf unbestimmte Zeit und ist jederzeit zum Ende des bezahlten Monats kündbar. Jährlich: Der Vertrag läuft ein Jahr, danach auf
unbestimmte Zeit mit einer Kündigungsfrist von einem Monat; was über das Ende hinaus bezahlt ist, wird erstattet. Kündigen kannst du auf der Seite deines
Tarifs oder ohne Anmeldung unter „Verträge hier kündigen“. Das Recht zur Kündigung aus wichtigem Grund bleibt unberührt.

## 6. Tarifwechsel

Ein Wechsel nach oben gilt sofort, der Rest der laufenden Zeit wird angerechnet. Ein Wechsel nach unten oder zu einer kürzeren Zahlweise gilt ab dem Ende
der bezahlten Zeit.

## 7. Erstattung

Wird die laufende Zeit vollständig erstattet, endet der Tarif mit der Erstattung.

## 8. Was nicht erlaubt ist

[Regeln der Nutzung, Haftung, anwendbares Recht, Verbraucherstreitbeilegung]
"""
TERMS_EN = f"""# Terms of use

{DRAFT_EN}

## 1. Who and what for

[name and address of the operator] gives with TriForce access to language models of several providers. These terms hold for every tier.

## 2. How the contract is made

The display of the tiers is no binding offer. With “Order with obligation to pay” you place your order; the contract is made when we confirm by e-mail that
the tier has begun. That mail holds the contract, these terms and the information on your right of withdrawal.

## 3. What you get

Extent and limits of a tier stand on the page of prices. Answers are made by machines and can be wrong. Where a provider fails, another one answers as far
as you allow it; the answer names it.

## 4. Prices and payment

All prices are in euros and include VAT. You pay in advance for a month or a year, through Stripe. Where a payment fails the tier stays for three days;
after that it pauses until it is paid.

## 5. Term and ending it

Monthly: the contract runs for an unlimited time and can be ended at any time to the end of the month that is paid. Yearly: it runs for a year, afterwards
for an unlimited time with a notice of one month; what is paid beyond its end is refunded. You end it on the page of your plan, or without signing in under
“Cancel contracts here”. The right to end it for an important reason is untouched.

## 6. Change of tier

A change upwards holds at once, and the rest of the running period is counted in. A change downwards, or to a shorter period, holds from the end of the
period that is paid.

## 7. Refunds

Where the running period is refunded in full, the tier ends with the refund.

## 8. What is not allowed

[rules of use, liability, law that applies, settlement of consumer disputes]
"""
WITHDRAWAL_DE = f"""# Widerrufsbelehrung

{DRAFT_DE}

## Widerrufsrecht

Du hast das Recht, binnen vierzehn Tagen ohne Angabe von Gründen diesen Vertrag zu widerrufen. Die Widerrufsfrist beträgt vierzehn Tage ab dem Tag des
Vertragsabschlusses.

Um dein Widerrufsrecht auszuüben, musst du uns ([Name, Anschrift, E-Mail-Adresse, Telefonnummer]) mit einer eindeutigen Erklärung (zum Beispiel ein mit der
Post versandter Brief oder eine E-Mail) über deinen Entschluss, diesen Vertrag zu widerrufen, informieren. Du kannst dafür das Formular unten verwenden,
das jedoch nicht vorgeschrieben ist, oder online [„Vertrag widerrufen“](/contracts/withdraw); wir bestätigen dir dann den Eingang unverzüglich per E-Mail.

Zur Wahrung der Frist reicht es aus, dass du die Mitteilung vor Ablauf der Widerrufsfrist absendest.

## Folgen des Widerrufs

Wenn du diesen Vertrag widerrufst, haben wir dir alle Zahlungen, die wir von dir erhalten haben, unverzüglich und spätestens binnen vierzehn Tagen ab dem
Tag zurückzuzahlen, an dem die Mitteilung über deinen Widerruf bei uns eingegangen ist. Wir verwenden dasselbe Zahlungsmittel, das du eingesetzt hast;
Entgelte werden dir dafür nicht berechnet.

Hast du verlangt, dass die Dienstleistung während der Widerrufsfrist beginnen soll, so hast du uns einen angemessenen Betrag zu zahlen, der dem Anteil der
bis zum Widerruf bereits erbrachten Dienstleistungen im Vergleich zum Gesamtumfang entspricht.

## Muster-Widerrufsformular

An [Name, Anschrift, E-Mail-Adresse]: Hiermit widerrufe(n) ich/wir den von mir/uns abgeschlossenen Vertrag über die Erbringung der folgenden Dienstleistung:
… · Bestellt am … · Name · Anschrift · Datum · Unterschrift (nur auf Papier)
"""
WITHDRAWAL_EN = f"""# Right of withdrawal

{DRAFT_EN}

## Your right

You have the right to withdraw from this contract within fourteen days without giving a reason. The period is fourteen days from the day on which the
contract was made.

To use it you tell us ([name, address, e-mail address, telephone number]) in an unequivocal statement (a letter by post, an e-mail) that you withdraw. You
may use the form below, but need not, or online [“Withdraw from a contract”](/contracts/withdraw); we then confirm its arrival at once by e-mail.

It is enough to send your statement before the period is over.

## What follows

We pay back all that we have received from you, without delay and within fourteen days of the day on which your statement reached us, by the means with
which you paid, and without a fee.

Where you asked for the service to begin during the withdrawal period, you pay an amount that is in proportion to what had been provided until you withdrew.

## A form, if you like

To [name, address, e-mail address]: I/we withdraw from the contract that I/we made on the provision of this service: … · ordered on … · name · address ·
date · signature (on paper alone)
"""
IMPRINT_DE = f"""# Impressum

{DRAFT_DE}

[Name und Rechtsform] · [Anschrift] · vertreten durch [Name]

E-Mail [Adresse] · Telefon [Nummer]

Registergericht [Ort], [Nummer] · Umsatzsteuer-Identifikationsnummer [DE…]

Verantwortlich für den Inhalt: [Name, Anschrift] · Verbraucherstreitbeilegung: [Bereitschaft oder Ablehnung]
"""
IMPRINT_EN = f"""# Imprint

{DRAFT_EN}

[name and legal form] · [address] · represented by [name]

E-mail [address] · Telephone [number]

Register court [place], [number] · VAT identification number [DE…]

Responsible for the content: [name, address] · Consumer dispute resolution: [willing or not]
"""
NEW = (
    ("terms", "de", "Nutzungsbedingungen", TERMS_DE, 2),
    ("terms", "en", "Terms", TERMS_EN, 2),
    ("withdrawal", "de", "Widerrufsbelehrung", WITHDRAWAL_DE, 3),
    ("withdrawal", "en", "Right of withdrawal", WITHDRAWAL_EN, 3),
    ("imprint", "de", "Impressum", IMPRINT_DE, 4),
    ("imprint", "en", "Imprint", IMPRINT_EN, 4),
)
UNTOUCHED = ("**Vom Betreiber zu ergänzen**", "**To be completed by the operator**")  # of a text that nobody has written yet


def write(apps, schema_editor):
    Text = apps.get_model("triforce", "Text")
    for slug, language, title, body, position in NEW:
        text, made = Text.objects.get_or_create(
            slug=slug, language=language, defaults={"title": title, "body": body, "position": position}
        )
        if not made and any(mark in text.body for mark in UNTOUCHED) and len(text.body) < 300:
            Text.objects.filter(pk=text.pk).update(body=body)


class Migration(migrations.Migration):
    dependencies = [("triforce", "0002_first_texts")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
