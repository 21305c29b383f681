"""Reads the payload log and prints a line of JSON a row. read.py pandas|duckdb|jsonl DIRECTORY, read.py s3|bucket ENDPOINT"""

import io
import json
import os
import sys

COLUMNS = ["request_id", "model_name", "status", "response_content", "input_tokens"]


def say(rows):
    for row in rows:
        # The policy takes something out of the request, and with it goes what was read of it: `input_texts`.
        prompt = json.loads(row["request_content"])["messages"][0]["content"]
        print(json.dumps({**{name: row[name] for name in COLUMNS}, "prompt": prompt, "model": str(row["model"])}))


def pandas(directory):
    import pandas

    say(pandas.read_parquet(directory).astype({"model": str}).to_dict("records"))


def duckdb(pattern, function):
    import duckdb

    found = duckdb.sql(f"SELECT * FROM {function}('{pattern}', hive_partitioning = true)")
    say([dict(zip(found.columns, row)) for row in found.fetchall()])


def client(endpoint):
    import boto3

    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")


def s3(endpoint):
    import pyarrow.parquet

    store = client(endpoint)
    for object in store.list_objects_v2(Bucket="bucket").get("Contents", []):
        body = store.get_object(Bucket="bucket", Key=object["Key"])["Body"].read()
        rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
        model = object["Key"].split("model=")[1].split("/")[0]
        say([{**row, "model": model} for row in rows])


what, where = sys.argv[1:]
if what == "pandas":
    pandas(where)
elif what == "duckdb":
    duckdb(f"{where}/**/*.parquet", "read_parquet")
elif what == "jsonl":
    duckdb(f"{where}/**/*.jsonl.zst", "read_json")
elif what == "s3":
    s3(where)
else:
    client(where).create_bucket(Bucket="bucket")

# Threads of these libraries may still be starting, of which the end of the interpreter makes an abort.
sys.stdout.flush()
os._exit(0)
