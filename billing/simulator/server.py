"""The simulator's web server: the API, the hosted pages and its own control, on one port of this machine."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from billing.simulator import api, control, page_checkout, page_control, page_invoice, page_portal
from billing.simulator.service import Service

STYLE = Path(__file__).with_name("style.css")
OURS = ("127.0.0.1", "localhost", "[::1]")


@web.middleware
async def only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No page of elsewhere reaches us by a name that points here, and none sends us a form."""
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if host not in OURS:
        return web.json_response({"error": {"message": f"The simulator answers as 127.0.0.1 only, not as {host}."}}, status=403)
    foreign = origin not in (None, f"http://{request.headers['Host']}")
    if foreign and request.method != "GET":
        return web.json_response({"error": {"message": f"A form of {origin} cannot be sent to the simulator."}}, status=403)
    response = await handler(request)
    response.headers["Date"] = formatdate(request.app[Service.KEY].world.now(), usegmt=True)  # ours, not the wall's
    return response


async def style(request: web.Request) -> web.FileResponse:
    return web.FileResponse(STYLE, headers={"Cache-Control": "no-cache"})


async def home(request: web.Request) -> web.StreamResponse:
    raise web.HTTPSeeOther("/simulator")


async def health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "simulator": True})


def application(service: Service) -> web.Application:
    app = web.Application(middlewares=[only_from_here], client_max_size=1024**2)
    app[Service.KEY] = service
    app.cleanup_ctx.append(service.lifetime)
    app.add_routes(
        [
            web.get("/", home),
            web.get("/simulator/health", health),
            web.get("/simulator/style.css", style),
            web.get("/simulator", page_control.show),
            web.get("/simulator/state", control.state),
            web.get("/simulator/deliveries", control.deliveries),
            web.post("/simulator/settle", control.settle),
            web.post("/simulator/{action}", control.act),
            web.get("/c/pay/{id}", page_checkout.show),
            web.post("/c/pay/{id}", page_checkout.submit),
            web.get("/p/session/{token}", page_portal.show),
            web.post("/p/session/{token}", page_portal.submit),
            web.get("/i/{token}", page_invoice.show),
            web.post("/i/{token}", page_invoice.submit),
            web.get("/i/{token}/pdf", page_invoice.pdf),
            web.route("*", "/v1/{path:.*}", api.handle),
        ]
    )
    return app
