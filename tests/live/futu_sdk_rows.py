"""Payloads on standard input, as JSON lines, become the rows that Futu's own SDK makes of them. Run by a test."""

import importlib
import json
import sys
from typing import Any


def main() -> None:
    messages: Any = importlib.import_module("futu.common.pb.Trd_Common_pb2")
    made: Any = importlib.import_module("futu.trade.trade_query").OrderListQuery
    parse: Any = importlib.import_module("google.protobuf.json_format").ParseDict
    for line in sys.stdin:
        row = made.parse_order(None, parse(json.loads(line), messages.Order()))
        row["combo_legs"] = [vars(leg) for leg in row["combo_legs"]]
        sys.stderr.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
