"""An OpenID Connect server over a real socket: discovery, authorisation code with PKCE, token and userinfo."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "triforce", "a-secret-of-the-fake"


class FakeOidc:
    """`person` is who signs in next: its claims, or None for somebody who declines. Lets each in without asking."""

    def __init__(self) -> None:
        self.person: dict[str, Any] | None = None
        self._grants: dict[str, dict[str, str]] = {}  # what each code was given for
        self._people: dict[str, dict[str, Any]] = {}
        self._key = rsa.generate_private_key(65537, 2048)
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake._get(self)

            def do_POST(self) -> None:
                fake._post(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeOidc:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _get(self, call: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(call.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/.well-known/openid-configuration":
            names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo", "jwks_uri": "jwks"}
            _send(call, 200, {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in names.items()}})
        elif parts.path == "/authorize":
            assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
            if self.person is None:
                answer = {"error": "access_denied", "state": asked["state"]}
            else:
                code = secrets.token_urlsafe(16)
                self._grants[code], self._people[code] = asked, self.person
                answer = {"code": code, "state": asked["state"]}
            call.send_response(302)
            call.send_header("Location", f"{asked['redirect_uri']}?{urlencode(answer)}")
            call.end_headers()
        elif parts.path == "/userinfo":
            person = self._people.get(call.headers.get("Authorization", "").removeprefix("Bearer "))
            _send(call, 200 if person else 401, person or {"error": "invalid_token"})
        else:
            _send(call, 404, {})

    def _post(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers["Content-Length"])).decode()
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self._grants.pop(sent.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        basic = base64.b64decode(call.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        known = basic == f"{CLIENT}:{SECRET}" or (sent.get("client_id"), sent.get("client_secret")) == (CLIENT, SECRET)
        if not known or not asked or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, sent.get("redirect_uri")):
            _send(call, 400, {"error": "invalid_grant"})
            return
        token = secrets.token_urlsafe(16)
        person = self._people[token] = self._people[sent["code"]]
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **person}
        _send(call, 200, {"access_token": token, "token_type": "Bearer", "id_token": jwt.encode(claims, self._key, "RS256", {"kid": "1"})})


def _send(call: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    call.send_response(status)
    call.send_header("Content-Type", "application/json")
    call.send_header("Content-Length", str(len(content)))
    call.end_headers()
    call.wfile.write(content)
