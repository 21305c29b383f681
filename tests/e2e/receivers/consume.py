"""Reads the topic `interceptor` until so many records have come and no more come for two seconds, and prints them:
consume.py BROKERS COUNT. Each is said to be in the partition in which librdkafka, with the Java client's partitioner, puts
its key, or not."""
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

brokers, count = sys.argv[1], int(sys.argv[2])
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "enable.auto.commit": False})
deadline = time.time() + 40
partitions = []
while not partitions and time.time() < deadline:
    topic = consumer.list_topics("interceptor", timeout=10).topics["interceptor"]
    partitions = [] if topic.error else list(topic.partitions)
consumer.assign([TopicPartition("interceptor", partition, 0) for partition in partitions])
records = []
while time.time() < deadline:
    message = consumer.poll(2)
    if message is None and len(records) >= count:
        break
    if message is not None and not message.error():
        records.append(message)

# Where librdkafka puts the same keys, in another topic with as many partitions.
places = {}
producer = Producer({"test.mock.num.brokers": 1, "partitioner": "murmur2", "test.mock.broker.rtt": 0})
mocked = len(producer.list_topics("places", timeout=10).topics["places"].partitions)
if mocked == len(partitions):
    for key in {record.key() for record in records}:
        producer.produce("places", b"", key, on_delivery=lambda _, sent: places.__setitem__(sent.key(), sent.partition()))
    producer.flush(20)

for record in records:
    said = {
        "partition": record.partition(),
        "expected": places.get(record.key()),
        "offset": record.offset(),
        "time": record.timestamp()[1],
        "key": record.key().decode(),
        "headers": {name: value.decode() for name, value in record.headers() or []},
        "value": json.loads(record.value()),
    }
    print(json.dumps(said))
