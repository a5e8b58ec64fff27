"""An SMTP server (aiosmtpd) for one test: options as JSON in argv[1], its port and then one JSON line per mail on stdout.

Ends when its stdin closes, so that it never outlives the test.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult

OPTIONS = json.loads(sys.argv[1])

# Clients that break a handshake off are what some tests are about, not news.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if reply := OPTIONS.get("rcpt_reply") or OPTIONS.get("rcpt_replies", {}).get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)

        def part(kind):
            body = mail.get_body((kind,))
            return body and body.get_content().replace("\r\n", "\n")

        print(json.dumps({
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "hello": session.host_name,
            "tls": session.ssl is not None,
            "login": session.auth_data,
            "headers": [[name.lower(), str(value)] for name, value in mail.items()],
            "text": part("plain"),
            "html": part("html"),
        }), flush=True)
        return OPTIONS.get("data_reply") or "250 2.0.0 queued as 4711"

    async def handle_QUIT(self, server, session, envelope):
        if OPTIONS.get("mute_quit"):
            await asyncio.sleep(3600)
        return "221 bye"


def authenticate(server, session, envelope, mechanism, data):
    given = [mechanism, data.login.decode(), data.password.decode()]
    if given[1:] != OPTIONS["login"]:
        return AuthResult(success=False, handled=False)
    return AuthResult(success=True, auth_data=given)


def settings():
    found = {"hostname": "mx.test", "loop": asyncio.get_running_loop()}
    if OPTIONS.get("certificate"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(OPTIONS["certificate"], OPTIONS["key"])
        found["tls_context"] = context
    if OPTIONS.get("login"):
        found.update(authenticator=authenticate, auth_require_tls=False)
        found["auth_exclude_mechanism"] = OPTIONS.get("without_mechanisms", [])
    else:
        found["auth_exclude_mechanism"] = ["PLAIN", "LOGIN"]
    return found


async def main():
    found = settings()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), **found), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
