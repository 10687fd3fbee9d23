"""This module answers the HTML report of a backtest: made by the command line, kept while it is current."""

import asyncio
import base64
import hashlib
import re
import tempfile
from collections import OrderedDict
from pathlib import Path

from starlette.responses import Response

from web.config import WebConfig
from web.problems import ProblemError
from web.processes import run_cli

AT_ONCE = 2
REPORT_SECONDS = 120.0
KEPT_REPORTS = 16  # of some hundred kilobytes each
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class Reports:
    """Reports by backtest, as of a sequence."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._free = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    async def response(self, backtest_id: str, sequence: int, *, is_download: bool) -> Response:
        """Return the report as an answer. Its policy allows its own script, by digest, and nothing from anywhere."""
        body = self._kept.get((backtest_id, sequence))
        if body is None:
            async with self._free:
                body = await self._made(backtest_id)
            self._kept[backtest_id, sequence] = body
            while len(self._kept) > KEPT_REPORTS:
                self._kept.popitem(last=False)
        kind = "attachment" if is_download else "inline"
        headers = {
            "Content-Security-Policy": policy_of(body),
            "Content-Disposition": f'{kind}; filename="{backtest_id}.html"',
            "Cache-Control": "no-store",
        }
        return Response(body, media_type="text/html; charset=utf-8", headers=headers)

    async def _made(self, backtest_id: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="backtape-report-") as folder:
            target = Path(folder) / "report.html"
            try:
                finished = await run_cli(
                    ["report", backtest_id, "-o", str(target)], self._config.environment, seconds=REPORT_SECONDS
                )
            except TimeoutError:
                raise ProblemError(504, "report_timeout", f"no report within {REPORT_SECONDS:g} s") from None
            if finished.code != 0:
                raise ProblemError(404 if finished.code == 1 else 503, "no_report", finished.reason)
            return await asyncio.to_thread(target.read_bytes)


def policy_of(body: bytes) -> str:
    """Return the content security policy of a report: its scripts by their digests, in a sandbox of its own origin."""
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(body)]
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads allow-popups"
    )
