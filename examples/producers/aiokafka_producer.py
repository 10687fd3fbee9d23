"""This program submits a backtest with aiokafka, waits for its receipt and prints it.

Usage: python aiokafka_producer.py BACKTEST_ID
"""

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

BOOTSTRAP = os.environ.get("BACKTAPE_KAFKA_BOOTSTRAP") or "127.0.0.1:9092"
PREFIX = os.environ.get("BACKTAPE_TOPIC_PREFIX") or "backtape"
RECEIPT_SECONDS = 60


def submit_command(backtest_id: str) -> dict[str, Any]:
    """Return a command; send the same one again whenever you are not sure that it arrived."""
    return {
        "type": "SubmitBacktest",
        "command_id": str(uuid.uuid4()),
        "backtest_id": backtest_id,
        "issued_at": datetime.now(UTC).isoformat(),
        "submitter": "aiokafka example",
        "spec": {
            "data": {"dataset": "stocks-daily", "symbols": ["AAPL"], "timeframe": "1d"},
            "strategy": {"name": "sma_cross", "parameters": {"fast": 10, "slow": 30}},
        },
    }


async def send(command: dict[str, Any]) -> None:
    """Publish a command, keyed by its backtest id: aiokafka's default partitioner is the one Backtape expects."""
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True) as producer:
        await producer.send_and_wait(
            f"{PREFIX}.commands", key=command["backtest_id"].encode(), value=json.dumps(command).encode()
        )


async def submit(command: dict[str, Any]) -> dict[str, Any]:
    """Publish a command and return what became of it."""
    # Without a group every partition is ours, and nothing is committed.
    receipts = AIOKafkaConsumer(f"{PREFIX}.receipts", bootstrap_servers=BOOTSTRAP, isolation_level="read_committed")
    async with receipts:
        # Placed at the end before the command is sent: its receipt can only come behind that.
        for source, end in (await receipts.end_offsets(receipts.assignment())).items():
            receipts.seek(source, end)
        await send(command)
        async with asyncio.timeout(RECEIPT_SECONDS):
            async for record in receipts:
                receipt: dict[str, Any] = json.loads(record.value)
                is_ours = receipt.get("command_id") == command["command_id"]
                if is_ours and receipt["outcome"] != "forwarded":  # forwarded: another receipt follows
                    return receipt
    raise AssertionError("the receipts ended")


def main() -> int:
    receipt = asyncio.run(submit(submit_command(sys.argv[1])))
    print(json.dumps(receipt))
    return 0 if receipt["outcome"] in ("accepted", "duplicate") else 1


if __name__ == "__main__":
    sys.exit(main())
