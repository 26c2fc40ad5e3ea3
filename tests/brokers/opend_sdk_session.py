"""Run as a program: calls the real futu-api client as told on standard input, prints its results as JSON.

In: {"port", "calls": [{"call": method, argument: value, ...}], "json"?, "rsa_file"?, "quotes"?}.
Out: [{"ret": 0, "rows": [...], "next"?} or {"ret": -1, "text": "..."}]; combination legs become [code, side, ratio],
page keys hexadecimal text.
"""

import json
import logging
import sys
from typing import Any


def main() -> None:
    """Answer one list of calls."""
    import futu  # pyright: ignore[reportMissingImports]
    from futu.common.ft_logger import logger  # pyright: ignore[reportMissingImports]

    sdk: Any = futu
    logger.file_level = logger.console_level = logging.FATAL
    asked = json.load(sys.stdin)
    sdk.SysConfig.set_all_thread_daemon(True)
    if asked.get("json"):
        sdk.SysConfig.set_proto_fmt(sdk.ProtoFMT.Json)
    if asked.get("rsa_file"):
        sdk.SysConfig.set_init_rsa_file(asked["rsa_file"])
    secure = {"port": asked["port"], "is_encrypt": bool(asked.get("rsa_file"))}
    if asked.get("quotes"):
        context = sdk.OpenQuoteContext(**secure)
    else:
        context = sdk.OpenSecTradeContext(filter_trdmarket=sdk.TrdMarket.NONE, **secure)
    context.set_sync_query_connect_timeout(3)
    try:
        told = [_result(*getattr(context, call.pop("call"))(**_arguments(call))) for call in asked["calls"]]
    finally:
        context.close()
    sys.stdout.write("\n" + json.dumps(told, default=_leg) + "\n")


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    key = call.get("page_req_key")
    return {**call, "page_req_key": bytes.fromhex(key)} if key else call


def _result(ret: int, data: Any, next_page: bytes | None = None) -> dict[str, Any]:
    if ret != 0:
        return {"ret": ret, "text": data}
    rows = data.to_dict("records") if hasattr(data, "to_dict") else data
    return {"ret": ret, "rows": rows, **({"next": next_page.hex()} if next_page else {})}


def _leg(leg: Any) -> list[Any]:
    return [leg.code, leg.trd_side, leg.qty_ratio]


if __name__ == "__main__":
    main()
