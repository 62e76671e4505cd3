"""A grpclib service by hand, without generated code: words come back upper case."""

import asyncio
import sys

from google.protobuf.wrappers_pb2 import StringValue
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

UPPER = "/words.Words/Upper"


class Words:
    async def upper(self, stream: "Stream[StringValue, StringValue]") -> None:
        async for message in stream:
            await stream.send_message(StringValue(value=message.value.upper()))

    def __mapping__(self) -> dict[str, Handler]:
        return {UPPER: Handler(self.upper, Cardinality.STREAM_STREAM, StringValue, StringValue)}


async def main() -> None:
    server = Server([Words()])
    await server.start(sys.argv[1], int(sys.argv[2]))
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
