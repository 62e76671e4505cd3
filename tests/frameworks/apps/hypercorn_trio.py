"""hypercorn's trio worker with the ASGI program beside this file."""

import sys

import trio
from asgi_app import app
from hypercorn.config import Config
from hypercorn.trio import serve

config = Config()
config.bind = [f"{sys.argv[1]}:{sys.argv[2]}"]
trio.run(serve, app, config)
