"""For `hypercorn quart_trio_app:app -k trio`."""

from quart_app import on_trio

app = on_trio()
