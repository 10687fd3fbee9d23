"""This module says where Kafka is. It loads no client: settings name an address in processes that never connect to it."""

from dataclasses import dataclass

from schemas.topics import Topic, topic_name


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where Kafka is, and what our topics are called there."""

    bootstrap: str
    prefix: str = "backtape"

    def topic(self, topic: Topic) -> str:
        return topic_name(self.prefix, topic)
