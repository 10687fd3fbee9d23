import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Submits a backtest, waits for its receipt and prints it.
 *
 * <p>Usage: java SubmitBacktest BACKTEST_ID
 */
public final class SubmitBacktest {
  private static final String BOOTSTRAP = setting("BACKTAPE_KAFKA_BOOTSTRAP", "127.0.0.1:9092");
  private static final String PREFIX = setting("BACKTAPE_TOPIC_PREFIX", "backtape");
  private static final Duration RECEIPT_TIME = Duration.ofSeconds(60);

  public static void main(String[] arguments) throws Exception {
    String receipt = submit(arguments[0], UUID.randomUUID().toString());
    System.out.println(receipt);
    boolean done = outcome(receipt, "accepted") || outcome(receipt, "duplicate");
    System.exit(done ? 0 : 1);
  }

  /** Publishes a command and returns what became of it. */
  private static String submit(String backtestId, String commandId) throws Exception {
    Map<String, Object> settings =
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, BOOTSTRAP,
            ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed",
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    try (var receipts = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
      // Placed at the end before the command is sent: its receipt can only come behind that.
      List<TopicPartition> sources =
          receipts.partitionsFor(PREFIX + ".receipts").stream()
              .map(each -> new TopicPartition(each.topic(), each.partition()))
              .toList();
      receipts.assign(sources);
      receipts.endOffsets(sources).forEach(receipts::seek);
      send(backtestId, command(backtestId, commandId));
      Instant deadline = Instant.now().plus(RECEIPT_TIME);
      while (Instant.now().isBefore(deadline)) {
        for (ConsumerRecord<String, String> record : receipts.poll(Duration.ofSeconds(1))) {
          // A real program reads JSON with its library; a UUID is found by its text.
          boolean isOurs = record.value().contains("\"command_id\":\"" + commandId + "\"");
          if (isOurs && !outcome(record.value(), "forwarded")) {
            return record.value();
          }
        }
      }
    }
    throw new IllegalStateException("no receipt of " + commandId + " in " + RECEIPT_TIME);
  }

  /** Publishes a command, keyed by its backtest id: the Java client's partitioner is the one Backtape expects. */
  private static void send(String backtestId, String command) throws Exception {
    Map<String, Object> settings =
        Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, BOOTSTRAP, ProducerConfig.ACKS_CONFIG, "all");
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      producer.send(new ProducerRecord<>(PREFIX + ".commands", backtestId, command)).get();
    }
  }

  /** Returns a command; send the same one again whenever you are not sure that it arrived. */
  private static String command(String backtestId, String commandId) {
    return """
        {
          "type": "SubmitBacktest",
          "command_id": "%s",
          "backtest_id": "%s",
          "issued_at": "%s",
          "submitter": "java example",
          "spec": {
            "data": {"dataset": "stocks-daily", "symbols": ["IBM"], "timeframe": "1d"},
            "strategy": {"name": "rsi_reversion"}
          }
        }
        """
        .formatted(commandId, backtestId, Instant.now());
  }

  private static boolean outcome(String receipt, String name) {
    return receipt.contains("\"outcome\":\"" + name + "\"");
  }

  private static String setting(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  private SubmitBacktest() {}
}
