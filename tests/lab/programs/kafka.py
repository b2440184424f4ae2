"""The `fluxpay-kafka` container: waits for ZooKeeper as the real broker does, then becomes the tansu broker."""

from __future__ import annotations

import os
import time

from . import process, web

PATIENCE_S = 30


def log(level: str, message: str) -> None:
    """Log in Kafka's format."""
    process.write(f"[{process.stamp().replace('.', ',')}] {level} {message}")


def main() -> None:
    """Wait for ZooKeeper's answer, or end with 1; then run the broker under its advertised name."""
    process.start(exit_code=143)
    host, _, port = os.environ["KAFKA_ZOOKEEPER_CONNECT"].partition(":")
    log("INFO", f"[ZooKeeperClient Kafka server] Initializing a new session to {host}:{port}. (kafka.zookeeper)")
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            web.exchange(host, int(port), b"srvr", 2)
            break
        except OSError as error:
            if time.monotonic() > end:
                log("ERROR", f"Fatal error during KafkaServer startup: no ZooKeeper: {error} (kafka.server)")
                raise SystemExit(1) from None
        time.sleep(0.5)
    advertised = os.environ["KAFKA_ADVERTISED_LISTENERS"].replace("PLAINTEXT://", "tcp://")
    log("INFO", f"Advertised as {advertised}; [KafkaServer id=1] started (kafka.server.KafkaServer)")
    listen = ["--listener-url", "tcp://0.0.0.0:9092", "--advertised-listener-url", advertised]
    os.environ.setdefault("RUST_LOG", "warn")
    os.execv("/lab/tansu", ["tansu", "broker", *listen, "--storage-engine", "memory://tansu/"])


if __name__ == "__main__":
    main()
