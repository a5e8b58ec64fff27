"""An SMTP server that writes each mail as one line of JSON. Arguments: port, file."""

import asyncio
import email
import email.policy
import json
import sys
import time

from aiosmtpd.controller import Controller

port, path = int(sys.argv[1]), sys.argv[2]


def part(message, kind):
    body = message.get_body(preferencelist=(kind,))
    return body.get_content() if body is not None else ""


class Sink:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        mail = {
            "at": time.time(),
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": part(message, "plain"),
            "html": part(message, "html"),
        }
        with open(path, "a", encoding="utf-8") as mails:
            mails.write(json.dumps(mail) + "\n")
        return "250 taken"


controller = Controller(Sink(), hostname="127.0.0.1", port=port)
controller.start()
print("listening", flush=True)
asyncio.new_event_loop().run_forever()
