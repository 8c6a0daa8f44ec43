"""Signing in and out, signing up."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import replies, serializers
from accounts.authentication import address_of_request, caller_of
from accounts.client_credentials import client_credentials
from accounts.devices import sign_in_device
from accounts.keys import SCOPES
from accounts.login import sign_in
from accounts.models import LoginToken
from accounts.permissions import AnyCaller, IsOwner, IsUser
from accounts.signup import sign_up
from accounts.tokens import issue_token, token_seconds
from accounts.views.base import user_of
from billing.clock import stamp
from billing.schema import answers
from billing.tiers import default_tier, tier_for


class LoginView(APIView):
    """Sign in by address and password. Never makes an account."""

    authentication_classes = []
    permission_classes = [AnyCaller]

    @extend_schema(operation_id="login", request=serializers.LoginBody, responses=answers(replies.LoginReply, 400, 401))
    def post(self, request: Request) -> Response:
        body = serializers.LoginBody.read(request.data)
        user = sign_in(body["email"], body["password"], code=body["code"], address=address_of_request(request._request))
        token, client_id = issue_token(user)
        return Response({"user_id": user.email, "token": token, "tier": tier_for(user).slug, "client_id": client_id})


class RegisterView(APIView):
    """Sign up. The answer is the same for an address that has an account; its owner gets a mail."""

    authentication_classes = []
    permission_classes = [AnyCaller]

    @extend_schema(operation_id="register", request=serializers.RegisterBody, responses=answers(replies.RegisterReply, 400, status=201))
    def post(self, request: Request) -> Response:
        body = serializers.RegisterBody.read(request.data)
        sign_up(request._request, email=body["email"], password=body["password"], name=body["name"])
        message = _("Thank you. We have sent you an e-mail; you can sign in now.")
        return Response({"success": True, "message": message, "tier": default_tier().slug, "email": body["email"]}, status=201)


class LogoutView(APIView):
    """Revoke the token this request came with, or everything that is signed in."""

    permission_classes = [IsOwner]

    @extend_schema(operation_id="logout", request=serializers.LogoutBody, responses=answers(replies.SuccessReply, 400, 401, 403))
    def post(self, request: Request) -> Response:
        body = serializers.LogoutBody.read(request.data)
        if body["everywhere"]:
            user_of(request).sign_out_everywhere()
        caller = caller_of(request)
        if caller.token_id is not None:
            LoginToken.objects.filter(pk=caller.token_id).update(revoked=True)
        if caller.carrier == "session":
            request._request.session.flush()
        return Response({"success": True})


class DeviceTokenView(APIView):
    """A login token for a device's client credentials: in the headers client_id and client_secret, or in the body."""

    authentication_classes = []
    permission_classes = [AnyCaller]

    @extend_schema(operation_id="device_token", request=serializers.DeviceTokenBody, responses=answers(replies.DeviceTokenReply, 400, 401))
    def post(self, request: Request) -> Response:
        body = serializers.DeviceTokenBody.read(request.data)
        client_id, secret = client_credentials(request._request, body)
        device = sign_in_device(client_id, secret, address=address_of_request(request._request))
        token, _client_id = issue_token(device.user, client_id=device.client_id)
        tier = tier_for(device.user).slug
        return Response({"token": token, "user_id": device.user.email, "tier": tier, "expires_in": token_seconds()})


class MeView(APIView):
    """Who am I?"""

    permission_classes = [IsUser]

    @extend_schema(operation_id="who_am_i", responses=answers(replies.MeReply, 400, 401, 403))
    def get(self, request: Request) -> Response:
        user, caller = user_of(request), caller_of(request)
        return Response(
            {
                "user_id": user.email,
                "id": user.pk,
                "email": user.email,
                "name": user.name,
                "tier": caller.tier.slug,
                "tier_name": caller.tier.name,
                "email_verified": user.email_is_verified,
                "carrier": caller.carrier,
                "scopes": sorted(SCOPES if caller.scopes is None else caller.scopes),
                "created": stamp(user.date_joined),
            }
        )
