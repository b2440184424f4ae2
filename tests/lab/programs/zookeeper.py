"""The `fluxpay-zookeeper` container: Debian's ZooKeeper, standalone; of the four-letter words only `srvr` answers."""

from __future__ import annotations

import os
from pathlib import Path


def main() -> None:
    """Write the settings and become ZooKeeper."""
    settings = Path("/run/zookeeper")
    settings.mkdir(exist_ok=True)
    (settings / "zoo.cfg").write_text(
        f"clientPort={os.environ['ZOOKEEPER_CLIENT_PORT']}\ntickTime={os.environ['ZOOKEEPER_TICK_TIME']}\n"
        "dataDir=/run/zookeeper/data\nadmin.enableServer=false\n"
    )
    (settings / "log4j.properties").write_text(
        "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
        "log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n"
    )
    machine = ["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    jars = [f"/usr/share/java/{name}.jar" for name in ("zookeeper", "slf4j-log4j12", "log4j-1.2")]
    classes = ":".join([str(settings), *jars])
    server = "org.apache.zookeeper.server.ZooKeeperServerMain"
    os.execvp("java", ["java", *machine, "-cp", classes, server, str(settings / "zoo.cfg")])


if __name__ == "__main__":
    main()
