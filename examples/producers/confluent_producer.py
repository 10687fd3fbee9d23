"""This program submits a backtest with confluent-kafka, waits for its receipt and prints it.

Usage: python confluent_producer.py BACKTEST_ID
"""

import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

BOOTSTRAP = os.environ.get("BACKTAPE_KAFKA_BOOTSTRAP") or "127.0.0.1:9092"
PREFIX = os.environ.get("BACKTAPE_TOPIC_PREFIX") or "backtape"
RECEIPT_SECONDS = 60

# librdkafka hashes keys by CRC32 unless it is told otherwise. Without `partitioner` the command arrives at another partition
# and is forwarded: that works, with one step and one receipt more.
PRODUCER = {"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "partitioner": "murmur2_random"}
CONSUMER = {
    "bootstrap.servers": BOOTSTRAP,
    "group.id": f"receipts-{uuid.uuid4()}",  # asked for by the client, but not used: nothing is committed
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
}


def submit_command(backtest_id: str) -> dict[str, Any]:
    """Return a command; send the same one again whenever you are not sure that it arrived."""
    return {
        "type": "SubmitBacktest",
        "command_id": str(uuid.uuid4()),
        "backtest_id": backtest_id,
        "issued_at": datetime.now(UTC).isoformat(),
        "submitter": "confluent example",
        "spec": {
            "data": {"dataset": "stocks-daily", "symbols": ["MSFT"], "timeframe": "1d"},
            "strategy": {"name": "buy_and_hold"},
        },
    }


def send(command: dict[str, Any], settings: dict[str, Any] = PRODUCER) -> None:
    """Publish a command, keyed by its backtest id, and wait until Kafka has it."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(settings)
    producer.produce(f"{PREFIX}.commands", key=command["backtest_id"], value=json.dumps(command).encode(), on_delivery=delivered)
    producer.flush()
    if failed:
        raise RuntimeError(f"the command was not sent: {failed[0].str()}")


def submit(command: dict[str, Any], settings: dict[str, Any] = PRODUCER) -> dict[str, Any]:
    """Publish a command and return what became of it."""
    receipts = Consumer(CONSUMER)
    try:
        topic = f"{PREFIX}.receipts"
        # Placed at the end before the command is sent: its receipt can only come behind that.
        numbers = receipts.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {number: receipts.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in numbers}
        receipts.assign([TopicPartition(topic, number, end) for number, end in ends.items()])
        send(command, settings)
        deadline = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < deadline:
            record = receipts.poll(1)
            if record is None or record.error() is not None:
                continue
            receipt: dict[str, Any] = json.loads(record.value() or b"{}")
            is_ours = receipt.get("command_id") == command["command_id"]
            if is_ours and receipt["outcome"] != "forwarded":  # forwarded: another receipt follows
                return receipt
        raise TimeoutError(f"no receipt of {command['command_id']} in {RECEIPT_SECONDS} s")
    finally:
        receipts.close()


def main() -> int:
    receipt = submit(submit_command(sys.argv[1]))
    print(json.dumps(receipt))
    return 0 if receipt["outcome"] in ("accepted", "duplicate") else 1


if __name__ == "__main__":
    sys.exit(main())
