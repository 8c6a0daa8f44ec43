"""The customer portal: plan change with a preview of what it costs, cancelling and resuming, the card, the invoices."""

from __future__ import annotations

from aiohttp import web

from billing.simulator import changes
from billing.simulator.collection import method_of
from billing.simulator.errors import ApiError
from billing.simulator.forms import FormError, card_from, posted
from billing.simulator.html import (
    Words,
    alert,
    button,
    card_fields,
    e,
    form,
    heading,
    hidden,
    link,
    page,
    paragraph,
    refusal,
    rows,
    select,
)
from billing.simulator.page_checkout import every
from billing.simulator.portal import session_by
from billing.simulator.previews import preview
from billing.simulator.service import Service
from billing.simulator.store import Object
from billing.simulator.words import day, language_of, money, translator
from billing.simulator.world import World, no_request

STEPS = ("home", "update", "confirm", "cancel", "card")


class Visit:
    """One look at the portal: the session, its configuration, the subscription, and the language."""

    def __init__(self, request: web.Request) -> None:
        self.service = request.app[Service.KEY]
        self.world: World = self.service.world
        self.world.request = no_request()
        try:
            self.session = session_by(self.world, request.match_info["token"])
        except ApiError:
            raise web.HTTPNotFound(text="There is no such portal session.") from None
        self.features = self.world.get("billing_portal.configuration", self.session["configuration"])["features"]
        self.subscription = changes.current(self.world, self.session)
        self.language = language_of(self.session["locale"], request.headers.get("Accept-Language", ""))
        self._: Words = translator(self.language)

    def price(self, id: str) -> Object:
        return self.world.get("price", id, "price")

    def name(self, price: Object) -> str:
        """Pro, 18,99 € / Monat."""
        product = self.world.get("product", price["product"])["name"]
        return f"{product}, {money(price['unit_amount'], price['currency'], self.language)} / {every(self._, price)}"


async def show(request: web.Request) -> web.Response:
    """GET /p/session/{token}?step=: the step that the session's flow begins with, unless one is named."""
    visit = Visit(request)
    flow = visit.session["flow"] or {}
    first = {
        "payment_method_update": "card",
        "subscription_cancel": "cancel",
        "subscription_update": "update",
        "subscription_update_confirm": "confirm",
    }
    step = request.query.get("step") or first.get(flow.get("type", ""), "home")
    price = request.query.get("price") or ((flow.get("subscription_update_confirm") or {}).get("items") or [{"price": ""}])[0]["price"]
    return _page(visit, step if step in STEPS else "home", price)


async def submit(request: web.Request) -> web.StreamResponse:
    """POST /p/session/{token}: action update {price}, keep, cancel, resume, card, confirm_card."""
    given = await posted(request)
    visit = Visit(request)
    world, _, action = visit.world, visit._, given.get("action", "")
    try:
        _act(visit, action, given)
    except FormError as error:
        world.store.rollback()
        return _page(Visit(request), "card", "", str(error), given, status=422)
    except ApiError as error:
        world.store.rollback()
        code = str(error.more.get("decline_code", ""))
        if code == "authentication_required" and action == "card":
            return _page(Visit(request), "question", "", refusal(_, code))
        step = "card" if action in ("card", "confirm_card") else "home"
        return _page(Visit(request), step, "", refusal(_, code) if code else error.message, given, status=402 if code else 400)
    visit.service.keep()
    done = (visit.session["flow"] or {}).get("after_completion") or {}
    raise web.HTTPSeeOther(done["redirect"]["return_url"] if done.get("redirect") else f"{request.path}?step=home")


def _act(visit: Visit, action: str, given: dict[str, str]) -> None:
    world, features, subscription = visit.world, visit.features, visit.subscription
    if action in ("card", "confirm_card") and features["payment_method_update"]["enabled"]:
        if action == "card":
            visit.session["_pending"] = card_from(world, visit._, given)["id"]
            visit.service.keep()  # it outlives a refusal: the bank's question comes in a step of its own
        method = world.get("payment_method", visit.session["_pending"])
        changes.new_card(world, visit.session, method, confirmed=action == "confirm_card")
    elif subscription and action == "update":
        changes.update(world, features, subscription, visit.price(given.get("price", "")))
    elif subscription and action == "keep":
        changes.keep_plan(world, subscription)
    elif subscription and action == "cancel" and features["subscription_cancel"]["enabled"]:
        changes.cancel(world, features, subscription, given.get("feedback") or None)
    elif subscription and action == "resume":
        changes.resume(world, subscription)
    else:
        raise ApiError("The portal does not offer this.", param="action")


def _page(visit: Visit, step: str, price: str, problem: str = "", given: dict[str, str] | None = None, status: int = 200) -> web.Response:
    _, parts = visit._, [alert(problem)]
    if step == "card" and visit.features["payment_method_update"]["enabled"]:
        parts.append(form(card_fields(_, given or {}), button(_("Save the card"), "card", "primary")))
    elif step == "question":
        parts.append(form(button(_("Confirm"), "confirm_card", "primary")))
    elif visit.subscription and step == "update":
        parts.append(_prices(visit))
    elif visit.subscription and step == "confirm":
        parts.append(_confirm(visit, visit.price(price)))
    elif visit.subscription and step == "cancel" and visit.features["subscription_cancel"]["enabled"]:
        parts.append(_cancel(visit, visit.subscription))
    else:
        parts += [_plan(visit), _card(visit), _invoices(visit)]
    if step != "home":
        parts.append(link(_("Overview"), "?step=home"))
    if url := visit.session["return_url"]:
        parts.append(link(_("Back"), url))
    done = (visit.session["flow"] or {}).get("after_completion") or {}
    leads = [done["redirect"]["return_url"]] if done.get("redirect") else []
    return page(visit.language, _("Subscription"), "\n".join(parts), status=status, leads_to=leads)


def _plan(visit: Visit) -> str:
    _, found = visit._, visit.subscription
    if found is None:
        return paragraph(_("There is no subscription."))
    ends = day(found["items"]["data"][0]["current_period_end"], visit.language)
    pairs = [(_("Plan"), ", ".join(visit.name(item["price"]) for item in found["items"]["data"]))]
    pairs.append((_("Ends on"), day(found["cancel_at"], visit.language)) if found["cancel_at"] else (_("Renews on"), ends))
    if found["status"] in ("past_due", "unpaid"):
        pairs.append((_("Status"), _("The last payment failed.")))
    acts = []
    if coming := changes.pending_price(visit.world, found):
        pairs.append((_("Changes to"), f"{visit.name(coming[0])} ({day(coming[1], visit.language)})"))
        acts.append(form(button(_("Keep the plan"), "keep")))
    if changes.choices(visit.world, visit.features, found):
        acts.append(link(_("Change the plan"), "?step=update", "button"))
    if found["cancel_at"]:
        acts.append(form(button(_("Go on with the subscription"), "resume")))
    elif visit.features["subscription_cancel"]["enabled"]:
        acts.append(link(_("Cancel the subscription"), "?step=cancel", "button"))
    return f'{rows(pairs)}<div class="row">{"".join(acts)}</div>'


def _card(visit: Visit) -> str:
    _, method = visit._, method_of(visit.world, visit.subscription) if visit.subscription else None
    known = (
        f"{method['card']['brand']} •••• {method['card']['last4']}, {method['card']['exp_month']:02d}/{method['card']['exp_year']}"
        if method
        else "–"
    )
    change = link(_("Change the card"), "?step=card", "button") if visit.features["payment_method_update"]["enabled"] else ""
    return heading(_("Card")) + paragraph(known) + change


def _invoices(visit: Visit) -> str:
    if not visit.features["invoice_history"]["enabled"]:
        return ""
    _, cells = visit._, []
    words = {"open": _("Open"), "paid": _("Paid"), "void": _("Void"), "uncollectible": _("Given up")}
    for row in reversed(visit.world.store.find("invoice", customer=visit.session["customer"])):
        if row["hosted_invoice_url"]:
            number, when = link(row["number"], row["hosted_invoice_url"]), day(row["created"], visit.language)
            amount = e(money(row["total"], row["currency"], visit.language))
            cells.append(f"<tr><th>{number}</th><td>{when}</td><td>{amount}</td><td>{e(words[row['status']])}</td></tr>")
    return heading(_("Invoices")) + f"<table>{''.join(cells)}</table>"


def _prices(visit: Visit) -> str:
    assert visit.subscription
    _, prices = visit._, changes.choices(visit.world, visit.features, visit.subscription)
    links = [link(visit.name(price), f"?step=confirm&price={price['id']}", "button") for price in prices]
    return heading(_("Change the plan")) + "<ul>" + "".join(f"<li>{found}</li>" for found in links) + "</ul>"


def _confirm(visit: Visit, price: Object) -> str:
    """What the change costs, before it is made."""
    _, world, found = visit._, visit.world, visit.subscription
    assert found
    ends = day(found["items"]["data"][0]["current_period_end"], visit.language)
    shown = [(_("New plan"), visit.name(price))]
    if changes.waits(visit.features, found, price):
        shown.append((_("Takes effect on"), ends))
    else:
        with world.store.preview():
            again = world.get("subscription", found["id"])
            behavior = visit.features["subscription_update"]["proration_behavior"]
            draft = preview(world, again, [changes.wanted(again, price)], behavior)
        shown += [(row["description"], money(row["amount"], row["currency"], visit.language)) for row in draft["lines"]["data"]]
        shown.append((_("To pay"), money(draft["amount_due"], draft["currency"], visit.language)))
    return rows(shown) + form(hidden("price", price["id"]), button(_("Change with obligation to pay"), "update", "primary"))


def _cancel(visit: Visit, found: Object) -> str:
    _, reasons = visit._, visit.features["subscription_cancel"]["cancellation_reason"]
    at_once, ends = visit.features["subscription_cancel"]["mode"] == "immediately", _("Ends on")
    until = day(found["items"]["data"][0]["current_period_end"], visit.language)
    when = _("The subscription ends at once.") if at_once else f"{ends} {until}"
    asked = select(_("Reason"), "feedback", ["", *reasons["options"]]) if reasons["enabled"] else ""
    return paragraph(when) + form(asked, button(_("Cancel the subscription"), "cancel", "primary"))
